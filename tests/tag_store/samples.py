# SPDX-License-Identifier: AGPL-3.0-or-later
"""Tags to store, and what a test needs to ask and to listen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

import grpc
import orjson
from google.protobuf.timestamp_pb2 import Timestamp
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from decnet_ttp.runtime.bus import connect_bus
from decnet_ttp.runtime.config import Settings
from decnet_ttp.runtime.streams import TTP_STREAM
from decnet_ttp.tag_store.adjustments import AdjustmentRow
from decnet_ttp.v1 import (
    directory_service_pb2_grpc,
    export_service_pb2_grpc,
    rollup_service_pb2_grpc,
    rule_pb2,
    scope_pb2,
    tag_pb2,
    tag_store_service_pb2_grpc,
)

#: 2026-03-05 12:00:00 UTC.
NOON = 1_772_712_000
DAY_S = 86_400

ATTACKER = str(UUID(int=0xA))
OTHER_ATTACKER = str(UUID(int=0xB))
IDENTITY = str(UUID(int=0x1D))
CAMPAIGN = str(UUID(int=0xCA))


#: What a slow machine may take over anything that is waited for, in seconds.
PATIENCE_S = 60.0


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    """Return once a condition holds.

    Raises:
        TimeoutError: It did not in time.
    """
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():
            await asyncio.sleep(0.01)


class StoreClient:
    """Stubs of the four services over one channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.tags = tag_store_service_pb2_grpc.TagStoreServiceStub(channel)
        self.rollups = rollup_service_pb2_grpc.RollupServiceStub(channel)
        self.directory = directory_service_pb2_grpc.DirectoryServiceStub(channel)
        self.exports = export_service_pb2_grpc.ExportServiceStub(channel)


def draft(
    source_id: str,
    technique: str = "T1059.004",
    *,
    tactic: str = "TA0002",
    confidence: float = 0.9,
    rule_id: str = "R0010",
    at: float | None = NOON,
    source_kind: str = "command",
) -> tag_pb2.TagDraft:
    """Return a tag of a technique or sub-technique."""
    parent, _, child = technique.partition(".")
    tag = tag_pb2.TagDraft(
        source_kind=source_kind,
        source_id=source_id,
        rule_id=rule_id,
        rule_version=1,
        tactic=tactic,
        technique_id=parent,
        sub_technique_id=technique if child else "",
        confidence=confidence,
        evidence=tag_pb2.Evidence(command=tag_pb2.CommandEvidence(command_text="bash -i")),
        attack_release="enterprise-v17.1",
    )
    if at is not None:
        tag.observe_time.CopyFrom(Timestamp(seconds=int(at), nanos=round(at % 1 * 1e9)))
    return tag


def group(
    origin: str,
    tags: Sequence[tag_pb2.TagDraft],
    *,
    attacker: str = ATTACKER,
    identity: str = "",
    session: str | None = None,
    decky: str = "decky-1",
) -> tag_pb2.TagGroup:
    """Return the tags of one upstream message; its session is named after it."""
    return tag_pb2.TagGroup(
        origin_id=origin,
        anchor=scope_pb2.Anchor(attacker_uuid=attacker, identity_uuid=identity),
        session_id=f"session-{origin}" if session is None else session,
        decky_id=decky,
        tags=tags,
    )


def verdict(
    attacker: UUID,
    amount: float,
    *,
    at: int | None = 1,
    source_id: str = "intel:1",
    rule_version: int = 1,
) -> AdjustmentRow:
    """Return what R0058 makes of a verdict; the time is in ticks."""
    reason = "aggregate verdict of intel providers"
    return AdjustmentRow(attacker, "R0058", rule_version, amount, reason, "intel", source_id, at)


_MODES = {
    "enabled": rule_pb2.RULE_MODE_ENABLED,
    "disabled": rule_pb2.RULE_MODE_DISABLED,
    "clipped": rule_pb2.RULE_MODE_CLIPPED,
}


def adjusting_rule(mode: str = "enabled", *, ceiling: float = 0.7) -> rule_pb2.Rule:
    """Return R0058 in some state, as the rule-store sends it."""
    state = rule_pb2.RuleState(mode=_MODES[mode], confidence_max=ceiling)
    return rule_pb2.Rule(rule_id="R0058", rule_version=1, state=state)


FLEET = scope_pb2.Scope(fleet=scope_pb2.FleetScope())


def attacker_scope(uuid: str = ATTACKER) -> scope_pb2.Scope:
    """Return the scope of an attacker."""
    return scope_pb2.Scope(attacker_uuid=uuid)


async def announced(settings: Settings) -> list[tuple[str, dict[str, object]]]:
    """Return subject and payload of everything the output stream holds, oldest first."""
    bus = await connect_bus(settings, name="test")
    try:
        subscription = await bus.js.pull_subscribe(
            "ttp.>",
            stream=TTP_STREAM,
            config=ConsumerConfig(deliver_policy=DeliverPolicy.ALL, ack_policy=AckPolicy.NONE),
        )
        left = (await subscription.consumer_info()).num_pending or 0
        found = []
        while len(found) < left:
            messages = await subscription.fetch(min(left - len(found), 500), timeout=PATIENCE_S)
            found += [(each.subject, orjson.loads(each.data)["payload"]) for each in messages]
        return found
    finally:
        await bus.close()
