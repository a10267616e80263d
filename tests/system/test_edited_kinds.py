# SPDX-License-Identifier: AGPL-3.0-or-later
"""A rule edited to read a kind that nobody read before gets the first event of that kind."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from decnet_ttp.core.addresses import attacker_uuid
from decnet_ttp.runtime.bus import Bus, Envelope, connect_bus
from decnet_ttp.runtime.config import Settings
from decnet_ttp.runtime.streams import ensure_streams
from decnet_ttp.v1 import (
    scope_pb2,
    tag_store_service_pb2,
    tag_store_service_pb2_grpc,
    tagger_service_pb2,
    tagger_service_pb2_grpc,
)
from system.spread import Spread

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

IP = "198.51.100.77"
OPTIONS = [("grpc.default_authority", "localhost")]
EVERY_S = 0.02
#: Messages of half a second; counted, since a slow machine is slow at publishing, too.
LIVE_AFTER = 20

RULE = """\
rule_id: R9001
rule_version: {version}
name: probe
description: Looks for a word.
applies_to: [{kind}]
match: {{field: {field}, pattern: 'probe'}}
emits: [{{tactic: TA0011, technique_id: T1105, confidence: 0.8}}]
tests:
  match: [{{payload: {{{field}: "a probe"}}, techniques: [T1105]}}]
  no_match: [{{payload: {{{field}: "nothing"}}}}]
"""


async def publish(bus: Bus, ident: str) -> None:
    payload = {"source_id": ident, "subject": "a probe", "attacker_ip": IP}
    envelope = Envelope(topic="email.received", type="received", id=ident, payload=payload)
    await bus.js.publish(envelope.topic, envelope.encode(), headers=envelope.headers)


async def tagged(store: Any) -> set[str]:
    scope = scope_pb2.Scope(attacker_uuid=str(attacker_uuid(IP)))
    request = tag_store_service_pb2.ListTagsRequest(scope=scope, page_size=1_000)
    return {tag.source_id for tag in (await store.ListTags(request, timeout=60)).tags}


async def until_read(tagger: Any, kind: str) -> None:
    while True:
        request = tagger_service_pb2.DescribeTaggerRequest()
        answer = await tagger.DescribeTagger(request, timeout=60)
        if any(kind in each.source_kinds for each in answer.lifters):
            return
        await asyncio.sleep(EVERY_S)


async def test_events_of_a_kind_new_to_all_taggers_are_tagged_at_once(
    nats_url: str, database_url: str, tmp_path: Path
) -> None:
    """Half a second after the tagger reads it, each is; asked every 5 s they would not be."""
    rules = tmp_path / "rules" / "ttp"
    rules.mkdir(parents=True)
    path = rules / "R9001.yaml"
    path.write_text(RULE.format(version=1, kind="command", field="command_text"))
    bus = await connect_bus(Settings(nats_url=nats_url), name="test")
    try:
        await ensure_streams(bus.js)
        environ = {"DECNET_TTP_RULES_DIR": str(rules.parent)}
        async with (
            asyncio.timeout(500),
            Spread(tmp_path, ["rule_engine"], database_url, nats_url, environ) as spread,
            grpc.aio.insecure_channel(spread.target("rule_engine"), options=OPTIONS) as to_tagger,
            grpc.aio.insecure_channel(spread.target("tag-store"), options=OPTIONS) as to_store,
        ):
            tagger = tagger_service_pb2_grpc.TaggerServiceStub(to_tagger)
            store = tag_store_service_pb2_grpc.TagStoreServiceStub(to_store)
            path.write_text(RULE.format(version=2, kind="email", field="subject"))
            await until_read(tagger, "email")
            published: list[str] = []
            while not (found := await tagged(store)):
                published.append(f"mail-{len(published)}")
                await publish(bus, published[-1])
                await asyncio.sleep(EVERY_S)
            assert min(published.index(ident) for ident in found) < LIVE_AFTER
    finally:
        await bus.close()
