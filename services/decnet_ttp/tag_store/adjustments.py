# SPDX-License-Identifier: AGPL-3.0-or-later
"""Adjustments: verdicts about attackers that change what their tags count for.

The store keeps the last verdict of each rule for each attacker. Which of them are in force follows
from the states of the rules; their sum is the effect on the attacker, and the roll-ups always
stand at the effect that the attacker's row tells. So a replay finds nothing to do, and whatever was
cut short in between is finished by the next call or sweep.

An attacker with few tags is changed in one transaction that holds its writers off. One with many
is counted beside its writers; see the module `live_counts`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any, NamedTuple
from uuid import UUID

from decnet_ttp.core.errors import AbortedError
from decnet_ttp.tag_store.attacker_locks import hold_attacker_patiently
from decnet_ttp.tag_store.batch import TagRow
from decnet_ttp.tag_store.contributions import Anchor, apply, differences
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.directory_sql import Sightings, make_attackers
from decnet_ttp.tag_store.effects import NO_EFFECT, Effect
from decnet_ttp.tag_store.live_counts import Counted, Task, count_beside_writers
from decnet_ttp.tag_store.rule_states import RuleStates, Subject

#: Tags from which on an attacker is counted beside its writers.
LARGE_TAGS = 1_000

_TRIES = 20
#: Pause before the first try after one that was disturbed; each pause is longer by as much.
_PAUSE_S = 0.05
_SWEPT_AT_ONCE = 500

_log = logging.getLogger(__name__)

_COLUMNS = (
    "attacker_uuid",
    "rule_id",
    "rule_version",
    "amount",
    "reason",
    "source_kind",
    "source_id",
    "observed_at",
)
# S608: the statements are put together from constants of ours; every value is bound.
_NOW = "SELECT now() AS now"
# The newest verdict stays, in whatever order they come; source and version part those of one time.
_KEEP = f"""
    INSERT INTO attacker_adjustments AS k ({", ".join(_COLUMNS)})
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::double precision[],
        $5::text[], $6::text[], $7::text[], $8::timestamptz[]) AS u ({", ".join(_COLUMNS)})
    ORDER BY u.attacker_uuid, u.rule_id
    ON CONFLICT (attacker_uuid, rule_id) DO UPDATE SET rule_version = excluded.rule_version,
        amount = excluded.amount, reason = excluded.reason, source_kind = excluded.source_kind,
        source_id = excluded.source_id, observed_at = excluded.observed_at
    WHERE (k.observed_at, k.source_id, k.rule_version)
        < (excluded.observed_at, excluded.source_id, excluded.rule_version)
"""  # noqa: S608 - texts of ours; values are parameters
_STANDING = f"""
    SELECT {", ".join("k." + name for name in _COLUMNS)}, a.ip::text AS ip,
        coalesce(a.effect_amount, 0), coalesce(a.effect_ceiling, 1)
    FROM attacker_adjustments k LEFT JOIN attackers a ON a.uuid = k.attacker_uuid
    WHERE k.attacker_uuid = ANY($1::uuid[])
    ORDER BY k.attacker_uuid, k.rule_id
"""  # noqa: S608 - texts of ours; values are parameters
_NEXT = """
    SELECT DISTINCT k.attacker_uuid FROM attacker_adjustments k
    WHERE k.attacker_uuid > $1 ORDER BY k.attacker_uuid LIMIT $2
