# SPDX-License-Identifier: AGPL-3.0-or-later
"""The whole service: bus in, states out, over real servers."""

from __future__ import annotations

import random
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import grpc
import orjson
import psutil
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from attribution.observing import ATTACKER, START_S, message
from attribution.process import DEADLINE_S, Service, directory, until
from decnet_ttp.attribution.batch import Batch
from decnet_ttp.attribution.database import Database
from decnet_ttp.attribution.directory import NoDirectory, stub_identity
from decnet_ttp.attribution.observations import read_observation
from decnet_ttp.attribution.primitives import Registry
from decnet_ttp.attribution.store import Store
from decnet_ttp.core.errors import InvalidArgumentError, NotFoundError
from decnet_ttp.embedded.nats import NatsServer
from decnet_ttp.runtime.bus import Bus, Envelope, connect_bus
from decnet_ttp.runtime.clients import call
from decnet_ttp.runtime.config import Settings
from decnet_ttp.runtime.streams import ensure_streams
from decnet_ttp.v1 import attribution_service_pb2 as pb
from decnet_ttp.v1.attribution_service_pb2_grpc import AttributionServiceStub

WHO = str(stub_identity(ATTACKER))
GARBLED = "AAAA"

CADENCE = "motor.keystroke_cadence"
HASSH = "toolchain.ssh.hassh_client"
#: No registry knows it.
SHELL = "toolchain.shell"
VALUES = {CADENCE: {"A": "steady", "B": "bursty"}}


@pytest_asyncio.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    """A connection of a sensor."""
    connected = await connect_bus(Settings(nats_url=nats_url), name="sensor")
    await ensure_streams(connected.js)
    yield connected
    await connected.close()


@pytest_asyncio.fixture
async def service(
    tmp_path: Path, nats_url: str, database_url: str, bus: Bus
) -> AsyncIterator[Service]:
    """The service without a directory, ready."""
    made = Service(tmp_path, nats_url=nats_url, database_url=database_url)
    await made.start()
    await until(made.serving)
    yield made
    await made.close()


async def publish(bus: Bus, messages: Sequence[Envelope]) -> None:
    for item in messages:
        await bus.js.publish(item.topic, item.encode(), headers=item.headers)


async def count(service: Service, identity: str = WHO) -> int:
    """Observations of an identity."""
    stub = AttributionServiceStub(service.channel)
    try:
        answer = await call(
            stub.GetIdentityProfile,
            pb.GetIdentityProfileRequest(identity_uuid=identity),
            timeout_s=DEADLINE_S,
            attempts_s=DEADLINE_S,
        )
    except NotFoundError:
        return 0
    return sum(state.observation_count for state in answer.states)


def habit(values: str, primitive: str = CADENCE) -> list[Envelope]:
    """One observation per recording; letters stand for the values of a primitive."""
    return [
        message(
            VALUES.get(primitive, {}).get(value, value),
            primitive=primitive,
            evidence=f"shard:{place}",
            at_s=START_S + place,
        )
        for place, value in enumerate(values)
    ]


async def test_observations_become_a_profile(service: Service, bus: Bus) -> None:
    await publish(bus, habit("ABABABA"))
    await publish(bus, habit("xxxx", primitive=SHELL))
    await publish(bus, habit("hh", primitive=HASSH))

    async def arrived() -> bool:
        return await count(service) == 13

    await until(arrived)
    stub = AttributionServiceStub(service.channel)
    profile = await stub.GetIdentityProfile(pb.GetIdentityProfileRequest(identity_uuid=WHO))
    cadence, shell, hassh = profile.states
    assert cadence.primitive == CADENCE
    assert cadence.state == pb.STATE_KIND_MULTI_ACTOR
    assert cadence.value.string_value == "steady"
    assert cadence.confidence == pytest.approx(0.6)
    assert cadence.observation_count == 7
    assert cadence.last_observation_time.seconds == START_S + 6
    assert shell.state == pb.STATE_KIND_STABLE
    assert shell.last_change_time.seconds == START_S + 2
    # The registry says that it is a fingerprint, which needs no third observation.
    assert hassh.state == pb.STATE_KIND_STABLE
    assert hassh.last_change_time.seconds == START_S

    request = pb.ListObservationsRequest(identity_uuid=WHO, page_size=4)
    seen: list[tuple[str, str]] = []
    while True:
        page = await stub.ListObservations(request)
        seen += [(item.primitive, item.evidence_ref) for item in page.observations]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert len(seen) == len(set(seen)) == 13
    assert [ref for name, ref in seen if name == SHELL] == [
        f"shard:{place}" for place in (3, 2, 1, 0)
    ]
    one = await stub.ListObservations(
        pb.ListObservationsRequest(identity_uuid=WHO, primitive=SHELL, page_size=1)
    )
    assert one.observations[0].value.string_value == "x"
    assert one.observations[0].attacker_uuid == str(ATTACKER)
    assert one.observations[0].confidence == 0.9

    changes = await stub.ListStateChanges(
        pb.ListStateChangesRequest(identity_uuid=WHO, page_size=2)
    )
    assert [change.new_state for change in changes.changes] == [
        pb.STATE_KIND_MULTI_ACTOR,
        pb.STATE_KIND_STABLE,
    ]
    assert changes.changes[0].old_state == pb.STATE_KIND_CONFLICTED
    last = await stub.ListStateChanges(
        pb.ListStateChangesRequest(
            identity_uuid=WHO, page_size=2, page_token=changes.next_page_token
        )
    )
    assert len(last.changes) == 2
    suspects = await stub.ListMultiActorSuspects(pb.ListMultiActorSuspectsRequest())
    assert list(suspects.suspects) == []


