# SPDX-License-Identifier: AGPL-3.0-or-later
"""What attackers and identities contribute to the roll-ups, counted anew from their tags.

Writers of new tags only ever add, which is all that `rollup_sql.add` does. Whatever else changes
what somebody's tags count for (deletion, an adjustment of confidence) changes the tags or the
effect first, and then asks here for the difference: one statement counts the tags of the anchors
and holds the result against their rows. `apply` is the one place that brings a difference into the
roll-ups, those of the anchors and those above them, in the caller's transaction.

The roll-ups of the fleet cannot tell who their first and last times came from. Where an anchor no
longer vouches for one of them, the row is noted in `fleet_recounts`; see `fleet_settling`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from decnet_ttp.tag_store import rollup_sql
from decnet_ttp.tag_store.effects import TAG_EFFECT, Effect, effective_sql
from decnet_ttp.tag_store.recount import TAG_CELL, TAG_LIVE, tag_figures, tag_key
from decnet_ttp.tag_store.rollup_counts import Count, RollupCounts, add_count


class Anchor(StrEnum):
    """Whose roll-ups tags are counted in: their attacker's, else their identity's."""

    IDENTITY = "identity"
    ATTACKER = "attacker"


class Difference(NamedTuple):
    """How a row of an anchor's roll-ups changes.

    Attributes:
        anchor: Kind of anchor.
        who: The attacker or identity.
        day: Days since 2000-01-01.
        cell: Number of the cell of the matrix.
        band: Number of the proto's ConfidenceBand.
        before: What the row said; None where there was none.
        after: What its tags give; None where it goes.
    """

    anchor: Anchor
    who: UUID
    day: int
    cell: int
    band: int
    before: Count | None
    after: Count | None

    @property
    def shrinks(self) -> bool:
        """Whether first or last time or highest confidence may be nobody's any more."""
        if self.before is None or self.after is None:
            return self.after is None
        return (
            self.after.first_seen > self.before.first_seen
            or self.after.last_seen < self.before.last_seen
            or self.after.confidence_max < self.before.confidence_max
        )


# S608: the statements are put together from constants of ours; every value is bound.
_OWN = {
    Anchor.IDENTITY: "t.attacker_uuid IS NULL AND t.identity_uuid = ANY($1::uuid[])",
    Anchor.ATTACKER: "t.attacker_uuid = ANY($1::uuid[])",
}
_DIFFERENCES = """
    SELECT who, day, cell_id, band, s.count, s.first_seen, s.last_seen, s.confidence_max,
        n.count, n.first_seen, n.last_seen, n.confidence_max
    FROM (
        SELECT t.{anchor}_uuid AS who, {key}, {figures}
        FROM tags t JOIN cells c ON {cell} {join}
        WHERE {own} AND {live}
        GROUP BY 1, 2, 3, 4
    ) n
    FULL JOIN (
        SELECT r.{anchor}_uuid AS who, r.day, r.cell_id, r.band,
            r.count, r.first_seen, r.last_seen, r.confidence_max
        FROM rollup_{anchor} r WHERE r.{anchor}_uuid = ANY($1::uuid[])
    ) s USING (who, day, cell_id, band)
    WHERE (n.count, n.first_seen, n.last_seen, n.confidence_max)
        IS DISTINCT FROM (s.count, s.first_seen, s.last_seen, s.confidence_max)
"""


def _differences_sql(anchor: Anchor, confidence: str, join: str) -> str:
    return _DIFFERENCES.format(
        anchor=anchor,
        key=tag_key(confidence),
        figures=tag_figures(confidence),
        cell=TAG_CELL,
        join=join,
        own=_OWN[anchor],
        live=TAG_LIVE,
    )


_AS_IN_FORCE = {anchor: _differences_sql(anchor, effective_sql(), TAG_EFFECT) for anchor in Anchor}
_UNDER_EFFECT = _differences_sql(
    Anchor.ATTACKER, effective_sql("$2::double precision", "$3::double precision"), ""
)
_KEYS = "unnest($1::uuid[], $2::date[], $3::integer[], $4::smallint[]"
_WRITE = """
    INSERT INTO rollup_{anchor} (
        {anchor}_uuid, day, cell_id, band, count, first_seen, last_seen, confidence_max
    )
    SELECT * FROM {keys}, $5::bigint[], $6::timestamptz[], $7::timestamptz[],
        $8::double precision[]) AS u (who, day, cell_id, band, count, first, last, confidence)
    ORDER BY u.who, u.day, u.cell_id, u.band
    ON CONFLICT ({anchor}_uuid, day, cell_id, band) DO UPDATE SET count = excluded.count,
        first_seen = excluded.first_seen, last_seen = excluded.last_seen,
        confidence_max = excluded.confidence_max
"""
_REMOVE = """
    DELETE FROM rollup_{anchor} r USING {keys}) AS u (who, day, cell_id, band)
    WHERE r.{anchor}_uuid = u.who AND r.day = u.day AND r.cell_id = u.cell_id AND r.band = u.band
"""
_LEAVE_TO_SETTLE = """
    INSERT INTO fleet_recounts (day, cell_id, band)
    SELECT * FROM unnest($1::date[], $2::integer[], $3::smallint[]) AS u (day, cell_id, band)
    ORDER BY u.day, u.cell_id, u.band
    ON CONFLICT (day, cell_id, band) DO UPDATE SET day = excluded.day
"""

