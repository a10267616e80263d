# SPDX-License-Identifier: AGPL-3.0-or-later
"""States of rules in PostgreSQL, with their history and what the bus is told of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from decnet_ttp.core.errors import ResourceExhaustedError
from decnet_ttp.rule_store.announcements import state_changed
from decnet_ttp.rule_store.database import Database
from decnet_ttp.rule_store.migrations import CHANNEL
from decnet_ttp.rule_store.scopes import ScopeKey, scope_message, scope_of
from decnet_ttp.rule_store.state_store import StateChange, States
from decnet_ttp.runtime.outbox import leave
from decnet_ttp.v1 import rule_pb2

_PREFIX: Final = "RULE_MODE_"

# The lock of the one row puts the writers of states in a row.
_COUNT: Final = "UPDATE generation SET states = states + 1"
_NOTIFY: Final = f"SELECT pg_notify('{CHANNEL}', '')"

_PUT: Final = """
    INSERT INTO rule_state (rule_id, mode, confidence_max, expire_time, reason, set_by, set_time,
        scope_kind, scope_value)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (rule_id, scope_kind, scope_value) DO UPDATE SET
        mode = excluded.mode, confidence_max = excluded.confidence_max,
        expire_time = excluded.expire_time, reason = excluded.reason,
        set_by = excluded.set_by, set_time = excluded.set_time
"""
_NOTE: Final = """
    INSERT INTO rule_state_change (rule_id, mode, confidence_max, expire_time, reason, set_by,
        change_time, scope_kind, scope_value, expired)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
_CLEAR: Final = """
    DELETE FROM rule_state WHERE rule_id = $1
        AND ($2::text IS NULL OR (scope_kind = $2 AND scope_value = $3))
    RETURNING scope_kind, scope_value
"""
_DUE: Final = "SELECT EXISTS (SELECT FROM rule_state WHERE expire_time <= $1)"
_EXPIRE: Final = """
    DELETE FROM rule_state WHERE expire_time <= $1
    RETURNING rule_id, scope_kind, scope_value, expire_time
"""
_COUNT_SCOPED: Final = """
    SELECT count(*) FROM rule_state WHERE rule_id = $1 AND scope_kind <> ''
        AND (scope_kind, scope_value) <> ($2, $3)
"""
_OF_RULES: Final = "SELECT * FROM rule_state WHERE rule_id = ANY($1::text[])"