async def test_wrong_questions_are_told_apart(service: Service) -> None:
    stub = AttributionServiceStub(service.channel)
    with pytest.raises(NotFoundError):
        await call(
            stub.GetIdentityProfile,
            pb.GetIdentityProfileRequest(identity_uuid=WHO),
            timeout_s=DEADLINE_S,
        )
    wrong: list[tuple[Any, Any]] = [
        (stub.GetIdentityProfile, pb.GetIdentityProfileRequest(identity_uuid="me")),
        (stub.ListStateChanges, pb.ListStateChangesRequest(identity_uuid=WHO, page_size=-1)),
        (stub.ListObservations, pb.ListObservationsRequest(identity_uuid=WHO, page_token=GARBLED)),
        (stub.ListMultiActorSuspects, pb.ListMultiActorSuspectsRequest(page_token=GARBLED)),
    ]
    for method, request in wrong:
        with pytest.raises(InvalidArgumentError):
            await call(method, request, timeout_s=DEADLINE_S)


async def test_what_cannot_be_used_is_buried_with_its_reason(service: Service, bus: Bus) -> None:
    nobody, unheard_of = message("steady", attacker=None), message("AB")
    await publish(bus, [nobody, unheard_of, *habit("A")])

    async def arrived() -> bool:
        return await count(service) == 1

    await until(arrived)
    for place, (sent, why) in enumerate(
        [(nobody, "no_attacker: "), (unheard_of, "value_not_allowed: ")], start=1
    ):
        letter = await bus.js.get_msg("DECNET_TTP_DLQ", place)
        assert letter.data == sent.encode()
        assert letter.subject == "dlq.ttp.refused"
        assert (letter.headers or {})["Decnet-Reason"] == "REFUSED"
        assert (letter.headers or {})["Decnet-Detail"].startswith(why)


async def test_uses_no_more_than_its_share_of_memory(service: Service) -> None:
    used = psutil.Process(service.pid).memory_info().rss
    assert used < 120e6


async def test_waits_for_servers_that_start_later(tmp_path: Path, database_url: str) -> None:
    nats = NatsServer(tmp_path / "nats")
    url = await nats.start()
    await nats.stop()
    service = Service(tmp_path, nats_url=url, database_url=database_url)
    try:
        await service.start()
        await until(service.answers)
        assert not await service.serving()
        assert await service.stop() == 0
        await service.start()
        await until(service.answers)
        await nats.start()
        await until(service.serving)
        assert await service.stop() == 0
    finally:
        await service.close()
        await nats.stop()


async def test_an_unknown_attacker_waits_until_the_directory_knows_it(
    tmp_path: Path, nats_url: str, database_url: str, bus: Bus
) -> None:
    identity = UUID(int=42)
    async with AsyncExitStack() as stack:
        known, target = await stack.enter_async_context(directory(tmp_path))
        service = Service(
            tmp_path,
            nats_url=nats_url,
            database_url=database_url,
            tag_store=target,
            anchor_policy="park",
        )
        stack.push_async_callback(service.close)
        await service.start()
        await until(service.serving)
        await publish(bus, habit("AAA"))
        connection = await asyncpg.connect(database_url)
        stack.push_async_callback(connection.close)

        async def parked() -> bool:
            return bool(await connection.fetchval("SELECT count(*) FROM attribution.parked") == 3)

        async def arrived() -> bool:
            return await count(service, str(identity)) == 3

        await until(parked)
        known.identities[str(ATTACKER)] = str(identity)
        await until(arrived)
        assert await connection.fetchval("SELECT count(*) FROM attribution.parked") == 0


