# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from decnet_ttp.rule_store.revisions import RevisionLog
from decnet_ttp.rule_store.vocabulary import Vocabulary
from decnet_ttp.v1 import rule_pb2
from decnet_ttp.v1 import rule_store_service_pb2 as pb
from rule_store.serving import DEADLINE_S, Store, until, watching
from rule_store.serving import serving as serve


@pytest.fixture
def folder(sound_rules: Path, tmp_path: Path) -> Path:
    copied = tmp_path / "ttp"
    shutil.copytree(sound_rules / "ttp", copied)
    return copied


@pytest.fixture
async def store(folder: Path, vocabulary: Vocabulary) -> AsyncIterator[Store]:
    async with serve(folder, vocabulary) as running:
        yield running


def _touch_state(store: Store, count: int) -> None:
    """Make changes without touching files."""
    for number in range(count):
        state = rule_pb2.RuleState(mode=rule_pb2.RULE_MODE_DISABLED, reason=str(number))
        store.book.set_states("R0001", [state])


async def test_rules_are_listed_page_by_page_in_order_of_id(store: Store) -> None:
    first = await store.stub.ListRules(pb.ListRulesRequest(page_size=2))
    assert [rule.rule_id for rule in first.rules] == ["R0001", "R0002"]
    rest = await store.stub.ListRules(
        pb.ListRulesRequest(page_size=2, page_token=first.next_page_token)
    )
    assert [rule.rule_id for rule in rest.rules] == ["R0003"]
    assert rest.next_page_token == ""
    assert first.rules[0].state.mode == rule_pb2.RULE_MODE_ENABLED


async def test_load_errors_stand_on_the_first_page_only(
    folder: Path, vocabulary: Vocabulary
) -> None:
    """A rule that is broken at the start is reported and does not keep the others out."""
    (folder / "R0002.yml").write_text("rule_id: R0002\n", encoding="utf-8")
    async with serve(folder, vocabulary) as store:
        await until(lambda: store.book.rule_ids == ["R0001", "R0003"] and bool(store.book.problems))
        first = await store.stub.ListRules(pb.ListRulesRequest(page_size=1))
        assert {error.location for error in first.load_errors} == {f"{folder}/R0002.yml:1:1"}
        second = await store.stub.ListRules(
            pb.ListRulesRequest(page_size=1, page_token=first.next_page_token)
        )
        assert list(second.load_errors) == []


async def test_bad_paging_is_refused(store: Store) -> None:
    foreign = pb.ListRulesRequest(page_token="of another request")  # noqa: S106 - no secret
    for request in (pb.ListRulesRequest(page_size=-1), foreign):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await store.stub.ListRules(request)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_one_rule_is_returned_and_an_unknown_one_is_not_found(store: Store) -> None:
    found = await store.stub.GetRule(pb.GetRuleRequest(rule_id="R0003"))
    assert found.rule.lifter_predicate.kind == "lifter:credential_auth_brute_generic"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await store.stub.GetRule(pb.GetRuleRequest(rule_id="R9999"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_watch_from_zero_begins_with_a_snapshot(store: Store) -> None:
    async with watching(store) as watch:
        snapshot = watch.messages[0]
        assert snapshot.snapshot
        assert [change.rule_id for change in snapshot.changes] == ["R0001", "R0002", "R0003"]
        assert (snapshot.revision, snapshot.epoch) == (3, store.log.epoch)


async def test_a_watch_resumes_where_it_was(store: Store) -> None:
    _touch_state(store, 5)
    async with watching(store, 5, store.log.epoch) as watch:
        await until(lambda: watch.messages[-1].revision == 8)
        assert [change.upserted.state.reason for change in watch.changes] == ["2", "3", "4"]
        assert not any(message.snapshot for message in watch.messages)


async def test_a_watch_that_missed_nothing_is_told_so(store: Store) -> None:
    async with watching(store, 3, store.log.epoch) as watch:
        assert watch.messages[0].checkpoint
        assert watch.messages[0].revision == 3


@pytest.mark.parametrize(
    ("after", "own_epoch"), [(3, False), (4, True), (99, True)], ids=["epoch", "future", "far"]
)
async def test_a_place_of_another_life_is_out_of_range(
    store: Store,
    after: int,
    own_epoch: bool,  # noqa: FBT001 - a parameter of the table
) -> None:
    async with watching(store, after, store.log.epoch if own_epoch else "other") as watch:
        assert watch.error is not None
        assert watch.error.code() is grpc.StatusCode.OUT_OF_RANGE


async def test_a_place_older_than_the_history_is_out_of_range(
    folder: Path, vocabulary: Vocabulary
) -> None:
    async with serve(folder, vocabulary, log=RevisionLog(history=4)) as store:
        _touch_state(store, 5)
        async with watching(store, 3, store.log.epoch) as late:
            assert late.error is not None
            assert late.error.code() is grpc.StatusCode.OUT_OF_RANGE
        async with watching(store, 4, store.log.epoch) as in_time:
            assert in_time.messages[-1].revision == 8


async def test_a_negative_revision_is_an_invalid_argument(store: Store) -> None:
    async with watching(store, -1) as watch:
        assert watch.error is not None
        assert watch.error.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_silence_is_filled_with_checkpoints(folder: Path, vocabulary: Vocabulary) -> None:
    async with (
        serve(folder, vocabulary, log=RevisionLog(checkpoint_s=0.02)) as store,
        watching(store) as watch,
    ):
        await until(lambda: len(watch.messages) >= 3)
        assert [m.checkpoint for m in watch.messages[:3]] == [False, True, True]
        assert watch.messages[2].revision == 3


async def _read_to_the_end(call: Any) -> None:
    while await call.read() is not grpc.aio.EOF:
        pass


async def test_a_slow_watcher_is_cut_off_and_delays_nobody(
    folder: Path, vocabulary: Vocabulary
) -> None:
    """A client that stops reading gets RESOURCE_EXHAUSTED; another receives every change."""
    async with serve(folder, vocabulary, log=RevisionLog(queue=16)) as store:
        slow = store.stub.WatchRules(pb.WatchRulesRequest())
        assert (await slow.read()).snapshot
        big = "x" * 100_000
        async with watching(store) as quick:
            for number in range(200):
                state = rule_pb2.RuleState(reason=big, set_by=str(number))
                store.book.set_states("R0001", [state])
                await until(lambda n=number: quick.messages[-1].revision == 4 + n)  # type: ignore[misc] # bound now
            assert quick.error is None
            assert store.log.watcher_count == 1
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await asyncio.wait_for(_read_to_the_end(slow), DEADLINE_S)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_client_that_goes_is_forgotten(store: Store) -> None:
    async with watching(store):
        assert store.log.watcher_count == 1
    await until(lambda: store.log.watcher_count == 0)


async def test_without_a_database_states_are_unimplemented_with_the_cure(store: Store) -> None:
    request = pb.SetRuleStateRequest(rule_id="R0001", mode=rule_pb2.RULE_MODE_DISABLED)
    with pytest.raises(grpc.aio.AioRpcError, match="set DECNET_TTP_DATABASE_URL") as caught:
        await store.stub.SetRuleState(request)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
