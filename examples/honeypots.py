# SPDX-License-Identifier: AGPL-3.0-or-later
"""A real Cowrie and a real OpenCanary on loopback, from the environments of `./dev honeypots`.

Only the standard library is imported, so that every environment can use it.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

HOMES = Path(__file__).resolve().parent.parent / ".tools" / "honeypots"
COWRIE_BIN = HOMES / "cowrie" / "bin"
OPENCANARY_BIN = HOMES / "opencanary" / "bin"
CANARY_SERVICES = ("ftp", "http", "mssql", "mysql", "rdp", "redis", "ssh", "telnet", "vnc")

_COWRIE_CONFIG = """\
[honeypot]
sensor_name = {sensor}
hostname = web01
[ssh]
listen_endpoints = tcp:{port}:interface=127.0.0.1
[telnet]
enabled = false
"""
_SENSOR_UUID = "5a3b1e00-0000-4000-8000-000000000001"
_START_S = 180.0
_STOP_S = 20.0


class HoneypotFailedError(RuntimeError):
    """A honeypot did not start; the text is what it said last."""

    def __init__(self, name: str, out: Path) -> None:
        super().__init__(f"{name} did not start:\n{out.read_text(errors='replace')[-2000:]}")


def free_ports(count: int) -> list[int]:
    """Return loopback ports that are free now."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@contextmanager
def running_cowrie(
    folder: Path, port: int, accounts: Mapping[str, str], *, knock_from: str, sensor: str = "sample"
) -> Iterator[Path]:
    """Yields the path of the JSON log; stops the honeypot when done.

    Cowrie refuses to run as root, so as root it is given a user namespace in which it is somebody
    else.

    Args:
        folder: an empty one, for all its files.
        port: where it listens for SSH.
        accounts: passwords by user; nobody else may log in.
        knock_from: loopback address of the connection that finds out whether it answers, which is
            logged like any other.
        sensor: name in its log.

    Raises:
        HoneypotFailedError: it does not answer.
    """
    path = f"{COWRIE_BIN}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "COWRIE_STDOUT": "yes"}
    for name in [name for name in environment if name.lower().endswith("_proxy")]:
        del environment[name]
    out = folder / "cowrie.out"
    with out.open("wb") as stream:
        init = unprivileged(str(COWRIE_BIN / "cowrie"), "init")
        subprocess.run(init, cwd=folder, env=environment, stdout=stream, stderr=stream, check=True)
        (folder / "etc" / "cowrie.cfg").write_text(_COWRIE_CONFIG.format(port=port, sensor=sensor))
        # Cowrie would make one from this machine's network address.
        (folder / "var" / "lib" / "cowrie" / "uuid").write_text(_SENSOR_UUID)
        users = "".join(f"{user}:x:{password}\n" for user, password in accounts.items())
        (folder / "etc" / "userdb.txt").write_text(users)
        start = unprivileged(str(COWRIE_BIN / "cowrie"), "start")
        with _running("cowrie", start, folder, environment, out, [port], knock_from):
            yield folder / "var" / "log" / "cowrie" / "cowrie.json"


@contextmanager
def running_opencanary(
    folder: Path, ports: Mapping[str, int], *, knock_from: str
) -> Iterator[Path]:
    """Yields the path of the log; stops the honeypot when done.

    Args:
        folder: an empty one, for all its files.
        ports: where each service listens, of `CANARY_SERVICES`.
        knock_from: as for `running_cowrie`.

    Raises:
        HoneypotFailedError: a service does not answer.
    """
    log = folder / "opencanary.log"
    (folder / ".opencanary.conf").write_text(json.dumps(_canary_settings(log, ports)))
    # Its working folder must not be this one: a module beside it would hide a package.
    command = [
        str(OPENCANARY_BIN / "twistd"),
        "--nodaemon",
        "--pidfile=",
        f"--python={OPENCANARY_BIN / 'opencanary.tac'}",
    ]
    environment = {**os.environ, "HOME": str(folder)}
    out = folder / "opencanary.out"
    listening = list(ports.values())
    with _running("opencanary", command, folder, environment, out, listening, knock_from):
        yield log


def _canary_settings(log: Path, ports: Mapping[str, int]) -> dict[str, Any]:
    """OpenCanary's settings: every service on loopback, one file as log."""
    settings: dict[str, Any] = {
        "device.node_id": "canary01",
        "device.listen_addr": "127.0.0.1",
        "http.skin": "nasLogin",
        "http.log_unimplemented_method_requests": True,
        "http.log_redirect_request": True,
        "ftp.log_auth_attempt_initiated": True,
        "mysql.log_connection_made": True,
        "telnet.log_tcp_connection": True,
        "mssql.version": "2012",
        "ssh.version": "SSH-2.0-OpenSSH_9.2p1 Debian-2",
        "logger": {
            "class": "PyLogger",
            "kwargs": {
                "formatters": {"plain": {"format": "%(message)s"}},
                "handlers": {"file": {"class": "logging.FileHandler", "filename": str(log)}},
            },
        },
    }
    for service, port in ports.items():
        settings[f"{service}.enabled"] = True
        settings[f"{service}.port"] = port
    return settings


def unprivileged(*command: str) -> list[str]:
    """The command as an ordinary user, whoever runs this."""
    if os.geteuid() != 0:
        return list(command)
    unshare = shutil.which("unshare")
    if unshare is None:
        raise RuntimeError("Cowrie refuses root: run as a user, or install unshare (util-linux)")
    return [unshare, "--user", "--map-user=1000", "--map-group=1000", *command]


@contextmanager
def _running(
    name: str,
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    out: Path,
    ports: Sequence[int],
    knock_from: str,
) -> Iterator[None]:
    with out.open("ab") as stream:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=stream, stderr=stream
        )
        try:
            if not _answers(process, ports, knock_from):
                raise HoneypotFailedError(name, out)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(process: subprocess.Popen[bytes], ports: Sequence[int], knock_from: str) -> bool:
    deadline = time.monotonic() + _START_S
    waiting = set(ports)
    while time.monotonic() < deadline and process.poll() is None:
        for port in list(waiting):
            with (
                suppress(OSError),
                socket.create_connection(("127.0.0.1", port), 1, source_address=(knock_from, 0)),
            ):
                waiting.discard(port)
        if not waiting:
            return True
        time.sleep(0.1)
    return False
