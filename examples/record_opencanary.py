# SPDX-License-Identifier: AGPL-3.0-or-later
"""Records opencanary-sample.log anew: a real OpenCanary on loopback, asked by real clients.

Run it with `./dev sample`.
"""

import argparse
import ftplib
import http.client
import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from honeypots import CANARY_SERVICES, free_ports, running_opencanary

SAMPLE = Path(__file__).with_name("opencanary-sample.log")
STEP_S = 5.0
QUIET_S = 0.4

GUESSER = "127.0.0.61"
WEB_SCANNER = "127.0.0.62"
DATABASES = "127.0.0.63"
DESKTOPS = "127.0.0.64"


@contextmanager
def connection(source: str, port: int) -> Iterator[socket.socket]:
    """Yields a connection from an attacker's address."""
    with socket.create_connection(("127.0.0.1", port), STEP_S, source_address=(source, 0)) as peer:
        yield peer


def until_quiet(peer: socket.socket) -> None:
    """Read what the service says, until it says nothing more or hangs up."""
    peer.settimeout(QUIET_S)
    with suppress(OSError):
        while peer.recv(4096):
            pass


def guess_ssh(port: int, folder: Path) -> None:
    """Guess passwords with the OpenSSH client, which asks a program for them."""
    for password in ("123456", "password", "admin"):
        asker = folder / "askpass"
        asker.write_text(f"#!/bin/sh\necho {password}\n")
        asker.chmod(0o700)
        options = (
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "PreferredAuthentications=password",
            "NumberOfPasswordPrompts=1",
            f"BindAddress={GUESSER}",
        )
        subprocess.run(
            ["ssh", "-F", "none", "-p", str(port), *(f"-o{o}" for o in options), "root@127.0.0.1"],
            env={**os.environ, "SSH_ASKPASS": str(asker), "SSH_ASKPASS_REQUIRE": "force"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=20,
            check=False,
        )


def guess_ftp_and_telnet(ftp: int, telnet: int) -> None:
    """Log in by FTP and by Telnet."""
    for user, password in (("anonymous", "guest@example.com"), ("admin", "admin")):
        client = ftplib.FTP(timeout=STEP_S, source_address=(GUESSER, 0))  # noqa: S321 - the bait
        client.connect("127.0.0.1", ftp)
        with suppress(ftplib.error_perm):
            client.login(user, password)
        client.close()
    with connection(GUESSER, telnet) as peer:
        for line in (b"root\r\n", b"xc3511\r\n", b"admin\r\n", b"admin1\r\n"):
            until_quiet(peer)
            peer.sendall(line)
        until_quiet(peer)


def scan_http(port: int) -> None:
    """Ask for what scanners ask for, then try a log-in."""
    agent = {"User-Agent": "Mozilla/5.0 (compatible; Nikto/2.5.0)"}
    form = {**agent, "Content-Type": "application/x-www-form-urlencoded"}
    requests = (
        ("GET", "/index.html", None, agent),
        ("GET", "/.env", None, agent),
        ("GET", "/cgi-bin/..%2f..%2fetc/passwd", None, agent),
        ("PUT", "/shell.php", "<?php system($_GET['c']);", agent),
        ("POST", "/index.html", "username=admin&password=nas123&OTPcode=", form),
    )
    for method, path, body, headers in requests:
        client = http.client.HTTPConnection(
            "127.0.0.1", port, timeout=STEP_S, source_address=(WEB_SCANNER, 0)
        )
        client.request(method, path, body, headers)
        client.getresponse().read()
        client.close()


def ask_databases(mysql: int, redis: int, mssql: int) -> None:
    """Log in to MySQL, take over Redis, say hello to SQL Server."""
    with connection(DATABASES, mysql) as peer:
        until_quiet(peer)
        body = (
            bytes.fromhex("85a60f00 00000001 21".replace(" ", ""))
            + bytes(23)
            + b"root\0\x14"
            + bytes(range(20))
            + b"mysql_native_password\0"
        )
        peer.sendall(len(body).to_bytes(3, "little") + b"\x01" + body)
        until_quiet(peer)
    with connection(DATABASES, redis) as peer:
        for line in (
            "AUTH foobared",
            "CONFIG SET dir /root/.ssh",
            "CONFIG SET dbfilename authorized_keys",
            "INFO",
        ):
            peer.sendall(f"{line}\r\n".encode())
            until_quiet(peer)
    with connection(DATABASES, mssql) as peer:
        peer.sendall(bytes.fromhex(MSSQL_LOGIN))
        until_quiet(peer)


def mssql_login(user: str, password: str) -> str:
    """A LOGIN7 packet with SQL authentication, as hex."""
    scrambled = bytes(
        ((byte << 4 | byte >> 4) & 0xFF) ^ 0xA5 for byte in password.encode("utf-16le")
    )
    parts = ["WS".encode("utf-16le"), user.encode("utf-16le"), scrambled]
    parts += ["sqlcmd".encode("utf-16le"), "db".encode("utf-16le"), b"", b"", b"", b""]
    head, data, at = b"", b"", 94
    for part in parts:
        head += at.to_bytes(2, "little") + (len(part) // 2).to_bytes(2, "little")
        data += part
        at += len(part)
    head += bytes(6) + 3 * (at.to_bytes(2, "little") + bytes(2)) + bytes(4)
    fixed = bytes.fromhex("04000074 00100000 00000007 01000000 00000000 e0030000 00000000 00000000")
    body = (len(fixed) + 4 + len(head) + len(data)).to_bytes(4, "little") + fixed + head + data
    return (b"\x10\x01" + (len(body) + 8).to_bytes(2, "big") + bytes(4) + body).hex()


MSSQL_LOGIN = mssql_login("sa", "P@ssw0rd")


def ask_desktops(vnc: int, rdp: int) -> None:
    """Answer a VNC challenge wrongly, ask for a remote desktop with a user's cookie."""
    with connection(DESKTOPS, vnc) as peer:
        until_quiet(peer)
        peer.sendall(b"RFB 003.008\n")
        until_quiet(peer)
        peer.sendall(b"\x02")
        until_quiet(peer)
        peer.sendall(bytes(range(16)))
        until_quiet(peer)
    with connection(DESKTOPS, rdp) as peer:
        cookie = b"Cookie: mstshash=administr\r\n"
        body = b"\xe0\x00\x00\x00\x00\x00" + cookie + b"\x01\x00\x08\x00\x03\x00\x00\x00"
        packet = bytes([len(body)]) + body
        peer.sendall(b"\x03\x00" + (len(packet) + 4).to_bytes(2, "big") + packet)
        until_quiet(peer)


def main() -> None:
    """Record the sample."""
    parser = argparse.ArgumentParser(description="Record a log of OpenCanary.")
    parser.add_argument("-o", "--output", type=Path, default=SAMPLE)
    output = parser.parse_args().output
    ports = dict(zip(CANARY_SERVICES, free_ports(len(CANARY_SERVICES)), strict=True))
    with tempfile.TemporaryDirectory(prefix="opencanary-sample-") as name:
        folder = Path(name)
        with running_opencanary(folder, ports, knock_from=GUESSER) as log:
            guess_ssh(ports["ssh"], folder)
            guess_ftp_and_telnet(ports["ftp"], ports["telnet"])
            scan_http(ports["http"])
            ask_databases(ports["mysql"], ports["redis"], ports["mssql"])
            ask_desktops(ports["vnc"], ports["rdp"])
            time.sleep(0.5)
        # What it says of its own start names the machine and its folders.
        lines = [line for line in log.read_text().splitlines() if json.loads(line)["src_host"]]
        output.write_text("".join(f"{line}\n" for line in lines))
    print(f"{output}: {len(lines)} events")


if __name__ == "__main__":
    main()