class PostgresStates:
    """The StateStore over a database.

    Args:
        database: Where the states are.
        announce: Whether changes are left in the outbox for the bus.
    """

    def __init__(self, database: Database, *, announce: bool = False) -> None:
        self._database = database
        self._announce = announce

    async def load(self) -> Mapping[str, States]:
        """See `StateStore.load`."""
        async with self._database.connection() as connection:
            return _by_rule(await connection.fetch("SELECT * FROM rule_state"))

    async def put(self, rule_id: str, state: rule_pb2.RuleState, *, scoped_at_most: int) -> States:
        """See `StateStore.put`."""
        scope = scope_of(state)
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute(_COUNT)
            if scope.kind:
                others = await connection.fetchval(_COUNT_SCOPED, rule_id, *scope)
                if others >= scoped_at_most:
                    raise ResourceExhaustedError(
                        f"the rule has {others} scoped states; end some of them first",
                        scoped_states=others,
                    )
            await connection.execute(_PUT, *_columns(rule_id, state))
            await self._note(connection, [(rule_id, state)], expired=False)
            return await _left(connection, rule_id)

    async def clear(
        self, rule_id: str, scope: ScopeKey | None, *, set_by: str, reason: str, now: datetime
    ) -> States:
        """See `StateStore.clear`."""
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute(_COUNT)
            gone = await connection.fetch(
                _CLEAR, rule_id, *((None, None) if scope is None else scope)
            )
            # The state of every event, or the one that was named, is noted even when unset.
            ended = {ScopeKey(*row) for row in gone} | {scope or ScopeKey()}
            notes = [(rule_id, _default(key, set_by, reason, now)) for key in sorted(ended)]
            await self._note(connection, notes, expired=False)
            return await _left(connection, rule_id)

    async def expire(self, now: datetime) -> Mapping[str, States]:
        """See `StateStore.expire`."""
        async with self._database.connection() as connection, connection.transaction():
            if not await connection.fetchval(_DUE, now):
                return {}
            # Before the rows, as every writer does: two that lock in turn never wait for ever.
            await connection.execute(_COUNT)
            rows = await connection.fetch(_EXPIRE, now)
            rows.sort(key=lambda row: (row["expire_time"], row["rule_id"], row["scope_value"]))
            # Noted at the moment it was due, which may lie in a time when no process ran.
            notes = [
                (
                    row["rule_id"],
                    _default(
                        ScopeKey(row["scope_kind"], row["scope_value"]), "", "", row["expire_time"]
                    ),
                )
                for row in rows
            ]
            await self._note(connection, notes, expired=True)
            ids = sorted({row["rule_id"] for row in rows})
            left = _by_rule(await connection.fetch(_OF_RULES, ids))
            return {rule_id: left.get(rule_id, ()) for rule_id in ids}

    async def next_expiry(self) -> datetime | None:
        """See `StateStore.next_expiry`."""
        async with self._database.connection() as connection:
            found: datetime | None = await connection.fetchval(
                "SELECT min(expire_time) FROM rule_state"
            )
        return found

    async def list_changes(
        self, rule_id: str, *, before: int | None, limit: int
    ) -> Sequence[StateChange]:
        """See `StateStore.list_changes`."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                """
                SELECT * FROM rule_state_change
                WHERE ($1 = '' OR rule_id = $1) AND ($2::bigint IS NULL OR change_id < $2)
                ORDER BY change_id DESC LIMIT $3
                """,
                rule_id,
                before,
                limit,
            )
        return [
            StateChange(
                number=row["change_id"],
                rule_id=row["rule_id"],
                state=_state(row, row["change_time"]),
                time=row["change_time"],
                expired=row["expired"],
            )
            for row in rows
        ]

    async def _note(
        self, connection: Any, notes: Sequence[tuple[str, rule_pb2.RuleState]], *, expired: bool
    ) -> None:
        """Write history, leave word for the bus, and wake whoever follows."""
        await connection.executemany(_NOTE, [(*_columns(*note), expired) for note in notes])
        if self._announce:
            await leave(
                connection,
                [state_changed(rule_id, state, auto_revert=expired) for rule_id, state in notes],
            )
        await connection.execute(_NOTIFY)


async def _left(connection: Any, rule_id: str) -> States:
    return _by_rule(await connection.fetch(_OF_RULES, [rule_id])).get(rule_id, ())


def _by_rule(rows: Iterable[Any]) -> dict[str, States]:
    found: dict[str, list[rule_pb2.RuleState]] = {}
    for row in rows:
        found.setdefault(row["rule_id"], []).append(_state(row, row["set_time"]))
    return dict(found)


def _state(row: Any, set_time: datetime) -> rule_pb2.RuleState:
    state = rule_pb2.RuleState(
        mode=_PREFIX + row["mode"],
        confidence_max=row["confidence_max"],
        reason=row["reason"],
        set_by=row["set_by"],
    )
    state.set_time.FromDatetime(set_time)
    if row["expire_time"] is not None:
        state.expire_time.FromDatetime(row["expire_time"])
    if row["scope_kind"]:
        state.scope.CopyFrom(scope_message(ScopeKey(row["scope_kind"], row["scope_value"])))
    return state


def _default(scope: ScopeKey, set_by: str, reason: str, set_time: datetime) -> rule_pb2.RuleState:
    state = rule_pb2.RuleState(mode=rule_pb2.RULE_MODE_ENABLED, reason=reason, set_by=set_by)
    state.set_time.FromDatetime(set_time)
    if scope.kind:
        state.scope.CopyFrom(scope_message(scope))
    return state


def _columns(rule_id: str, state: rule_pb2.RuleState) -> tuple[Any, ...]:
    expire = state.expire_time.ToDatetime(UTC) if state.HasField("expire_time") else None
    return (
        rule_id,
        rule_pb2.RuleMode.Name(state.mode).removeprefix(_PREFIX),
        state.confidence_max,
        expire,
        state.reason,
        state.set_by,
        state.set_time.ToDatetime(UTC),
        *scope_of(state),
    )
