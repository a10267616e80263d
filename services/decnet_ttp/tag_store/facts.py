# SPDX-License-Identifier: AGPL-3.0-or-later
"""Facts about attackers: fingerprints, payloads, end points, where they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple
from uuid import UUID

from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.identities import AttackerUnknownError

#: Facts of one kind that an attacker keeps, those seen last.
MAX_PER_KIND = 256

_HASH_BYTES = 16

_KNOWN = "SELECT uuid FROM attackers WHERE uuid = ANY($1::uuid[]) ORDER BY uuid FOR KEY SHARE"
_PUT = """
    INSERT INTO attacker_facts AS f (
        attacker_uuid, kind, value_hash, value, count, first_seen, last_seen, attributes
    )
    SELECT u.attacker_uuid, u.kind, u.value_hash, u.value, u.count,
        coalesce(u.first_seen, u.last_seen, now()), coalesce(u.last_seen, u.first_seen, now()),
        u.attributes
    FROM unnest(
        $1::uuid[], $2::smallint[], $3::bytea[], $4::text[], $5::bigint[],
        $6::timestamptz[], $7::timestamptz[], $8::bytea[]
    ) AS u (attacker_uuid, kind, value_hash, value, count, first_seen, last_seen, attributes)
    ORDER BY u.attacker_uuid, u.kind, u.value_hash
    ON CONFLICT (attacker_uuid, kind, value_hash) DO UPDATE SET
        count = greatest(f.count, excluded.count),
        first_seen = least(f.first_seen, excluded.first_seen),
        last_seen = greatest(f.last_seen, excluded.last_seen),
        attributes = CASE WHEN excluded.attributes = '' THEN f.attributes
            WHEN f.attributes = '' OR (excluded.last_seen, excluded.attributes)
                > (f.last_seen, f.attributes) THEN excluded.attributes
            ELSE f.attributes END
    WHERE excluded.count > f.count OR excluded.first_seen < f.first_seen
        OR excluded.last_seen > f.last_seen OR excluded.attributes > f.attributes
    RETURNING attacker_uuid, kind, xmax = 0 AS inserted
"""
# Whom another one holds was seen again by it, and may stay.
_TRIM = f"""
    DELETE FROM attacker_facts WHERE ctid = ANY(ARRAY(SELECT f.ctid FROM attacker_facts f JOIN (
        SELECT o.attacker_uuid, o.kind, o.value_hash, row_number() OVER (
            PARTITION BY o.attacker_uuid, o.kind ORDER BY o.last_seen DESC, o.value_hash
        ) AS place
        FROM attacker_facts o
        JOIN (SELECT DISTINCT * FROM unnest($1::uuid[], $2::smallint[])) AS u (attacker_uuid, kind)
            ON o.attacker_uuid = u.attacker_uuid AND o.kind = u.kind
    ) old USING (attacker_uuid, kind, value_hash)
    WHERE old.place > {MAX_PER_KIND} FOR UPDATE OF f SKIP LOCKED))
"""  # noqa: S608 - a constant of ours
_LIST = """
    SELECT f.attacker_uuid, f.kind, f.value, f.count, f.first_seen, f.last_seen, f.attributes,
        f.value_hash
    FROM attacker_facts f
    WHERE f.attacker_uuid = $1 AND ($2::smallint = 0 OR f.kind = $2)
        AND ($4::smallint IS NULL OR (f.kind, -extract(epoch FROM f.last_seen), f.value_hash)
            > ($4, -extract(epoch FROM $5::timestamptz), $6::bytea))
    ORDER BY f.kind, f.last_seen DESC, f.value_hash LIMIT $3
"""


class FactRow(NamedTuple):
    """A fact; times in ticks, None when unknown; attributes as serialised by the servicer."""

    attacker_uuid: UUID
    kind: int
    value: str
    sightings: int
    first_seen: int | None
    last_seen: int | None
    attributes: bytes
    value_hash: bytes


@dataclass(slots=True)
class _Merged:
    """What one request says of one fact, in whatever many rows."""

    row: FactRow

    def add(self, other: FactRow) -> None:
        """Take another row in."""
        mine = self.row
        first = [t for t in (mine.first_seen, other.first_seen) if t is not None]
        last = [t for t in (mine.last_seen, other.last_seen) if t is not None]
        self.row = mine._replace(
            sightings=max(mine.sightings, other.sightings),
            first_seen=min(first, default=None),
            last_seen=max(last, default=None),
            attributes=other.attributes
            if mine.attributes == b"" or (other.attributes and newest(other) > newest(mine))
            else mine.attributes,
        )


def newest(row: FactRow) -> tuple[int, bytes]:
    """Return what decides whose attributes stand: the later ones, of two at a time the same."""
    return (row.last_seen or row.first_seen or 0, row.attributes)


def value_hash(value: str) -> bytes:
    """Return what a fact is told apart by: a long value does not fit into an index."""
    return blake2b(value.encode(), digest_size=_HASH_BYTES).digest()


async def put_facts(connection: Any, rows: Sequence[FactRow]) -> int:
    """Keep facts of attackers that are known, in the caller's transaction.

    Returns:
        How many were new.
    """
    merged: dict[tuple[UUID, int, bytes], _Merged] = {}
    for row in rows:
        key = (row.attacker_uuid, row.kind, row.value_hash)
        if key in merged:
            merged[key].add(row)
        else:
            merged[key] = _Merged(row)
    if not merged:
        return 0
    facts = [each.row for each in merged.values()]
    written = await connection.fetch(
        _PUT,
        [fact.attacker_uuid for fact in facts],
        [fact.kind for fact in facts],
        [fact.value_hash for fact in facts],
        [fact.value for fact in facts],
        [fact.sightings for fact in facts],
        [fact.first_seen for fact in facts],
        [fact.last_seen for fact in facts],
        [fact.attributes for fact in facts],
    )
    grown = {(row["attacker_uuid"], row["kind"]) for row in written if row["inserted"]}
    if grown:
        await connection.execute(
            _TRIM, [attacker for attacker, _ in grown], [kind for _, kind in grown]
        )
    return sum(row["inserted"] for row in written)


class Facts:
    """Keeps facts, a bounded number for each attacker.

    Every call raises AbortedError, ResourceExhaustedError or UnavailableError when the database
    says so.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, rows: Sequence[FactRow]) -> int:
        """Keep facts; returns how many were new.

        Raises:
            AttackerUnknownError: One is about an attacker that has no row; none is kept.
        """
        attackers = list({row.attacker_uuid for row in rows})
        async with self._database.connection() as connection, connection.transaction():
            known = await connection.fetch(_KNOWN, attackers)
            if len(known) < len(attackers):
                raise AttackerUnknownError(
                    f"{len(attackers) - len(known)} of the attackers are not known; "
                    "resolve their addresses first"
                )
            return await put_facts(connection, rows)

    async def page(
        self, attacker: UUID, kind: int, limit: int, past: tuple[int, int, bytes] | None
    ) -> list[FactRow]:
        """Return facts of an attacker by kind, last seen first.

        Args:
            attacker: Whose.
            kind: Number of the proto's FactKind; 0 for all.
            limit: Rows at most.
            past: Kind, last seen and hash of the row before; None for the first page.
        """
        past_kind, past_seen, past_hash = past or (None, None, None)
        rows = await self._database.fetch(
            _LIST, attacker, kind, limit, past_kind, past_seen, past_hash
        )
        return [FactRow(*row) for row in rows]
