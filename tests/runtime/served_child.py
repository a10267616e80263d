# SPDX-License-Identifier: AGPL-3.0-or-later
"""A service in a process of its own: says on standard output where it is, waits for files.

Usage: served_child.py SOCKET FOLDER. A call for "slow" waits until FOLDER/answer exists, the task
waits after its stop until FOLDER/drain exists, and fails at once when FOLDER/fail exists.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import uvloop

from decnet_ttp.runtime.config import load_settings
from decnet_ttp.runtime.logs import configure_logging
from decnet_ttp.runtime.server import Server
from decnet_ttp.v1 import directory_service_pb2_grpc

sys.path.insert(0, str(Path(__file__).parent))

from served import DIRECTORY, Directory, until


def say(what: str) -> None:
    """Tell the test."""
    sys.stdout.write(what + "\n")
    sys.stdout.flush()


def there(path: Path) -> Callable[[], bool]:
    """Return whether a file exists, as a condition."""
    return path.exists


async def main(socket: str, folder: Path) -> None:
    """Serve until SIGTERM."""

    async def answer(ip: str) -> str:
        if ip == "slow":
            say("call in flight")
            await until(there(folder / "answer"))
        return ip

    async def task(stop: asyncio.Event) -> None:
        if (folder / "fail").exists():
            raise ValueError("broken task")
        say("task runs")
        await stop.wait()
        say("task stopping")
        await until(there(folder / "drain"))
        say("task done")

    async def ready() -> bool:
        return True

    server = Server(load_settings(listen=socket), name="child").add(
        directory_service_pb2_grpc.add_DirectoryServiceServicer_to_server,
        Directory(answer),
        DIRECTORY,
    )
    await server.run(ready=ready, tasks=[task])
    say("run returned")


configure_logging(style="json")
uvloop.run(main(sys.argv[1], Path(sys.argv[2])))
