# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp identities` and `decnet-ttp suspects`: their rows in each form."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import pytest
import pytest_asyncio
from google.protobuf.struct_pb2 import ListValue, Value
from google.protobuf.timestamp_pb2 import Timestamp

from decnet_ttp.attribution.directory import stub_identity
from decnet_ttp.core.errors import NotFoundError
from decnet_ttp.runtime.boundary import ErrorInterceptor
from decnet_ttp.v1 import attribution_service_pb2 as pb
from decnet_ttp.v1 import attribution_service_pb2_grpc as pb_grpc

WHO = "11111111-1111-4111-8111-111111111111"
ATTACKER = UUID("6a7f3a4e-0a3b-5a52-93a5-6f0c3f1f7b11")


class FakeAttribution(pb_grpc.AttributionServiceServicer):
    """Answers with what the test put in."""

    def __init__(self) -> None:
        self.profiles: dict[str, list[pb.PrimitiveState]] = {}
        self.changes: list[pb.StateChange] = []
        self.observations: list[pb.Observation] = []
        self.suspects: list[pb.MultiActorSuspect] = []
        self.asked: list[Any] = []
        self.target = ""

    async def GetIdentityProfile(self, request: Any, context: Any) -> Any:
        if request.identity_uuid not in self.profiles:
            raise NotFoundError("nothing was observed of this identity")
        return pb.GetIdentityProfileResponse(states=self.profiles[request.identity_uuid])

    async def ListStateChanges(self, request: Any, context: Any) -> Any:
        return pb.ListStateChangesResponse(changes=self.changes)

    async def ListObservations(self, request: Any, context: Any) -> Any:
        self.asked.append(request)
        return pb.ListObservationsResponse(observations=self.observations)

    async def ListMultiActorSuspects(self, request: Any, context: Any) -> Any:
        return pb.ListMultiActorSuspectsResponse(suspects=self.suspects)


@pytest_asyncio.fixture
async def attribution(tag_store: Any) -> AsyncIterator[FakeAttribution]:
    """The service on a Unix socket beside the tag-store's."""
    servicer = FakeAttribution()
    folder = Path(tag_store.target.removeprefix("unix:")).parent
    servicer.target = f"unix:{folder}/attribution.sock"
    server = grpc.aio.server(interceptors=[ErrorInterceptor()])
    pb_grpc.add_AttributionServiceServicer_to_server(servicer, server)
    server.add_insecure_port(servicer.target)
    await server.start()
    yield servicer
    await server.stop(grace=None)


@pytest.fixture
def show(piped: Any, attribution: FakeAttribution) -> Any:
    """Run the program against the service."""

    async def run(*args: object) -> Any:
        return await piped(*args, ATTRIBUTION=attribution.target)

    return run


@pytest.fixture
def states(at: Callable[[str], Timestamp]) -> list[pb.PrimitiveState]:
    """A settled habit, a number, and a list with a character no terminal may see."""
    seen, changed = at("2026-03-02T11:00:00Z"), at("2026-03-01T10:00:00Z")
    return [
        pb.PrimitiveState(
            primitive="motor.keystroke_cadence",
            value=Value(string_value="steady"),
            state=pb.STATE_KIND_STABLE,
            confidence=0.8,
            observation_count=7,
            last_change_time=changed,
            last_observation_time=seen,
        ),
        pb.PrimitiveState(
            primitive="toolchain.c2.beacon_interval_ms",
            value=Value(number_value=60000),
            state=pb.STATE_KIND_MULTI_ACTOR,
            confidence=0.6,
            observation_count=5,
        ),
        pb.PrimitiveState(
            primitive="toolchain.http.body_oddities",
            value=Value(list_value=ListValue(values=[Value(string_value="a\x1b[2J")])),
            state=pb.STATE_KIND_UNKNOWN,
            observation_count=1,
        ),
    ]


async def test_a_profile_is_one_row_per_primitive(
    show: Any, attribution: FakeAttribution, states: list[pb.PrimitiveState]
) -> None:
    attribution.profiles[WHO] = states
    done = await show("identities", "show", WHO)
    assert (done.code, done.err) == (0, "")
    rows = [line.split("\t") for line in done.lines]
    assert rows[1] == [
        *("motor.keystroke_cadence", "steady", "stable", "0.80", "7"),
        *("2026-03-01 10:00:00", "2026-03-02 11:00:00"),
    ]
    assert rows[2][:5] == ["toolchain.c2.beacon_interval_ms", "60000", "multi actor", "0.60", "5"]
    assert rows[3][1] == '["a\\u001b[2J"]'


async def test_json_is_the_message_with_the_identity(
    show: Any, attribution: FakeAttribution, states: list[pb.PrimitiveState]
) -> None:
    attribution.profiles[WHO] = states[:1]
    answer = (await show("identities", "show", WHO, "--json")).json()
    assert answer["identity_uuid"] == WHO
    assert answer["states"][0]["state"] == "STATE_KIND_STABLE"
    assert answer["states"][0]["value"] == "steady"


async def test_an_attacker_stands_for_its_identity(
    show: Any, attribution: FakeAttribution, states: list[pb.PrimitiveState]
) -> None:
    attribution.profiles[str(stub_identity(ATTACKER))] = states[:1]
    answer = (await show("identities", "show", str(ATTACKER), "--json")).json()
    assert answer["identity_uuid"] == str(stub_identity(ATTACKER))


async def test_who_was_never_observed_is_an_error(show: Any) -> None:
    done = await show("identities", "show", WHO)
    assert done.code == 1
    assert done.err == "decnet-ttp: nothing was observed of this identity\n"


async def test_changes_and_observations_are_listed(
    show: Any,
    attribution: FakeAttribution,
    states: list[pb.PrimitiveState],
    at: Callable[[str], Timestamp],
) -> None:
    attribution.profiles[WHO] = states
    attribution.changes = [
        pb.StateChange(
            primitive="p", new_state=pb.STATE_KIND_UNKNOWN, change_time=at("2026-03-01T10:00:00Z")
        )
    ]
    attribution.observations = [
        pb.Observation(
            primitive="p",
            value=Value(bool_value=True),
            confidence=0.9,
            attacker_uuid=str(ATTACKER),
            evidence_ref="shard:a#1",
            observe_time=at("2026-03-01T10:00:00Z"),
        )
    ]
    changes = await show("identities", "show", WHO, "--changes")
    assert changes.lines[1].split("\t") == ["2026-03-01 10:00:00", "p", "-", "unknown"]
    observations = await show("identities", "show", WHO, "--primitive", "p")
    assert observations.lines[1].split("\t") == [
        *("2026-03-01 10:00:00", "p", "true", "0.90", str(ATTACKER), "shard:a#1")
    ]
    assert attribution.asked[0].primitive == "p"
    both = await show("identities", "show", WHO, "--changes", "--observations")
    assert both.code == 2


async def test_suspects(
    show: Any, attribution: FakeAttribution, at: Callable[[str], Timestamp]
) -> None:
    none = await show("suspects")
    assert (none.code, none.out) == (0, "")
    assert none.err == "no identity looks like several people\n"
    attribution.suspects = [
        pb.MultiActorSuspect(
            identity_uuid=WHO,
            primitives=["a", "b"],
            confidence=0.6,
            suspect_time=at("2026-03-01T10:00:00Z"),
        )
    ]
    done = await show("suspects")
    assert done.lines[1].split("\t") == [WHO, "0.60", "2026-03-01 10:00:00", "a, b"]
    assert (await show("suspects", "--json")).json()[0]["primitives"] == ["a", "b"]