"""
_SIZE = "SELECT coalesce(sum(count), 0)::bigint FROM rollup_attacker WHERE attacker_uuid = $1"
_SET_EFFECT = "UPDATE attackers SET effect_amount = $2, effect_ceiling = $3 WHERE uuid = $1"


class AdjustmentRow(NamedTuple):
    """The last verdict of a rule about an attacker, named and ordered as the table's columns.

    The time is in ticks; None stands for that of storage.
    """

    attacker_uuid: UUID
    rule_id: str
    rule_version: int
    amount: float
    reason: str
    source_kind: str
    source_id: str
    observed_at: int | None


class Adjustment(NamedTuple):
    """A verdict, and the confidence up to which its rule may raise now; 0 while it may nothing."""

    row: AdjustmentRow
    ceiling: float


class Standing(NamedTuple):
    """How an attacker stands: its verdicts, and the effect the roll-ups are at."""

    attacker: UUID
    adjustments: Sequence[Adjustment]
    in_force: Effect

    @property
    def acting(self) -> Sequence[Adjustment]:
        """The verdicts that do something."""
        return [each for each in self.adjustments if each.ceiling > 0 and each.row.amount]

    @property
    def wanted(self) -> Effect:
        """The effect that follows from the verdicts."""
        amount = sum(each.row.amount for each in self.acting)
        if not amount:
            return NO_EFFECT
        ceilings = [each.ceiling for each in self.acting if each.row.amount > 0]
        return Effect(max(-1.0, min(amount, 1.0)), min(ceilings, default=1.0))


class Adjustments:
    """Keeps verdicts and lets them take effect.

    Every call raises AbortedError, ResourceExhaustedError or UnavailableError when the database
    says so, and may be sent again.

    Args:
        database: Where.
        states: States of the rules; None until they are known, when verdicts are kept without
            effect.
        clock: Seconds since the epoch.
        large_tags: Tags from which on an attacker is counted beside its writers.

    Attributes:
        states: As above; `sweep` lets a change take effect on everybody.
    """

    def __init__(
        self,
        database: Database,
        states: RuleStates | None,
        *,
        clock: Callable[[], float] = time.time,
        large_tags: int = LARGE_TAGS,
    ) -> None:
        self.states = states
        self._database = database
        self._clock = clock
        self._large_tags = large_tags

    async def wait_opened(self) -> None:
        """Wait until the database is open."""
        await self._database.wait_opened()

    async def take(self, rows: Iterable[AdjustmentRow]) -> int:
        """Keep verdicts that are news, and let them take effect.

        Returns:
            How many attackers' tags have another effective confidence than before.
        """
        given = list(rows)
        if not given:
            return 0
        attackers = sorted({row.attacker_uuid for row in given})
        standing = await self.standing(attackers)
        newest = {
            (each.row.attacker_uuid, each.row.rule_id): each.row
            for one in standing
            for each in one.adjustments
        }
        news: dict[tuple[UUID, str], AdjustmentRow] = {}
        for row in given:
            key = (row.attacker_uuid, row.rule_id)
            stamped = row if row.observed_at is not None else await self._stamp(row)
            if _is_news(row, stamped, newest.get(key)):
                newest[key] = news[key] = stamped
        if news:
            await self._keep([row for _, row in sorted(news.items())])
            standing = await self.standing(attackers)
        return await self._bring(standing)

    async def _stamp(self, row: AdjustmentRow) -> AdjustmentRow:
        return row._replace(observed_at=(await self._database.fetch(_NOW))[0]["now"])

    async def of_tags(self, rows: Iterable[TagRow]) -> dict[UUID | None, Standing]:
        """Return how the attackers of some tags stand, those that have a verdict."""
        attackers = {row.attacker_uuid for row in rows if row.attacker_uuid is not None}
        standing = await self.standing(sorted(attackers)) if attackers else []
        return {each.attacker: each for each in standing}

    async def standing(self, attackers: Sequence[UUID]) -> list[Standing]:
        """Return how attackers stand that have a verdict."""
        async with self._database.connection() as connection:
            return await self._read(connection, attackers)

    async def sweep(self) -> int:
        """Let what is kept take the effect that the states of the rules allow, on everybody.

        Returns:
            How many attackers' tags have another effective confidence than before.
        """
        changed = 0
        past = UUID(int=0)
        while rows := await self._database.fetch(_NEXT, past, _SWEPT_AT_ONCE):
            attackers = [row[0] for row in rows]
            past = attackers[-1]
            changed += await self._bring(await self.standing(attackers))
        if changed:
            _log.info("adjustments swept", extra={"attackers": changed})
        return changed

    async def _keep(self, rows: Sequence[AdjustmentRow]) -> None:
        sightings = Sightings()
        for row in rows:
            seen = row.observed_at or 0
            sightings.add(row.attacker_uuid, seen, seen)
        async with self._database.connection() as connection, connection.transaction():
            await make_attackers(connection, sightings, seen=False)
            await connection.execute(_KEEP, *(list(column) for column in zip(*rows, strict=True)))

    async def _read(self, connection: Any, attackers: Sequence[UUID]) -> list[Standing]:
        now_s = self._clock()
        found = []
        rows = await connection.fetch(_STANDING, attackers)
        for attacker, own in groupby(rows, key=lambda row: row[0]):
            adjustments = []
            in_force = NO_EFFECT
            for *columns, ip, amount, ceiling in own:
                row = AdjustmentRow(*columns)
                subject = Subject(attacker, ip, row.source_kind)
                allowed = self.states.ceiling(row.rule_id, subject, now_s) if self.states else 0.0
                adjustments.append(Adjustment(row, allowed))
                in_force = Effect(amount, ceiling)
            found.append(Standing(attacker, adjustments, in_force))
        return found

    async def _bring(self, standing: Iterable[Standing]) -> int:
        """Let those take effect that have another one than is wanted; returns how many."""
        if self.states is None:
            return 0
        changed = 0
        for each in standing:
            if each.wanted != each.in_force:
                changed += await self._bring_one(each.attacker)
        return changed

    async def _bring_one(self, attacker: UUID) -> bool:
        async def wanted(connection: Any, in_force: Effect | None) -> Effect | None:
            standing = await self._read(connection, [attacker])
            if in_force is None or not standing or standing[0].wanted == in_force:
                # Somebody else was quicker, or it was purged meanwhile.
                return None
            return standing[0].wanted

        async def put(connection: Any, effect: Effect) -> None:
            await connection.execute(_SET_EFFECT, attacker, *effect)

        ((size,),) = await self._database.fetch(_SIZE, attacker)
        if size >= self._large_tags:
            counted = await self._count_beside_writers(attacker, Task(wanted, put))
            if counted is not Counted.CONTRADICTED:
                return counted is Counted.DONE
            _log.warning("roll-ups of an attacker were wrong", extra={"attacker": str(attacker)})
        async with self._database.connection() as connection, connection.transaction():
            in_force = await hold_attacker_patiently(connection, attacker)
            effect = await wanted(connection, in_force)
            if effect is None:
                return False
            changes = await differences(connection, Anchor.ATTACKER, [attacker], effect)
            await put(connection, effect)
            await apply(connection, changes)
        return True

    async def _count_beside_writers(self, attacker: UUID, task: Task) -> Counted:
        for attempt in range(1, _TRIES + 1):
            counted = await count_beside_writers(self._database, attacker, task)
            if counted is not Counted.DISTURBED:
                return counted
            await asyncio.sleep(attempt * _PAUSE_S)
        raise AbortedError("tags of the attacker are being deleted; send the request again")


def _order(row: AdjustmentRow) -> tuple[int, str, int]:
    return (row.observed_at or 0, row.source_id, row.rule_version)


def _is_news(row: AdjustmentRow, stamped: AdjustmentRow, known: AdjustmentRow | None) -> bool:
    """Whether a verdict takes the place of the known one; the same one without a time never."""
    if known is None:
        return True
    if row.observed_at is None and _order(row)[1:] == _order(known)[1:]:
        return False
    return _order(known) < _order(stamped)
