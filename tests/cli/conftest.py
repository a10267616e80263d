# SPDX-License-Identifier: AGPL-3.0-or-later
"""The real program beside a real gRPC server whose answers a test sets."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import re
import shutil
import struct
import sys
import tempfile
import termios
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
import pytest_asyncio
from google.protobuf.timestamp_pb2 import Timestamp

from decnet_ttp.core.errors import DecnetError, NotFoundError
from decnet_ttp.runtime.boundary import ErrorInterceptor
from decnet_ttp.v1 import (
    directory_service_pb2 as directory,
)
from decnet_ttp.v1 import (
    directory_service_pb2_grpc as directory_grpc,
)
from decnet_ttp.v1 import (
    rollup_service_pb2 as rollup,
)
from decnet_ttp.v1 import (
    rollup_service_pb2_grpc as rollup_grpc,
)
from decnet_ttp.v1 import (
    tag_pb2,
)
from decnet_ttp.v1 import (
    tag_store_service_pb2 as store,
)
from decnet_ttp.v1 import (
    tag_store_service_pb2_grpc as store_grpc,
)

_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def text(self) -> str:
        """What a terminal shows, without colours."""
        return _ANSI.sub("", self.out).replace("\r\n", "\n")


Run = Callable[..., Awaitable[Done]]


@dataclass
class FakeTagStore(
    rollup_grpc.RollupServiceServicer,
    directory_grpc.DirectoryServiceServicer,
    store_grpc.TagStoreServiceServicer,
):
    """Answers with the rows it was given, pages of `page_rows` at most, and keeps the requests."""

    techniques: list[rollup.TechniqueRow] = field(default_factory=list)
    tags: list[tag_pb2.Tag] = field(default_factory=list)
    attackers: list[directory.Attacker] = field(default_factory=list)
    error: DecnetError | None = None
    page_rows: int = 1000
    target: str = ""
    requests: list[Any] = field(default_factory=list)

    def _page(self, rows: Sequence[Any], request: Any) -> tuple[Sequence[Any], str]:
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        start = int(request.page_token or 0)
        end = start + min(request.page_size, self.page_rows)
        return rows[start:end], str(end) if end < len(rows) else ""

    async def ListTechniques(
        self, request: rollup.ListTechniquesRequest, context: object
    ) -> rollup.ListTechniquesResponse:
        rows, token = self._page(self.techniques, request)
        return rollup.ListTechniquesResponse(techniques=rows, next_page_token=token)

    async def ListTags(
        self, request: store.ListTagsRequest, context: object
    ) -> store.ListTagsResponse:
        found = [
            tag
            for tag in self.tags
            if request.technique_id in {"", tag.technique_id}
            and request.sub_technique_id in {"", tag.sub_technique_id}
            and request.rule_id in {"", tag.rule_id}
        ]
        rows, token = self._page(found, request)
        return store.ListTagsResponse(tags=rows, next_page_token=token)

    async def ListAttackers(
        self, request: directory.ListAttackersRequest, context: object
    ) -> directory.ListAttackersResponse:
        rows, token = self._page(self.attackers, request)
        return directory.ListAttackersResponse(attackers=rows, next_page_token=token)

    async def GetAttacker(
        self, request: directory.GetAttackerRequest, context: object
    ) -> directory.GetAttackerResponse:
        for attacker in self.attackers:
            if attacker.uuid == request.attacker_uuid:
                return directory.GetAttackerResponse(attacker=attacker)
        raise NotFoundError("no such attacker; list them with ListAttackers")


@pytest_asyncio.fixture
async def tag_store() -> AsyncIterator[FakeTagStore]:
    """A tag-store on a Unix socket."""
    # Not tmp_path: with a long test name it is too long for a socket.
    folder = tempfile.mkdtemp(prefix="cli-")
    servicer = FakeTagStore(target=f"unix:{folder}/tag-store.sock")
    server = grpc.aio.server(interceptors=[ErrorInterceptor()])
    rollup_grpc.add_RollupServiceServicer_to_server(servicer, server)
    store_grpc.add_TagStoreServiceServicer_to_server(servicer, server)
    directory_grpc.add_DirectoryServiceServicer_to_server(servicer, server)
    server.add_insecure_port(servicer.target)
    await server.start()
    yield servicer
    await server.stop(grace=None)
    shutil.rmtree(folder)


def program_environment(**settings: str) -> dict[str, str]:
    """Return an environment with these settings of ours and no others."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("DECNET_TTP_")}
    inherited |= {"TERM": "xterm-256color", "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}
    for name in ("NO_COLOR", "COLUMNS", "LINES"):
        inherited.pop(name, None)
    return inherited | {f"DECNET_TTP_{name}": value for name, value in settings.items()}


def program(*args: object) -> list[str]:
    """Return the command line of the real program."""
    return [sys.executable, "-m", "decnet_ttp.cli.main", *map(str, args)]


async def _run(*args: object, **settings: str) -> Done:
    process = await asyncio.create_subprocess_exec(
        *program(*args),
        env=program_environment(**settings),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 240)
    return Done(process.returncode or 0, out.decode(), err.decode())


async def _run_on_terminal(*args: object, columns: int = 160, **settings: str) -> Done:
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = await asyncio.create_subprocess_exec(
        *program(*args),
        env=program_environment(**settings),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=theirs,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(theirs)
    shown = asyncio.get_running_loop().run_in_executor(None, _read_to_end, ours)
    _, err = await asyncio.wait_for(process.communicate(), 240)
    out = await shown
    os.close(ours)
    return Done(process.returncode or 0, out.decode(), err.decode())


def _read_to_end(descriptor: int) -> bytes:
    read = b""
    while True:
        try:
            chunk = os.read(descriptor, 65536)
        except OSError:
            # Linux answers so once the other end is closed.
            return read
        if not chunk:
            return read
        read += chunk


@pytest.fixture
def empty_dir(tmp_path: Path) -> str:
    """A data directory over which nothing runs."""
    return str(tmp_path / "nothing")


@pytest.fixture
def piped(tag_store: FakeTagStore, empty_dir: str) -> Run:
    """Run the program with its output piped, against the tag-store."""

    async def run(*args: object, **settings: str) -> Done:
        named = {"TAG_STORE": tag_store.target, "DATA_DIR": empty_dir}
        return await _run(*args, **(named | settings))

    return run


@pytest.fixture
def on_terminal(tag_store: FakeTagStore, empty_dir: str) -> Run:
    """Run the program on a terminal, against the tag-store."""

    async def run(*args: object, columns: int = 160, **settings: str) -> Done:
        named = {"TAG_STORE": tag_store.target, "DATA_DIR": empty_dir}
        return await _run_on_terminal(*args, columns=columns, **(named | settings))

    return run


def at(text: str) -> Timestamp:
    """Return a time such as 2026-03-01T10:00:00Z."""
    stamp = Timestamp()
    stamp.FromJsonString(text)
    return stamp


@pytest.fixture(name="at")
def at_fixture() -> Callable[[str], Timestamp]:
    """Make times out of text."""
    return at


@pytest.fixture(name="program")
def program_fixture() -> Callable[..., list[str]]:
    """Make command lines of the real program."""
    return program


@pytest.fixture(name="program_environment")
def program_environment_fixture() -> Callable[..., dict[str, str]]:
    """Make environments for it."""
    return program_environment