@pytest.mark.faults
async def test_killed_again_and_again_it_loses_and_doubles_nothing(
    tmp_path: Path, nats_url: str, database_url: str, bus: Bus
) -> None:
    """Same states and the same announcements in the same order as without a crash."""
    rng = random.Random(11)  # noqa: S311 - seeded test input
    sent = [
        message(
            rng.choice("AAAB"),
            primitive=f"p{rng.randrange(3)}",
            evidence=f"e{rng.randrange(800)}",
            at_s=START_S + place,
            attacker=UUID(int=rng.randrange(1, 6)),
        )
        for place in range(1_500)
    ]
    service = Service(
        tmp_path, nats_url=nats_url, database_url=database_url, ingest_batch_messages="40"
    )
    connection = await asyncpg.connect(database_url)
    try:
        for part in range(5):
            await service.start()
            await publish(bus, sent[part * 300 : part * 300 + 300])
            # The kills fall at different points of starting and of working.
            if part % 2:
                await until(service.serving)
            assert await service.stop(signal.SIGKILL) == -signal.SIGKILL
        await service.start()

        async def done() -> bool:
            if not await service.serving():
                return False
            # What NATS counts as pending may lack what it stored a moment ago.
            read = await connection.fetchval("SELECT sequence FROM attribution.place")
            left = await connection.fetchval("SELECT count(*) FROM attribution.outbox")
            return bool(read == len(sent) and not left)

        await until(done)
        assert await service.stop() == 0
        told = await _announcements(bus)
        states = await connection.fetch(_STATES)
        await _record_undisturbed(database_url, sent)
        expected = await connection.fetch(_TRANSITIONS)
        assert await connection.fetch(_STATES) == states
        assert told == [tuple(row) for row in expected]
    finally:
        await connection.close()
        await service.close()


_STATES = "SELECT * FROM attribution.states ORDER BY identity_uuid, primitive"
_TRANSITIONS = """
SELECT identity_uuid::text, primitive, old_state, new_state, extract(epoch FROM changed_at)::float8
FROM attribution.transitions ORDER BY id
"""


async def _announcements(bus: Bus) -> list[tuple[Any, ...]]:
    total = (await bus.js.stream_info("DECNET_TTP")).state.messages
    told = []
    for sequence in range(1, total + 1):
        stored = await bus.js.get_msg("DECNET_TTP", sequence)
        payload = orjson.loads(stored.data or b"")["payload"]
        if "new_state" in payload:
            names = ("identity_uuid", "primitive", "old_state", "new_state", "ts")
            told.append(tuple(payload[name] for name in names))
    return told


async def _record_undisturbed(database_url: str, sent: Sequence[Envelope]) -> None:
    database = Database(database_url)
    await database.open()
    try:
        async with database.connection() as connection:
            await connection.execute("TRUNCATE members, observations, states, transitions, outbox")
        observations = [
            read_observation(
                item.encode(), subject=item.topic, published_s=item.ts, registry=Registry()
            )
            for item in sent
        ]
        members = await NoDirectory().resolve({item.attacker for item in observations})
        await Store(database, Registry()).record(Batch(observations, members))
    finally:
        await database.close()


async def test_without_its_consumer_it_begins_where_the_database_ended(
    tmp_path: Path, nats_url: str, database_url: str, bus: Bus
) -> None:
    """As after a kill between removing the consumer and making it anew; no letter is doubled."""
    service = Service(tmp_path, nats_url=nats_url, database_url=database_url)
    try:
        await service.start()
        await until(service.serving)
        await publish(bus, [message("steady", attacker=None), *habit("AA")])

        async def arrived() -> bool:
            return await count(service) == expected

        expected = 2
        await until(arrived)
        assert await service.stop() == 0
        await bus.js.delete_consumer("DECNET_EVENTS", "attribution")
        await bus.js.purge_stream("DECNET_TTP_DLQ")
        await publish(bus, habit("AAAAA")[2:])
        await service.start()
        await until(service.serving)
        expected = 5
        await until(arrived)
        assert (await bus.js.stream_info("DECNET_TTP_DLQ")).state.messages == 0
        connection = await asyncpg.connect(database_url)
        refused = await connection.fetchval("SELECT sum(count) FROM attribution.refusals")
        await connection.close()
        assert refused == 1
    finally:
        await service.close()


async def test_two_replicas_answer_and_one_of_them_takes_over(
    tmp_path: Path, nats_url: str, database_url: str, bus: Bus
) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    services = []
    for folder in folders:
        folder.mkdir()
        services.append(Service(folder, nats_url=nats_url, database_url=database_url))
    try:
        for service in services:
            await service.start()
            await until(service.serving)
        await publish(bus, habit("AA"))

        async def first() -> bool:
            return await count(services[1]) == 2

        async def second() -> bool:
            return await count(services[1]) == 5

        await until(first)
        (leader,) = (place for place, each in enumerate(services) if '"leading"' in each.log)
        await services[leader].stop(signal.SIGKILL)
        if leader == 1:
            services.reverse()
        await publish(bus, habit("AAAAA"))
        await until(second)
    finally:
        for service in services:
            await service.close()


async def test_reflection_and_health_name_the_service(service: Service) -> None:
    stub = health_pb2_grpc.HealthStub(service.channel)
    answer = await stub.Check(
        health_pb2.HealthCheckRequest(service="decnet_ttp.v1.AttributionService")
    )
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.aio.AioRpcError) as unknown:
        await stub.Check(health_pb2.HealthCheckRequest(service="no.such.Service"))
    assert unknown.value.code() == grpc.StatusCode.NOT_FOUND
