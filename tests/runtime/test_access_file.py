# SPDX-License-Identifier: AGPL-3.0-or-later
"""The access file while a server runs: who is added, who is revoked, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest

from decnet_ttp.core.errors import UnauthenticatedError
from decnet_ttp.runtime.access import AccessInterceptor
from decnet_ttp.runtime.access_file import AccessFile, Caller, Role, read_access
from decnet_ttp.runtime.clients import call, open_channel
from decnet_ttp.runtime.config import Settings, SettingsError
from decnet_ttp.v1 import directory_service_pb2, directory_service_pb2_grpc
from runtime.pages import read_page
from runtime.seen import logged
from runtime.served import serving, until

ALICE = "alice-0123456789abcdef0123456789abcdef"
BOB = "bob-0123456789abcdef0123456789abcdef"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that names Alice."""
    made = tmp_path / "access"
    made.write_text(f"reader {ALICE} alice\n")
    return made


@asynccontextmanager
async def followed(path: Path) -> AsyncIterator[AccessFile]:
    """Follow a file."""
    file = AccessFile(path)
    stop = asyncio.Event()
    following = asyncio.create_task(file.follow(stop))
    yield file
    stop.set()
    await following


def rewrite(path: Path, content: str | None) -> None:
    """Change the file where it is, as `>>` does, or remove it."""
    if content is None:
        path.unlink()
    else:
        path.write_text(content)


class CallDetails(NamedTuple):
    """What the library tells an interceptor of a call."""

    method: str
    invocation_metadata: tuple[tuple[str, str], ...]


def in_force(file: AccessFile) -> float:
    """Return whether the file as it is on the disk is what counts."""
    (found,) = (family for family in file.figures() if family.name == "access_file_in_force")
    (value,) = found.values.values()
    return value


def test_a_third_word_names_the_caller(path: Path) -> None:
    assert list(read_access(path).values()) == [Caller(Role.READER, "alice")]
    path.write_text(f"reader {ALICE} alice of accounting\n")
    with pytest.raises(SettingsError, match=":1: not a role and a token"):
        read_access(path)


async def test_a_token_that_is_added_or_revoked_counts_without_a_restart(path: Path) -> None:
    async with followed(path) as file:
        assert (file.find(ALICE), file.find(BOB)) == (Caller(Role.READER, "alice"), None)
        # As an editor does: a new file in the place of the old one.
        new = path.with_suffix(".new")
        new.write_text(f"operator {BOB} bob\n")
        new.replace(path)
        await until(lambda: file.find(BOB) == Caller(Role.OPERATOR, "bob"))
        assert file.find(ALICE) is None


@pytest.mark.parametrize("content", ["", "reader", "admin " + "x" * 40, None])
def test_an_edit_that_cannot_be_meant_leaves_in_force_what_was(
    path: Path, caplog: pytest.LogCaptureFixture, content: str | None
) -> None:
    """And is told once, however often the file is looked at."""
    caplog.set_level("INFO")
    file = AccessFile(path)
    rewrite(path, content)
    for _ in range(3):
        file._look()
    assert not in_force(file)
    assert file.find(ALICE) == Caller(Role.READER, "alice")
    rewrite(path, f"reader {BOB}\n")
    file._look()
    assert in_force(file)
    assert (file.find(ALICE), file.find(BOB)) == (None, Caller(Role.READER))
    # In a record both as it was written and as it reads.
    assert logged(caplog).count("access file refused") == 2
    assert ALICE not in logged(caplog)


async def test_a_server_follows_its_file_and_tells_who_was_denied(
    path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    token = tmp_path / "token"
    token.write_text(ALICE)
    settings = Settings(
        listen="0.0.0.0:0",
        insecure=True,
        access_file=path,
        metrics_listen="127.0.0.1:0",
        grace_s=5.0,
    )
    ask = directory_service_pb2.GetAttackerRequest(ip="203.0.113.7")
    async with serving(settings) as served:
        target = f"127.0.0.1:{served.server.address.rpartition(':')[2]}"
        async with open_channel(target, Settings(token_file=token)) as channel:
            stub = directory_service_pb2_grpc.DirectoryServiceStub(channel)
            await call(stub.GetAttacker, ask, timeout_s=60)
            rewrite(path, f"reader {BOB} bob\nservice {'s' * 32}\n")

            async def revoked() -> bool:
                try:
                    await call(stub.GetAttacker, ask, timeout_s=60)
                except UnauthenticatedError as error:
                    assert "does not know the token, or no longer" in error.message  # noqa: PT017 - the first of many calls that fails
                    return True
                return False

            await until(revoked)
        page = await read_page(served.server.metrics_address)
    assert page["decnet_ttp_access_tokens"] == {
        ("reader",): 1.0,
        ("operator",): 0.0,
        ("service",): 1.0,
    }


@pytest.mark.parametrize(
    ("role", "method", "told"),
    [
        ("operator", "LinkAttackers", True),
        ("operator", "GetAttacker", False),
        ("service", "LinkAttackers", False),
    ],
)
async def test_what_an_operator_changes_is_logged_by_name(
    path: Path, caplog: pytest.LogCaptureFixture, role: str, method: str, *, told: bool
) -> None:
    """Not what is read, and not the services' own work."""
    caplog.set_level("INFO")
    rewrite(path, f"{role} {BOB} bob\n")
    handler = grpc.unary_unary_rpc_method_handler(lambda _request, _context: None)

    async def found(_details: object) -> grpc.RpcMethodHandler[object, object]:
        return handler

    details = CallDetails(
        f"/decnet_ttp.v1.DirectoryService/{method}", (("authorization", f"Bearer {BOB}"),)
    )
    assert await AccessInterceptor(AccessFile(path)).intercept_service(found, details) is handler
    assert ("operator call" in logged(caplog), "'caller': 'bob'" in logged(caplog)) == (told, told)
