# SPDX-License-Identifier: AGPL-3.0-or-later
"""What every backend does with states: a real PostgreSQL, a real socket, real time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from conformance.conftest import OpenPlane
from decnet_ttp.rule_store import state_plane
from decnet_ttp.rule_store.database import Database
from decnet_ttp.rule_store.migrations import MIGRATIONS, migrate
from decnet_ttp.rule_store.vocabulary import Vocabulary
from decnet_ttp.v1 import rule_pb2
from decnet_ttp.v1 import rule_store_service_pb2 as pb
from rule_store.serving import Store, until, watching
from rule_store.serving import serving as serve


def _disable(**members: Any) -> pb.SetRuleStateRequest:
    request = pb.SetRuleStateRequest(
        rule_id="R0001", mode=rule_pb2.RULE_MODE_DISABLED, reason="noise", set_by="ann"
    )
    request.MergeFrom(pb.SetRuleStateRequest(**members))
    return request


def _soon() -> datetime:
    """A moment that is still to come when a request naming it arrives, on a slow machine too."""
    return datetime.now(UTC) + timedelta(seconds=2)


async def test_migrating_twice_and_at_once_is_harmless(database: Database) -> None:
    async def once() -> None:
        async with database.connection() as connection:
            await migrate(connection)

    await asyncio.gather(once(), once())
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT version FROM schema_version") == len(MIGRATIONS)


async def test_a_state_is_answered_streamed_and_listed(store: Store) -> None:
    asked = datetime.now(UTC)
    async with watching(store) as watch:
        answer = await store.stub.SetRuleState(_disable())
        await until(lambda: len(watch.changes) == 1)
    state = watch.changes[0].upserted.state
    assert state == answer.rule.state
    assert (state.mode, state.reason, state.set_by) == (
        rule_pb2.RULE_MODE_DISABLED,
        "noise",
        "ann",
    )
    assert asked <= state.set_time.ToDatetime(UTC) <= datetime.now(UTC)
    listed = await store.stub.ListRules(pb.ListRulesRequest())
    assert listed.rules[0].state == state


async def test_clearing_returns_to_the_default(store: Store) -> None:
    await store.stub.SetRuleState(_disable())
    cleared = await store.stub.ClearRuleState(
        pb.ClearRuleStateRequest(rule_id="R0001", set_by="bob", reason="fixed")
    )
    assert cleared.rule.state == rule_pb2.RuleState(mode=rule_pb2.RULE_MODE_ENABLED)


async def test_a_state_outlives_the_store_and_an_edit(
    folder: Path, vocabulary: Vocabulary, open_plane: OpenPlane, through: Database | None
) -> None:
    async with serve(folder, vocabulary, open_plane=open_plane, database=through) as first:
        await first.stub.SetRuleState(
            pb.SetRuleStateRequest(
                rule_id="R0001", mode=rule_pb2.RULE_MODE_CLIPPED, confidence_max=0.4
            )
        )
    async with serve(folder, vocabulary, open_plane=open_plane, database=through) as second:
        path = folder / "R0001.yaml"
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("rule_version: 3", "rule_version: 4"), encoding="utf-8")
        await until(lambda: second.book.rule("R0001").rule_version == 4)
        state = second.book.rule("R0001").state
        assert (state.mode, state.confidence_max) == (rule_pb2.RULE_MODE_CLIPPED, 0.4)


async def test_a_state_reverts_by_itself_and_that_is_noted(store: Store) -> None:
    async with watching(store) as watch:
        await store.stub.SetRuleState(_disable(expire_time=_soon()))
        await until(lambda: len(watch.changes) == 2)
        modes = [change.upserted.state.mode for change in watch.changes]
        assert modes == [rule_pb2.RULE_MODE_DISABLED, rule_pb2.RULE_MODE_ENABLED]
    history = await store.stub.ListRuleStateChanges(pb.ListRuleStateChangesRequest())
    assert [change.expired for change in history.changes] == [True, False]


async def test_a_state_that_ran_out_while_no_store_ran_is_reverted_at_the_start(
    folder: Path, vocabulary: Vocabulary, open_plane: OpenPlane, through: Database | None
) -> None:
    async with serve(folder, vocabulary, open_plane=open_plane, database=through) as first:
        due = _soon()
        await first.stub.SetRuleState(_disable(expire_time=due))
    await until(lambda: datetime.now(UTC) > due)
    async with serve(folder, vocabulary, open_plane=open_plane, database=through) as second:
        assert second.book.rule("R0001").state.mode == rule_pb2.RULE_MODE_ENABLED
        request = pb.ListRuleStateChangesRequest(rule_id="R0001")
        history = await second.stub.ListRuleStateChanges(request)
        assert history.changes[0].expired
        assert abs((history.changes[0].change_time.ToDatetime(UTC) - due).total_seconds()) < 0.001


async def test_history_is_paged_newest_first_and_by_rule(store: Store) -> None:
    for number in range(5):
        await store.stub.SetRuleState(_disable(reason=str(number)))
    other = pb.SetRuleStateRequest(rule_id="R0002", mode=rule_pb2.RULE_MODE_ENABLED)
    await store.stub.SetRuleState(other)
    request = pb.ListRuleStateChangesRequest(rule_id="R0001", page_size=3)
    first = await store.stub.ListRuleStateChanges(request)
    assert [change.state.reason for change in first.changes] == ["4", "3", "2"]
    request.page_token = first.next_page_token
    rest = await store.stub.ListRuleStateChanges(request)
    assert [change.state.reason for change in rest.changes] == ["1", "0"]
    assert rest.next_page_token == ""
    everything = await store.stub.ListRuleStateChanges(pb.ListRuleStateChangesRequest())
    assert everything.changes[0].rule_id == "R0002"


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"mode": rule_pb2.RULE_MODE_CLIPPED}, "confidence_max"),
        ({"mode": rule_pb2.RULE_MODE_CLIPPED, "confidence_max": 1.5}, "confidence_max"),
        ({"mode": rule_pb2.RULE_MODE_CLIPPED, "confidence_max": float("nan")}, "confidence_max"),
        ({"confidence_max": 0.5}, "confidence_max"),
        ({"expire_time": datetime(2020, 1, 1, tzinfo=UTC)}, "expire_time"),
        ({"reason": "x" * 1025}, "reason"),
        ({"set_by": "é" * 129}, "set_by"),
    ],
)
async def test_a_state_out_of_range_is_an_invalid_argument(
    store: Store, members: dict[str, Any], field: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match=field) as caught:
        await store.stub.SetRuleState(_disable(**members))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert store.book.rule("R0001").state.mode == rule_pb2.RULE_MODE_ENABLED


async def test_a_state_needs_a_mode_and_a_rule(store: Store) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as unset:
        await store.stub.SetRuleState(pb.SetRuleStateRequest(rule_id="R0001"))
    assert unset.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    for call, request in (
        (store.stub.SetRuleState, _disable(rule_id="R9999")),
        (store.stub.ClearRuleState, pb.ClearRuleStateRequest(rule_id="R9999")),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await call(request)
        assert unknown.value.code() is grpc.StatusCode.NOT_FOUND


async def test_without_its_database_a_change_is_unavailable_and_nothing_changes(
    store: Store, database: Database
) -> None:
    async with database.connection() as connection:
        await connection.execute("ALTER TABLE rule_state RENAME TO away")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await store.stub.SetRuleState(_disable())
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert store.book.rule("R0001").state.mode == rule_pb2.RULE_MODE_ENABLED
    async with database.connection() as connection:
        await connection.execute("ALTER TABLE away RENAME TO rule_state")
    await store.stub.SetRuleState(_disable())


def _scoped(**scope: str) -> pb.SetRuleStateRequest:
    return _disable(scope=rule_pb2.StateScope(**scope))


async def test_states_of_several_scopes_stand_beside_each_other(store: Store) -> None:
    await store.stub.SetRuleState(_scoped(network="198.51.100.9/24"))
    await store.stub.SetRuleState(_scoped(decky_id="decky-1"))
    async with watching(store) as watch:
        answer = await store.stub.SetRuleState(_scoped(decky_id="decky-1"))
        await until(lambda: len(watch.changes) == 1)
    rule = watch.changes[0].upserted
    assert rule == answer.rule
    assert rule.state.mode == rule_pb2.RULE_MODE_ENABLED
    scopes = [state.scope for state in rule.scoped_states]
    assert scopes == [
        rule_pb2.StateScope(decky_id="decky-1"),
        rule_pb2.StateScope(network="198.51.100.0/24"),
    ]


async def test_one_scope_is_cleared_alone_or_all_together(store: Store) -> None:
    await store.stub.SetRuleState(_scoped(decky_id="decky-1"))
    await store.stub.SetRuleState(_scoped(source_kind="command"))
    await store.stub.SetRuleState(_disable())
    scope = rule_pb2.StateScope(decky_id="decky-1")
    one = await store.stub.ClearRuleState(pb.ClearRuleStateRequest(rule_id="R0001", scope=scope))
    assert [state.scope.source_kind for state in one.rule.scoped_states] == ["command"]
    assert one.rule.state.mode == rule_pb2.RULE_MODE_DISABLED
    everything = await store.stub.ClearRuleState(pb.ClearRuleStateRequest(rule_id="R0001"))
    assert not everything.rule.scoped_states
    assert everything.rule.state.mode == rule_pb2.RULE_MODE_ENABLED
    history = await store.stub.ListRuleStateChanges(pb.ListRuleStateChangesRequest())
    ended = [c.state.scope.WhichOneof("scope") for c in history.changes[:3]]
    assert ended == ["source_kind", None, "decky_id"]


async def test_a_scoped_state_reverts_alone(store: Store) -> None:
    await store.stub.SetRuleState(_scoped(decky_id="decky-1"))
    due = _disable(expire_time=_soon(), scope=rule_pb2.StateScope(network="192.0.2.7"))
    await store.stub.SetRuleState(due)
    assert len(store.book.rule("R0001").scoped_states) == 2
    await until(lambda: len(store.book.rule("R0001").scoped_states) == 1)
    assert store.book.rule("R0001").scoped_states[0].scope.decky_id == "decky-1"
    history = await store.stub.ListRuleStateChanges(pb.ListRuleStateChangesRequest())
    assert history.changes[0].expired
    assert history.changes[0].state.scope.network == "192.0.2.7/32"


@pytest.mark.parametrize(
    ("scope", "told"),
    [
        ({}, "the scope names nothing"),
        ({"attacker_uuid": "somebody"}, "attacker_uuid is no UUID"),
        ({"network": "198.51.100.0/33"}, "neither a network nor an address"),
        ({"decky_id": ""}, "decky_id has 1 to 512 bytes"),
        ({"decky_id": "a\0b"}, "decky_id has 1 to 512 bytes"),
        ({"source_kind": "rumour"}, "no such source kind; allowed: auth_attempt"),
    ],
)
async def test_a_scope_that_names_nothing_is_refused(
    store: Store, scope: dict[str, str], told: str
) -> None:
    request = _disable()
    request.scope.SetInParent()
    request.scope.MergeFrom(rule_pb2.StateScope(**scope))
    with pytest.raises(grpc.aio.AioRpcError, match=told) as caught:
        await store.stub.SetRuleState(request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_rule_has_a_bounded_number_of_scoped_states(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_plane, "MAX_SCOPED_STATES", 2)
    for name in ("a", "b", "a"):
        await store.stub.SetRuleState(_scoped(decky_id=name))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await store.stub.SetRuleState(_scoped(decky_id="c"))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    await store.stub.SetRuleState(_disable())
