# SPDX-License-Identifier: AGPL-3.0-or-later
"""A person at an SSH client: types each line of standard input, and says when it was sent.

Run it with the Python of Cowrie's environment, which has asyncssh. For each line it prints the
seconds since the epoch at which the line went out; the session ends with the input.
"""

import argparse
import asyncio
import sys
import time

import asyncssh


async def type_lines(port: int, source: str, user: str, password: str) -> None:
    """Log in, open a shell, and pass on what standard input says."""
    loop = asyncio.get_running_loop()
    async with (
        asyncssh.connect(
            "127.0.0.1",
            port,
            local_addr=(source, 0),
            username=user,
            password=password,
            client_keys=None,
            agent_path=None,
            config=None,
            known_hosts=None,
        ) as connection,
        connection.create_process(term_type="xterm", term_size=(120, 40), encoding=None) as shell,
    ):
        # Nobody reads the answers, which would hold the honeypot up.
        reading = asyncio.create_task(shell.stdout.read())
        while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
            shell.stdin.write(line)
            print(time.time(), flush=True)
        reading.cancel()


async def guess(port: int, source: str, user: str, passwords: list[str]) -> None:
    """Try one password a connection, in vain."""
    for password in passwords:
        try:
            async with asyncssh.connect(
                "127.0.0.1",
                port,
                local_addr=(source, 0),
                username=user,
                password=password,
                client_keys=None,
                agent_path=None,
                config=None,
                known_hosts=None,
                preferred_auth="password",
            ):
                pass
        except (asyncssh.PermissionDenied, asyncssh.ConnectionLost, asyncssh.DisconnectError):
            continue
    print(time.time(), flush=True)


def main() -> None:
    """Read the arguments, then the lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("source")
    parser.add_argument("user")
    parser.add_argument("password", nargs="+", help="several are guesses, each a connection")
    given = parser.parse_args()
    if len(given.password) == 1:
        asyncio.run(type_lines(given.port, given.source, given.user, given.password[0]))
    else:
        asyncio.run(guess(given.port, given.source, given.user, given.password))


if __name__ == "__main__":
    main()
