# SPDX-License-Identifier: AGPL-3.0-or-later
"""Who is who, asked of a directory over gRPC."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from attribution.process import directory
from decnet_ttp.attribution.directory import GrpcDirectory, Membership, NoDirectory, stub_identity
from decnet_ttp.core.errors import UnavailableError
from decnet_ttp.runtime.clients import open_channel
from decnet_ttp.runtime.config import Settings
from decnet_ttp.v1.directory_service_pb2_grpc import DirectoryServiceStub

LINKED, ALONE, UNKNOWN = UUID(int=1), UUID(int=2), UUID(int=3)
IDENTITY = UUID(int=9)
MEMBERS = [
    Membership(LINKED, IDENTITY, stub=False),
    Membership(ALONE, stub_identity(ALONE), stub=False),
]


def test_a_stub_depends_on_the_attacker_alone() -> None:
    """Stored data names it, so it must stay what it is."""
    assert stub_identity(ALONE) == UUID("9ca0b528-5453-5950-91e3-a38170a3a9fc")
    assert stub_identity(ALONE) != stub_identity(LINKED)


@pytest.mark.parametrize("accept_unknown", [False, True])
async def test_all_are_resolved_in_one_call(tmp_path: Path, accept_unknown: bool) -> None:  # noqa: FBT001 - pytest passes it by name
    async with (
        directory(tmp_path) as (known, target),
        open_channel(target, Settings()) as channel,
    ):
        known.identities = {str(LINKED): str(IDENTITY), str(ALONE): ""}
        asked = GrpcDirectory(DirectoryServiceStub(channel), accept_unknown=accept_unknown)
        expected = list(MEMBERS)
        if accept_unknown:
            expected.append(Membership(UNKNOWN, stub_identity(UNKNOWN), stub=True))
        assert await asked.resolve([LINKED, ALONE, UNKNOWN]) == expected
        assert known.calls == 1
        assert await asked.known([UNKNOWN, ALONE, LINKED]) == MEMBERS[::-1]


async def test_very_many_are_resolved_in_calls_of_a_bounded_size(tmp_path: Path) -> None:
    many = [UUID(int=number) for number in range(1, 2_502)]
    async with (
        directory(tmp_path) as (known, target),
        open_channel(target, Settings()) as channel,
    ):
        known.identities = {str(item): str(IDENTITY) for item in many}
        asked = GrpcDirectory(DirectoryServiceStub(channel), accept_unknown=False)
        assert [item.attacker for item in await asked.known(many)] == many
        assert known.calls == 3


async def test_attackers_of_an_identity_are_told(tmp_path: Path) -> None:
    async with (
        directory(tmp_path) as (known, target),
        open_channel(target, Settings()) as channel,
    ):
        known.identities = {str(LINKED): str(IDENTITY), str(ALONE): ""}
        asked = GrpcDirectory(DirectoryServiceStub(channel), accept_unknown=False)
        assert await asked.attackers_of(IDENTITY) == [LINKED]
        assert await asked.attackers_of(UNKNOWN) == []


async def test_an_identity_that_was_quicker_than_the_stub_wins(tmp_path: Path) -> None:
    async with (
        directory(tmp_path) as (known, target),
        open_channel(target, Settings()) as channel,
    ):
        known.identities = {str(ALONE): ""}
        known.overtaken_by = str(IDENTITY)
        asked = GrpcDirectory(DirectoryServiceStub(channel), accept_unknown=False)
        assert await asked.resolve([ALONE]) == [Membership(ALONE, IDENTITY, stub=False)]


async def test_who_was_taken_out_of_an_identity_has_a_stub_of_ours(tmp_path: Path) -> None:
    async with (
        directory(tmp_path) as (known, target),
        open_channel(target, Settings()) as channel,
    ):
        known.identities = {str(ALONE): ""}
        known.alone = str(ALONE)
        asked = GrpcDirectory(DirectoryServiceStub(channel), accept_unknown=False)
        assert await asked.known([ALONE]) == [Membership(ALONE, stub_identity(ALONE), stub=True)]


async def test_a_directory_that_is_away_is_no_answer(tmp_path: Path) -> None:
    async with open_channel(f"unix:{tmp_path}/none.sock", Settings()) as channel:
        asked = GrpcDirectory(DirectoryServiceStub(channel), accept_unknown=True, attempts_s=0.1)
        with pytest.raises(UnavailableError):
            await asked.resolve([LINKED])


async def test_without_a_directory_everybody_is_known() -> None:
    assert await NoDirectory().resolve([ALONE]) == [
        Membership(ALONE, stub_identity(ALONE), stub=True)
    ]
    assert await NoDirectory().known([ALONE]) == []
    assert await NoDirectory().attackers_of(IDENTITY) == []