_LEAVE_ANCHORS = """
    INSERT INTO anchor_recounts (anchor, uuid)
    SELECT * FROM unnest($1::text[], $2::uuid[]) AS u (anchor, uuid) ORDER BY u.anchor, u.uuid
    ON CONFLICT DO NOTHING
"""


async def differences(
    connection: Any, anchor: Anchor, who: Sequence[UUID], effect: Effect | None = None
) -> list[Difference]:
    """Return how the roll-ups of anchors differ from what their tags give now.

    One statement, so that tags and roll-ups are seen at one moment.

    Args:
        connection: Where.
        anchor: Kind of the anchors.
        who: The anchors.
        effect: What to count an attacker's tags by, in place of the effect in force.
    """
    if not who:
        return []
    if effect is None:
        rows = await connection.fetch(_AS_IN_FORCE[anchor], who)
    else:
        rows = await connection.fetch(_UNDER_EFFECT, who, effect.amount, effect.ceiling)
    found = []
    for whom, day, cell, band, *figures in rows:
        before = None if figures[0] is None else Count(*figures[:4])
        after = None if figures[4] is None else Count(*figures[4:])
        found.append(Difference(anchor, whom, day, cell, band, before, after))
    return found


async def apply(connection: Any, changes: Iterable[Difference]) -> None:
    """Bring differences into the roll-ups, in the caller's transaction.

    The caller holds the anchors. Rows are taken in the order of the writers: those of the anchors
    first, those of the fleet last, each by key.
    """
    found = list(changes)
    for anchor in Anchor:
        await _write_own(connection, anchor, [each for each in found if each.anchor is anchor])
    above = RollupCounts({}, {}, {}, {})
    for _, _, day, cell, band, before, after in found:
        figures = after or before
        if figures is None:
            continue
        count = (after.count if after else 0) - (before.count if before else 0)
        change = Count(count, figures.first_seen, figures.last_seen, figures.confidence_max)
        add_count(above.fleet_days, (day, cell, band), change)
        add_count(above.fleet, (cell, band), change)
    await rollup_sql.add(connection, above)
    await _leave_fleet(connection, {each[2:5] for each in found if each.shrinks})


async def leave_to_settle(connection: Any, counts: RollupCounts) -> None:
    """Note that first and last times of roll-ups that were lessened are to be looked at."""
    noted = [(Anchor.ATTACKER, UUID(int=key[0])) for key in counts.attackers]
    noted += [(Anchor.IDENTITY, UUID(int=key[0])) for key in counts.identities]
    await connection.execute(_LEAVE_ANCHORS, *_columns(sorted(set(noted))))
    await _leave_fleet(connection, set(counts.fleet_days))


async def recontribute(
    connection: Any, attackers: Sequence[UUID], identities: Sequence[UUID] = ()
) -> None:
    """Let the roll-ups of anchors, and all above them, follow their tags as they are now.

    The caller holds the anchors, and has changed their tags in the same transaction.
    """
    found = await differences(connection, Anchor.IDENTITY, identities)
    found += await differences(connection, Anchor.ATTACKER, attackers)
    await apply(connection, found)


async def _leave_fleet(connection: Any, keys: set[tuple[int, int, int]]) -> None:
    if keys:
        await connection.execute(_LEAVE_TO_SETTLE, *_columns(sorted(keys)))


async def _write_own(connection: Any, anchor: Anchor, changes: Sequence[Difference]) -> None:
    gone = sorted(each[1:5] for each in changes if each.after is None)
    if gone:
        await connection.execute(_REMOVE.format(anchor=anchor, keys=_KEYS), *_columns(gone))
    written = [
        (
            *each[1:5],
            each.after.count,
            each.after.first_seen,
            each.after.last_seen,
            each.after.confidence_max,
        )
        for each in changes
        if each.after is not None
    ]
    if written:
        await connection.execute(_WRITE.format(anchor=anchor, keys=_KEYS), *_columns(written))


def _columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
