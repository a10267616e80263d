# SPDX-License-Identifier: AGPL-3.0-or-later
"""A backfill that looks for superseded tags tells the tag-store what the rules make now."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from decnet_ttp.core.errors import FailedPreconditionError, InvalidArgumentError
from decnet_ttp.ingest.backfill import Backfill
from decnet_ttp.ingest.supersession import Supersession
from decnet_ttp.v1 import ingest_service_pb2 as pb
from decnet_ttp.v1 import rule_pb2, rule_store_service_pb2, rule_store_service_pb2_grpc
from ingest.backends import until
from ingest.rig import Rig, Running

RUN = "00000000-0000-4000-8000-000000000001"


class RuleStore(rule_store_service_pb2_grpc.RuleStoreServiceServicer):
    """Lists some rules, two a page."""

    rules = (
        rule_pb2.Rule(rule_id="R0001", rule_version=2),
        rule_pb2.Rule(rule_id="R0002", rule_version=1),
        rule_pb2.Rule(rule_id="R0001d", state=rule_pb2.RuleState(mode=rule_pb2.RULE_MODE_DISABLED)),
        rule_pb2.Rule(rule_id="R0001e", status=rule_pb2.RULE_STATUS_EXPERIMENTAL),
        rule_pb2.Rule(rule_id="R0001s", scoped_states=[rule_pb2.RuleState()]),
    )

    async def ListRules(self, request: Any, context: Any) -> Any:
        start = int(request.page_token or 0)
        answer = rule_store_service_pb2.ListRulesResponse(rules=self.rules[start : start + 2])
        if start + 2 < len(self.rules):
            answer.next_page_token = str(start + 2)
        return answer


@asynccontextmanager
async def judging(rig: Rig, running: Running, folder: Path) -> AsyncIterator[Backfill]:
    """A backfill that knows a rule-store."""
    server = grpc.aio.server()
    rule_store_service_pb2_grpc.add_RuleStoreServiceServicer_to_server(RuleStore(), server)
    target = f"unix:{folder}/rules.sock"
    server.add_insecure_port(target)
    await server.start()
    options = [("grpc.default_authority", "localhost")]
    async with grpc.aio.insecure_channel(target, options=options) as channel:
        stub = rule_store_service_pb2_grpc.RuleStoreServiceStub(channel)
        supersession = Supersession(running.tag_store, stub, running.dispatcher)
        yield Backfill(rig.bus, running.pipeline, supersession)
    await server.stop(0)


def asked(*, retire: bool = False, retirement_uuid: str = RUN) -> pb.RunBackfillRequest:
    request = pb.RunBackfillRequest(
        source="all",
        batch_size=2,
        superseded=True,
        retire=retire,
        retirement_uuid=retirement_uuid,
        requested_by="operator",
        reason="why",
    )
    request.start_time.FromSeconds(1_700_000_000)
    return request


async def history(rig: Rig) -> None:
    """Leave three sessions of two commands, and forget their tags."""
    for number in range(3):
        await rig.publish(f"s{number}", "id", "w")
    await until(rig.settled)
    rig.store.tags.clear()


@pytest.mark.parametrize("retire", [False, True])
async def test_every_event_is_judged_once_with_what_it_gives_now(
    rig: Rig, tmp_path: Path, *, retire: bool
) -> None:
    listed: list[str] = []
    async with rig.ingest() as running, judging(rig, running, tmp_path) as backfill:
        await history(rig)
        async for progress in backfill.run(asked(retire=retire)):
            listed += [tag.source_id for tag in progress.superseded]
    assert sorted(listed) == [
        f"s{session}#cmd{command}" for session in range(3) for command in (0, 1)
    ]
    assert (progress.superseded_count, progress.retired_count) == (6, 6 * retire)
    assert len(rig.store.tags) == 6 * retire
    (found,) = rig.store.found
    passed_over = {rule.rule_id: rule.passed_over for rule in found.rules}
    assert passed_over == {
        "R0001": False,
        "R0002": True,
        "R0001d": True,
        "R0001e": True,
        "R0001s": True,
    }
    *batches, last = rig.store.judged
    assert last.done
    assert {batch.run_uuid for batch in rig.store.judged} == {RUN}
    for batch in batches:
        assert (batch.retire, batch.requested_by, batch.reason) == (retire, "operator", "why")
        assert [(each.event, each.rule_id) for each in batch.made] == [
            (number, "R0001") for number in range(len(batch.events))
        ]


async def test_a_search_needs_the_rule_store_and_a_uuid(rig: Rig, tmp_path: Path) -> None:
    async with rig.ingest() as running, judging(rig, running, tmp_path) as backfill:
        with pytest.raises(FailedPreconditionError):
            await anext(running.backfill.run(asked()))
        with pytest.raises(InvalidArgumentError):
            await anext(backfill.run(asked(retirement_uuid="")))
        alone = asked(retire=True)
        alone.superseded = False
        with pytest.raises(InvalidArgumentError):
            await anext(backfill.run(alone))
    assert rig.store.found == []
