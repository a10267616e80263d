# SPDX-License-Identifier: AGPL-3.0-or-later
"""Each lifter in a process of its own: one that is away costs its own tags, for a while."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

import grpc
import pytest
from benchmarks.installation import DURABLE

from decnet_ttp.attack import load_catalogue
from decnet_ttp.core.addresses import attacker_uuid
from decnet_ttp.ingest.lag import read_lag
from decnet_ttp.rule_store.loader import load_pack
from decnet_ttp.rule_store.vocabulary import Vocabulary
from decnet_ttp.runtime.bus import Bus, connect_bus
from decnet_ttp.runtime.config import Settings
from decnet_ttp.runtime.streams import ensure_streams
from decnet_ttp.tagger.lifter import ENTRY_POINT_GROUP, load_lifters
from decnet_ttp.v1 import scope_pb2, tag_store_service_pb2, tag_store_service_pb2_grpc
from system.every_kind import identity_of, messages
from system.spread import Spread

pytestmark = [pytest.mark.system, pytest.mark.faults, pytest.mark.timeout(1800)]

LIFTERS = sorted(entry.name for entry in entry_points(group=ENTRY_POINT_GROUP))
RULES = Path(__file__).resolve().parents[2] / "rules"

#: Rule, technique, sub-technique, kind of event.
Label = tuple[str, str, str, str]


def owners() -> dict[str, str]:
    """Return the lifter of each rule."""
    rules = load_pack([RULES], Vocabulary(load_catalogue()), with_examples=False).rules
    lifters = load_lifters([], RULES)
    return {
        rule.message.rule_id: lifter.name
        for rule in rules
        for lifter in lifters
        if lifter.owns(rule.message)
    }


@dataclass
class Watched:
    """An installation, its bus and its tags.

    Attributes:
        spread: The processes.
        bus: Its bus.
        store: Its tag-store.
        owner: Lifter of each rule.
    """

    spread: Spread
    bus: Bus
    store: tag_store_service_pb2_grpc.TagStoreServiceStub
    owner: dict[str, str]

    async def publish(self, name: str, ip: str) -> None:
        """Publish one message of every sort."""
        for envelope in messages(name, ip):
            await self.bus.js.publish(envelope.topic, envelope.encode(), headers=envelope.headers)

    async def labels(self, name: str, ip: str) -> dict[str, set[Label]]:
        """Return what is stored of a lot of messages, by lifter."""
        found: dict[str, set[Label]] = {lifter: set() for lifter in LIFTERS}
        scopes = (
            scope_pb2.Scope(attacker_uuid=str(attacker_uuid(ip))),
            scope_pb2.Scope(identity_uuid=identity_of(name)),
        )
        for scope in scopes:
            request = tag_store_service_pb2.ListTagsRequest(scope=scope, page_size=1_000)
            answer = await self.store.ListTags(request, timeout=60)
            for tag in answer.tags:
                label = (tag.rule_id, tag.technique_id, tag.sub_technique_id, tag.source_kind)
                found[self.owner[tag.rule_id]].add(label)
        return found

    async def until(
        self, name: str, ip: str, expected: dict[str, set[Label]], within_s: float = 240
    ) -> None:
        """Wait until what is stored is as expected.

        Raises:
            AssertionError: It did not come to that in time; says what was stored.
        """
        found: dict[str, set[Label]] = {}
        try:
            async with asyncio.timeout(within_s):
                while (found := await self.labels(name, ip)) != expected:
                    await asyncio.sleep(0.05)
        except TimeoutError:
            assert found == expected

    async def settle(self) -> None:
        """Wait until ingest has acknowledged everything."""
        async with asyncio.timeout(60):
            while True:
                lag = await read_lag(self.bus, DURABLE)
                if lag.pending == 0 and lag.unacknowledged == 0:
                    return
                await asyncio.sleep(0.05)


async def test_stopping_any_lifter_leaves_the_others_tags_and_delays_its_own(
    nats_url: str, database_url: str, tmp_path: Path
) -> None:
    bus = await connect_bus(Settings(nats_url=nats_url), name="test")
    try:
        await ensure_streams(bus.js)
        async with (
            Spread(tmp_path, LIFTERS, database_url, nats_url) as spread,
            grpc.aio.insecure_channel(
                spread.target("tag-store"), options=[("grpc.default_authority", "localhost")]
            ) as channel,
        ):
            store = tag_store_service_pb2_grpc.TagStoreServiceStub(channel)
            watched = Watched(spread, bus, store, owners())
            await watched.publish("quiet", "198.51.100.1")
            await watched.settle()
            whole = await watched.labels("quiet", "198.51.100.1")
            assert [lifter for lifter, labels in whole.items() if not labels] == []
            for number, stopped in enumerate(LIFTERS):
                name, ip = f"without-{stopped}", f"198.51.100.{10 + number}"
                assert await spread.stop(stopped) == 0
                await watched.publish(name, ip)
                await watched.until(name, ip, {**whole, stopped: set()})
                await spread.start(stopped)
                await watched.until(name, ip, whole)
    finally:
        await bus.close()
