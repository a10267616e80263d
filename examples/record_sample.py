# SPDX-License-Identifier: AGPL-3.0-or-later
"""Records cowrie-sample.json anew: a real Cowrie on loopback, attacked over real SSH.

Run it with `./dev sample`.
"""

import argparse
import asyncio
import re
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path

import asyncssh
from honeypots import free_ports, running_cowrie
from sample_actors import ACCOUNTS, ACTORS, SCANNER, Actor

SAMPLE = Path(__file__).with_name("cowrie-sample.json")
STEP_S = 5.0
INTERRUPT = b"\x03"
PROMPT = re.compile(rb"[$#>] (?:\x1b\[[0-9;?]*[A-Za-z])*$")


class Guesser(asyncssh.SSHClient):
    """Tries one password after the other on one connection."""

    def __init__(self, passwords: list[str]) -> None:
        self._passwords = iter(passwords)

    def password_auth_requested(self) -> str | None:
        """Return the next password, None to give up."""
        return next(self._passwords, None)


async def log_in(
    actor: Actor, port: int, user: str, passwords: list[str]
) -> asyncssh.SSHClientConnection | None:
    """A connection, or None when the honeypot lets nobody in."""
    try:
        connection, _ = await asyncssh.create_connection(
            lambda: Guesser(passwords),
            "127.0.0.1",
            port,
            local_addr=(actor.source, 0),
            username=user,
            client_version=actor.client,
            client_keys=None,
            agent_path=None,
            config=None,
            known_hosts=None,
            preferred_auth="password",
            kex_algs=actor.key_exchange or (),
        )
    except (asyncssh.PermissionDenied, asyncssh.ConnectionLost, asyncssh.DisconnectError):
        return None
    return connection


async def attack(actor: Actor, port: int) -> None:
    """Make all of an actor's connections."""
    for attempts in actor.logins:
        # A client keeps its user through one connection, so each user gets a connection.
        users = list(dict.fromkeys(user for user, _ in attempts))
        for user in users:
            passwords = [password for name, password in attempts if name == user]
            connection = await log_in(actor, port, user, passwords)
            if connection is None:
                continue
            async with connection:
                await act(actor, connection)


async def act(actor: Actor, connection: asyncssh.SSHClientConnection) -> None:
    """Do what the actor does once logged in."""
    if actor.upload is not None:
        await upload(connection, *actor.upload)
    if actor.interactive:
        await type_lines(actor.lines, connection)
        return
    for line in actor.lines:
        # Where the answer and the end of a command arrive in one packet, asyncssh looks for a
        # session that is over already; the honeypot has run the command all the same.
        with suppress(TimeoutError, AttributeError):
            await asyncio.wait_for(connection.run(line, encoding=None, errors="ignore"), STEP_S)


async def upload(connection: asyncssh.SSHClientConnection, path: str, content: bytes) -> None:
    """Put a file there by SFTP."""
    async with connection.start_sftp_client() as sftp:
        with suppress(asyncssh.SFTPError):
            await sftp.makedirs(str(Path(path).parent))
        async with sftp.open(path, "wb") as file:
            await file.write(content)


async def type_lines(lines: list[str], connection: asyncssh.SSHClientConnection) -> None:
    """Types each line when the prompt is there, as a person or an expect script does."""
    process = await connection.create_process(term_type="xterm", term_size=(120, 40), encoding=None)
    async with process:
        await until_prompt(process)
        for line in lines:
            await asyncio.sleep(0.15)
            try:
                process.stdin.write(line.encode() + b"\n")
                if not await until_prompt(process):
                    process.stdin.write(INTERRUPT)
                    await until_prompt(process)
            except (BrokenPipeError, asyncssh.Error):
                return
        with suppress(BrokenPipeError, asyncssh.Error):
            process.stdin.write_eof()


async def until_prompt(process: asyncssh.SSHClientProcess[bytes]) -> bool:
    """Read until the shell waits for input; False when it took too long."""
    seen = b""
    with suppress(TimeoutError):
        async with asyncio.timeout(STEP_S):
            while not PROMPT.search(seen):
                some = await process.stdout.read(4096)
                if not some:
                    return True
                seen = (seen + some)[-200:]
            return True
    return False


async def scan(port: int) -> None:
    """Grabs the banner, then speaks HTTP to the SSH port."""
    for request in (b"", b"GET / HTTP/1.0\r\n\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(SCANNER, 0))
        await reader.readline()
        writer.write(request)
        await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def attack_all(port: int) -> None:
    """Let all actors loose, a second apart."""

    async def one(actor: Actor) -> None:
        print(f"  {actor.source}  {actor.name}", flush=True)
        await attack(actor, port)

    async with asyncio.TaskGroup() as group:
        group.create_task(scan(port))
        for actor in ACTORS:
            group.create_task(one(actor))
            # Later attackers arrive while earlier ones are still at it.
            await asyncio.sleep(1)


def main() -> None:
    """Record the sample."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=SAMPLE)
    output = parser.parse_args().output
    # The sample wants old clients too, which still offer it.
    warnings.filterwarnings("ignore", message="Diffie-Hellman")
    with tempfile.TemporaryDirectory(prefix="cowrie-sample-") as name:
        folder = Path(name)
        port = free_ports(1)[0]
        with running_cowrie(folder, port, ACCOUNTS, knock_from=SCANNER) as log:
            asyncio.run(attack_all(port))
        output.write_bytes(log.read_bytes())
    print(
        f"{output}: {output.stat().st_size} bytes, {len(output.read_bytes().splitlines())} events"
    )


if __name__ == "__main__":
    main()
