# SPDX-License-Identifier: AGPL-3.0-or-later
"""The servers beneath go away and come back while the service runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from attribution.observing import ATTACKER, START_S, message
from attribution.process import Service, until
from decnet_ttp.attribution.directory import stub_identity
from decnet_ttp.core.errors import DecnetError
from decnet_ttp.embedded.nats import NatsServer
from decnet_ttp.embedded.postgres import PostgresServer
from decnet_ttp.runtime.bus import Bus, connect_bus
from decnet_ttp.runtime.clients import call
from decnet_ttp.runtime.config import Settings
from decnet_ttp.runtime.streams import ensure_streams
from decnet_ttp.v1 import attribution_service_pb2 as pb
from decnet_ttp.v1.attribution_service_pb2_grpc import AttributionServiceStub


async def _publish(bus: Bus, first: int, count: int) -> None:
    for place in range(first, first + count):
        item = message("steady", evidence=f"e{place}", at_s=START_S + place)
        await bus.js.publish(item.topic, item.encode(), timeout=30.0)


async def _count(service: Service) -> int:
    request = pb.GetIdentityProfileRequest(identity_uuid=str(stub_identity(ATTACKER)))
    stub = AttributionServiceStub(service.channel)
    try:
        answer = await call(stub.GetIdentityProfile, request, timeout_s=5.0)
    except DecnetError:
        return -1
    return answer.states[0].observation_count


@pytest.mark.faults
async def test_rides_out_restarts_of_database_and_bus(tmp_path: Path) -> None:
    nats, postgres = NatsServer(tmp_path / "nats"), PostgresServer(tmp_path / "postgres")
    nats_url, database_url = await nats.start(), await postgres.start()
    bus = await connect_bus(Settings(nats_url=nats_url), name="test")
    await ensure_streams(bus.js)
    service = Service(tmp_path, nats_url=nats_url, database_url=database_url)

    async def arrived() -> bool:
        return await _count(service) == sent

    async def not_serving() -> bool:
        return not await service.serving()

    try:
        await service.start()
        await until(service.serving)
        pid = service.pid
        sent = 10
        await _publish(bus, 0, 10)
        await until(arrived)
        await postgres.stop()
        await until(not_serving)
        sent = 20
        await _publish(bus, 10, 10)
        await postgres.start()
        await until(arrived)
        await nats.stop()
        await until(not_serving)
        await nats.start()
        sent = 30
        await _publish(bus, 20, 10)
        await until(arrived)
        await until(service.serving)
        assert service.pid == pid
        assert await service.stop() == 0
    finally:
        await service.close()
        await bus.close()
        await nats.stop()
        await postgres.stop()
