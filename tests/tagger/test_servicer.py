# SPDX-License-Identifier: AGPL-3.0-or-later
"""The tagger as its callers meet it: over a socket, with a rule-store behind it."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from decnet_ttp.attack import Catalogue
from decnet_ttp.core.errors import InvalidArgumentError, NotFoundError, UnavailableError
from decnet_ttp.runtime.clients import call
from decnet_ttp.tagger.evaluation import Evaluation
from decnet_ttp.tagger.lifters.rule_engine import RuleEngine
from decnet_ttp.tagger.rule_follower import RuleFollower
from decnet_ttp.tagger.servicer import TaggerServicer
from decnet_ttp.v1 import (
    event_pb2,
    rule_pb2,
    tagger_service_pb2,
)
from matching.builders import command, every, field, no, rule
from tagger.rule_stores import OPTIONS, ScriptedStore, serving_store, until
from tagger.serving import Stub, serving_tagger

WHOAMI = rule("R1", field("command_text", pattern="whoami"))
#: Costs nothing when all is well; machines that run tests are slow at times.
TIMEOUT_S = 60.0


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[tuple[ScriptedStore, str]]:
    async with serving_store(tmp_path) as served:
        yield served


def batch(*events: event_pb2.Event) -> tagger_service_pb2.TagEventsRequest:
    return tagger_service_pb2.TagEventsRequest(
        groups=[event_pb2.EventGroup(origin_id="o", events=events)]
    )


async def fired(stub: Stub, *events: event_pb2.Event) -> list[str]:
    answer = await call(stub.TagEvents, batch(*events), timeout_s=TIMEOUT_S)
    return [each.rule_id for group in answer.groups for each in group.tags]


async def test_without_rules_a_caller_is_asked_to_try_again(
    store: tuple[ScriptedStore, str], tmp_path: Path, catalogue: Catalogue
) -> None:
    script, target = store
    async with serving_tagger(tmp_path, target, catalogue) as (stub, follower):
        with pytest.raises(UnavailableError) as raised:
            await fired(stub, command("whoami"))
        assert raised.value.reason == "RULES_NOT_LOADED"
        # What it reads follows from its rules: an answer before they are there would hide kinds.
        describe = tagger_service_pb2.DescribeTaggerRequest()
        with pytest.raises(UnavailableError) as raised:
            await call(stub.DescribeTagger, describe, timeout_s=TIMEOUT_S)
        assert raised.value.reason == "RULES_NOT_LOADED"
        script.snapshot(WHOAMI)
        await until(lambda: follower.loaded)
        (lifter,) = (await call(stub.DescribeTagger, describe, timeout_s=TIMEOUT_S)).lifters
        assert (lifter.name, lifter.rule_count) == ("rule_engine", 1)
        assert await fired(stub, command("whoami"), command("ls")) == ["R1"]


async def test_an_empty_snapshot_counts_as_loaded(
    store: tuple[ScriptedStore, str], tmp_path: Path, catalogue: Catalogue
) -> None:
    script, target = store
    async with serving_tagger(tmp_path, target, catalogue) as (stub, follower):
        script.snapshot()
        await until(lambda: follower.loaded)
        assert await fired(stub, command("whoami")) == []


async def test_changes_deletions_and_a_new_snapshot_take_effect(
    store: tuple[ScriptedStore, str], tmp_path: Path, catalogue: Catalogue
) -> None:
    script, target = store
    async with serving_tagger(tmp_path, target, catalogue) as (stub, follower):
        script.snapshot(WHOAMI, rule("R2", field("command_text", pattern="id")), revision=4)
        script.change(rule("R3", field("command_text", contains=["w"])), revision=5)
        await until(lambda: follower.revision == 5)
        assert await fired(stub, command("whoami; id")) == ["R1", "R2", "R3"]
        script.delete("R2", revision=6)
        await until(lambda: follower.revision == 6)
        assert await fired(stub, command("whoami; id")) == ["R1", "R3"]
        script.snapshot(WHOAMI, revision=9)
        await until(lambda: follower.revision == 9)
        assert await fired(stub, command("whoami; id")) == ["R1"]


async def test_a_cut_stream_is_resumed_where_it_stood_while_rules_stay_in_force(
    store: tuple[ScriptedStore, str], tmp_path: Path, catalogue: Catalogue
) -> None:
    script, target = store
    async with serving_tagger(tmp_path, target, catalogue) as (stub, follower):
        script.snapshot(WHOAMI, revision=7, epoch="e7")
        await until(lambda: follower.revision == 7)
        script.cut()
        assert await fired(stub, command("whoami")) == ["R1"]
        await until(lambda: len(script.requests) == 2)
        assert (script.requests[1].after_revision, script.requests[1].epoch) == (7, "e7")


async def test_a_place_too_old_leads_to_a_snapshot(
    store: tuple[ScriptedStore, str], tmp_path: Path, catalogue: Catalogue
) -> None:
    script, target = store
    async with serving_tagger(tmp_path, target, catalogue) as (stub, follower):
        script.snapshot(WHOAMI, revision=7)
        await until(lambda: follower.revision == 7)
        script.refuse = True
        script.cut()
        await until(lambda: len(script.requests) == 3)
        assert [each.after_revision for each in script.requests] == [0, 7, 0]
        assert await fired(stub, command("whoami")) == ["R1"]
        script.snapshot(rule("R9", field("command_text", pattern="x")), revision=1, epoch="e2")
        await until(lambda: follower.epoch == "e2")
        assert await fired(stub, command("whoami x")) == ["R9"]


async def test_a_batch_in_flight_finishes_on_the_rules_it_began_with(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    lifters = [RuleEngine()]
    follower = RuleFollower(None, lifters, catalogue)  # type: ignore[arg-type]  # never called
    follower.rules = follower.rules.changed([WHOAMI], (), lifters, catalogue)
    evaluation = Evaluation(lifters, attack_release="enterprise-v17.1")
    # However quick the machine is, the loop gets its turn many times within the batch.
    monkeypatch.setattr("decnet_ttp.tagger.evaluation._MAX_HOLD_S", -1.0)
    events = [command("whoami") for _ in range(4_000)]
    tagging = asyncio.create_task(evaluation.tag(batch(*events), follower.rules))
    await asyncio.sleep(0)
    assert not tagging.done()
    follower.rules = follower.rules.changed((), ["R1"], lifters, catalogue)
    answer = await tagging
    assert len(answer.groups[0].tags) == 4_000


async def test_wrong_requests_are_refused_with_the_place(
    store: tuple[ScriptedStore, str], tmp_path: Path, catalogue: Catalogue
) -> None:
    script, target = store
    async with serving_tagger(tmp_path, target, catalogue) as (stub, follower):
        script.snapshot(WHOAMI)
        await until(lambda: follower.loaded)
        nameless = command("whoami")
        nameless.source_id = ""
        with pytest.raises(InvalidArgumentError) as raised:
            await fired(stub, command("whoami"), nameless)
        assert raised.value.metadata["field"] == "groups[0].events[1]"
        with pytest.raises(InvalidArgumentError, match="10001 events"):
            await fired(stub, *[command("w")] * 10_001)


async def test_describe_waits_for_other_kinds_than_the_caller_knows(
    store: tuple[ScriptedStore, str], tmp_path: Path, catalogue: Catalogue
) -> None:
    script, target = store
    async with serving_tagger(tmp_path, target, catalogue) as (stub, follower):
        script.snapshot(WHOAMI)
        await until(lambda: follower.loaded)
        request = tagger_service_pb2.DescribeTaggerRequest()
        first = await call(stub.DescribeTagger, request, timeout_s=TIMEOUT_S)
        request.known_kinds_digest = first.kinds_digest
        request.wait_duration.FromMilliseconds(20)
        # Nothing changes: the same again when time is over.
        same = await call(stub.DescribeTagger, request, timeout_s=TIMEOUT_S)
        assert same == first
        request.wait_duration.FromSeconds(60)
        waiting = asyncio.create_task(call(stub.DescribeTagger, request, timeout_s=TIMEOUT_S))
        # A change that leaves the kinds as they are ends no wait.
        script.change(rule("R2", field("command_text", pattern="id")), revision=2)
        await until(lambda: follower.revision == 2)
        assert not waiting.done()
        script.change(rule("R2", field("from_domain", pattern="id"), "email"), revision=3)
        changed = await waiting
        assert "email" in changed.lifters[0].source_kinds
        assert changed.kinds_digest != first.kinds_digest
        # Who knows something else is answered at once.
        answer = await call(stub.DescribeTagger, request, timeout_s=TIMEOUT_S)
        assert answer == changed


def waited_for(catalogue: Catalogue) -> tuple[TaggerServicer, RuleFollower]:
    """Return a servicer over a follower that a test changes by hand."""
    lifters = [RuleEngine()]
    follower = RuleFollower(None, lifters, catalogue)  # type: ignore[arg-type]  # never called
    follower.loaded = True
    servicer = TaggerServicer(
        lifters=lifters,
        follower=follower,
        evaluation=Evaluation(lifters, attack_release="enterprise-v17.1"),
        attack_release="enterprise-v17.1",
    )
    return servicer, follower


async def test_a_change_right_after_the_look_at_the_kinds_is_not_missed(
    catalogue: Catalogue,
) -> None:
    servicer, follower = waited_for(catalogue)
    request = tagger_service_pb2.DescribeTaggerRequest()
    first = await servicer.DescribeTagger(request, None)  # type: ignore[arg-type] # not looked at
    request.known_kinds_digest = first.kinds_digest
    request.wait_duration.FromSeconds(30)
    mail = rule("R1", field("from_domain", equals=["example.org"]), "email")

    def change() -> None:
        follower.rules = follower.rules.changed([mail], (), [RuleEngine()], catalogue)
        follower._wake_who_waits()

    waiting = asyncio.create_task(
        servicer.DescribeTagger(request, None)  # type: ignore[arg-type] # not looked at
    )
    # Both in one turn of the loop: the look, then the change.
    asyncio.get_running_loop().call_soon(change)
    for _ in range(20):
        await asyncio.sleep(0)
    assert waiting.done()
    assert (await waiting).kinds_digest != first.kinds_digest


async def test_the_end_of_a_tagger_answers_who_waits_for_a_change(catalogue: Catalogue) -> None:
    servicer, _ = waited_for(catalogue)
    request = tagger_service_pb2.DescribeTaggerRequest()
    answer = await servicer.DescribeTagger(request, None)  # type: ignore[arg-type] # not looked at
    request.known_kinds_digest = answer.kinds_digest
    request.wait_duration.FromSeconds(30)
    stop = asyncio.Event()
    async with asyncio.timeout(TIMEOUT_S), asyncio.TaskGroup() as group:
        group.create_task(servicer.end_waits(stop))
        waiting = group.create_task(
            servicer.DescribeTagger(request, None)  # type: ignore[arg-type] # not looked at
        )
        await asyncio.sleep(0)
        stop.set()
    assert waiting.result() == answer


async def test_describe_names_lifters_rules_and_releases(
    store: tuple[ScriptedStore, str], tmp_path: Path, catalogue: Catalogue
) -> None:
    script, target = store
    async with serving_tagger(tmp_path, target, catalogue) as (stub, follower):
        mail = rule("R2", field("from_domain", equals=["example.org"]), "email")
        script.snapshot(WHOAMI, mail, revision=3, epoch="e3")
        await until(lambda: follower.loaded)
        request = tagger_service_pb2.DescribeTaggerRequest()
        answer = await call(stub.DescribeTagger, request, timeout_s=TIMEOUT_S)
    (lifter,) = answer.lifters
    assert (lifter.name, lifter.rule_count) == ("rule_engine", 2)
    assert list(lifter.source_kinds) == [
        "auth_attempt",
        "command",
        "email",
        "http_request",
        "payload",
    ]
    assert (answer.rules_revision, answer.rules_epoch) == (3, "e3")
    assert answer.attack_release == catalogue.attack_release
    assert answer.program_version


async def test_explain_tells_each_condition(
    store: tuple[ScriptedStore, str], tmp_path: Path, catalogue: Catalogue
) -> None:
    script, target = store
    condition = every(field("command_text", pattern="who"), no(field("user", equals=["root"])))
    async with serving_tagger(tmp_path, target, catalogue) as (stub, follower):
        script.snapshot(rule("R1", condition))
        await until(lambda: follower.loaded)

        async def explain(event: event_pb2.Event, rule_id: str) -> object:
            request = tagger_service_pb2.ExplainEventRequest(event=event, rule_id=rule_id)
            return await call(stub.ExplainEvent, request, timeout_s=TIMEOUT_S)

        assert await explain(command("a who", user="root"), "R1") == (
            tagger_service_pb2.ExplainEventResponse(
                matched=False,
                outcomes=[
                    tagger_service_pb2.ConditionOutcome(
                        path="all[0].pattern", field="command_text", held=True, start=2, end=5
                    ),
                    tagger_service_pb2.ConditionOutcome(
                        path="all[1].not.equals", field="user", held=True, start=0, end=4
                    ),
                ],
            )
        )
        with pytest.raises(NotFoundError):
            await explain(command("x"), "R404")
        with pytest.raises(InvalidArgumentError):
            await explain(event_pb2.Event(source_kind="session", source_id="s"), "R1")


def many_rules() -> list[rule_pb2.Rule]:
    return [rule(f"R{n}", field("command_text", pattern=rf"\bw{n}\b")) for n in range(200)]


async def test_health_answers_while_a_large_batch_runs(
    store: tuple[ScriptedStore, str], tmp_path: Path
) -> None:
    """The real program: ready once the rules are loaded, healthy within a batch, 0 on SIGTERM."""
    script, store_target = store
    target = f"unix:{tmp_path}/serve.sock"
    environment = os.environ | {
        "DECNET_TTP_RULE_STORE": store_target,
        "DECNET_TTP_LOG_LEVEL": "error",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "decnet_ttp.cli.main", "serve", "--listen", target, "tagger",
        "--lifter", "rule_engine", env=environment,
    )  # fmt: skip
    try:
        async with grpc.aio.insecure_channel(target, options=OPTIONS) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            serving = health_pb2.HealthCheckResponse.SERVING

            async def status() -> int:
                answer = await health.Check(
                    health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S, wait_for_ready=True
                )
                return answer.status

            assert await status() != serving
            script.snapshot(*many_rules())
            async with asyncio.timeout(TIMEOUT_S):
                while await status() != serving:
                    await asyncio.sleep(0.01)
            events = [command(f"cd /var; w{n % 300} -a | grep {n}" * 8) for n in range(10_000)]
            tagging = asyncio.ensure_future(
                call(Stub(channel).TagEvents, batch(*events), timeout_s=60.0)
            )
            slowest_s, answers, batch_began = 0.0, 0, time.monotonic()
            while not tagging.done():
                began = time.monotonic()
                assert await status() == serving
                slowest_s = max(slowest_s, time.monotonic() - began)
                answers += 1
            assert len((await tagging).groups[0].tags) > 0
            assert answers >= 3
            # A slow machine is slow at both.
            assert slowest_s < max(2.0, (time.monotonic() - batch_began) / 2)
        process.terminate()
        assert await asyncio.wait_for(process.wait(), TIMEOUT_S) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_numbers_are_paged_and_outlive_their_rule(
    store: tuple[ScriptedStore, str], tmp_path: Path, catalogue: Catalogue
) -> None:
    script, target = store
    others = [rule(f"R{n}", field("command_text", pattern=f"w{n}")) for n in (2, 3)]
    async with serving_tagger(tmp_path, target, catalogue) as (stub, follower):
        script.snapshot(WHOAMI, *others)
        await until(lambda: follower.loaded)
        assert await fired(stub, command("whoami"), command("w3")) == ["R1", "R3"]
        script.delete("R3", revision=2)
        await until(lambda: follower.revision == 2)
        request = tagger_service_pb2.ListRuleStatisticsRequest(page_size=2)
        first = await call(stub.ListRuleStatistics, request, timeout_s=TIMEOUT_S)
        request.page_token = first.next_page_token
        second = await call(stub.ListRuleStatistics, request, timeout_s=TIMEOUT_S)
        assert [
            (s.rule_id, s.evaluation_count, s.match_count, s.tag_count, s.withheld_count)
            for s in (*first.statistics, *second.statistics)
        ] == [("R1", 2, 1, 1, 0), ("R2", 2, 0, 0, 0), ("R3", 2, 1, 1, 0)]
        assert not second.next_page_token
        fired_at = second.statistics[0].last_fired_time.ToSeconds()
        assert first.since_time.ToSeconds() <= fired_at <= time.time()
        assert not first.statistics[1].HasField("last_fired_time")
        request.page_size, request.page_token = -1, ""
        with pytest.raises(InvalidArgumentError):
            await call(stub.ListRuleStatistics, request, timeout_s=TIMEOUT_S)
