# SPDX-License-Identifier: AGPL-3.0-or-later
"""What attribution keeps: observations, states, transitions, outbox; one transaction a batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from decnet_ttp.attribution.announcements import state_changed
from decnet_ttp.attribution.database import Database
from decnet_ttp.attribution.directory import Membership
from decnet_ttp.attribution.observations import Observation, to_datetime, to_micros
from decnet_ttp.attribution.primitives import Registry
from decnet_ttp.attribution.series import (
    Changes,
    Series,
    SeriesKey,
    Stored,
    Transition,
    apply,
    samples_needed,
)
from decnet_ttp.attribution.states import Kind, Merged, Sample, State
from decnet_ttp.runtime.bus import Envelope

#: Key of the lock that lets one transaction change states at a time ("attr" and "save" in ASCII).
WRITER_LOCK = 0x61747472_73617665

_MEMBERS = """
SELECT attacker_uuid, identity_uuid FROM members WHERE attacker_uuid = ANY($1::uuid[])
"""
_ADD_MEMBERS = """
INSERT INTO members (attacker_uuid, identity_uuid, stub)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::boolean[])
ON CONFLICT (attacker_uuid) DO NOTHING
"""
_PRIOR = """
SELECT key, identity_uuid, attacker_uuid, observed_at, produced_at, confidence, primitive, value,
       observation_id, evidence_ref, source
FROM observations WHERE key = ANY($1::uuid[])
"""
_STATES = """
SELECT s.identity_uuid, s.primitive, s.value, s.state, s.confidence, s.observation_count,
       s.changed_at
FROM unnest($1::uuid[], $2::text[]) AS k (identity_uuid, primitive)
JOIN states AS s USING (identity_uuid, primitive)
"""
_SAMPLES = """
SELECT k.place, o.observed_at, o.key, o.value
FROM unnest($1::uuid[], $2::text[], $3::int[])
     WITH ORDINALITY AS k (identity_uuid, primitive, depth, place)
CROSS JOIN LATERAL (
    SELECT observed_at, key, value FROM observations
    WHERE identity_uuid = k.identity_uuid AND primitive = k.primitive
    ORDER BY observed_at DESC, key DESC LIMIT k.depth
) AS o
"""
_COUNTS = """
SELECT primitive, count(*) FROM observations
WHERE identity_uuid = $1 AND primitive = ANY($2::text[]) GROUP BY primitive
"""
_WRITE_OBSERVATIONS = """
INSERT INTO observations (key, identity_uuid, attacker_uuid, observed_at, produced_at, confidence,
                          primitive, value, observation_id, evidence_ref, source)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::timestamptz[],
                     $6::float8[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[])
ON CONFLICT (key) DO UPDATE SET
    identity_uuid = excluded.identity_uuid, attacker_uuid = excluded.attacker_uuid,
    observed_at = excluded.observed_at, produced_at = excluded.produced_at,
    confidence = excluded.confidence, value = excluded.value,
    observation_id = excluded.observation_id, source = excluded.source
"""
_WRITE_STATES = """
INSERT INTO states (identity_uuid, primitive, value, state, confidence, observation_count,
                    changed_at, observed_at)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::float8[], $6::bigint[],
                     $7::timestamptz[], $8::timestamptz[])
ON CONFLICT (identity_uuid, primitive) DO UPDATE SET
    value = excluded.value, state = excluded.state, confidence = excluded.confidence,
    observation_count = excluded.observation_count, changed_at = excluded.changed_at,
    observed_at = excluded.observed_at
"""
_DROP_STATES = """
DELETE FROM states USING unnest($1::uuid[], $2::text[]) AS k (identity_uuid, primitive)
WHERE states.identity_uuid = k.identity_uuid AND states.primitive = k.primitive
"""
_WRITE_TRANSITIONS = """
INSERT INTO transitions (identity_uuid, primitive, old_state, new_state, changed_at)
SELECT identity_uuid, primitive, old_state, new_state, changed_at
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
     WITH ORDINALITY AS t (identity_uuid, primitive, old_state, new_state, changed_at, place)
ORDER BY place
"""
_WRITE_OUTBOX = """
INSERT INTO outbox (message_id, subject, body)
SELECT message_id, subject, body
FROM unnest($1::uuid[], $2::text[], $3::bytea[])
     WITH ORDINALITY AS t (message_id, subject, body, place)
ORDER BY place
"""
_COUNT_REFUSALS = """
INSERT INTO refusals (reason, count) SELECT * FROM unnest($1::text[], $2::bigint[])
ON CONFLICT (reason) DO UPDATE SET count = refusals.count + excluded.count
"""
_PARK = """
INSERT INTO parked (sequence, subject, body, attacker_uuid, published_at, attempts, retry_at)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::bytea[], $4::uuid[], $5::timestamptz[],
                     $6::int[], $7::timestamptz[])
ON CONFLICT (sequence) DO UPDATE SET attempts = excluded.attempts, retry_at = excluded.retry_at
"""
_UNPARK = "DELETE FROM parked WHERE sequence = ANY($1::bigint[])"


@dataclass(frozen=True, slots=True)
class Parked:
    """A message that waits for its attacker to be known.

    Attributes:
        sequence: Its place in the input stream.
        subject: Subject it came on.
        body: Its bytes.
        attacker: Attacker it names.
        published: When the bus took it, microseconds since the epoch.
        attempts: How often the directory was asked.
        retry: When to ask again, microseconds since the epoch.
    """

    sequence: int
    subject: str
    body: bytes
    attacker: UUID
    published: int
    attempts: int
    retry: int


@dataclass(slots=True)
class Batch:
    """What one transaction takes in.

    Attributes:
        observations: In the order of the stream.
        memberships: Identities of attackers that were not known before.
        refusals: Messages that were refused, by reason.
        parked: Messages to put aside.
        unparked: Places of messages that no longer wait.
    """

    observations: list[Observation] = field(default_factory=list)
    memberships: list[Membership] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    parked: list[Parked] = field(default_factory=list)
    unparked: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a batch.

    Attributes:
        stored: Observations that were new or replaced an older version.
        transitions: Changes of state.
    """

    stored: int
    transitions: int


class Store:
    """The writing side; one transaction changes states at a time, across all processes.

    Args:
        database: Where.
        registry: Kinds of the primitives.
    """

    def __init__(self, database: Database, registry: Registry) -> None:
        self._database = database
        self._registry = registry

    async def unknown_attackers(self, attackers: Iterable[UUID]) -> list[UUID]:
        """Return those whose identity is not known yet.

        Raises:
            UnavailableError: The database is away.
        """
        asked = sorted(set(attackers))
        async with self._database.connection() as connection:
            known = {row[0] for row in await connection.fetch(_MEMBERS, asked)}
        return [attacker for attacker in asked if attacker not in known]

    async def record(self, batch: Batch) -> Recorded:
        """Store a batch with all that follows from it, or nothing.

        Every attacker must be known or in `memberships`.

        Raises:
            UnavailableError: The database is away; the batch may be recorded again.
            AbortedError: Another writer won; likewise.
        """
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", WRITER_LOCK)
            changes = Changes()
            if batch.observations:
                changes = await self._observe(connection, batch)
            if batch.refusals:
                await connection.execute(
                    _COUNT_REFUSALS, list(batch.refusals), list(batch.refusals.values())
                )
            if batch.parked:
                await connection.execute(_PARK, *_columns(map(_parked_row, batch.parked)))
            if batch.unparked:
                await connection.execute(_UNPARK, batch.unparked)
        return Recorded(len(changes.written), len(changes.transitions))

    async def _observe(self, connection: Any, batch: Batch) -> Changes:
        if batch.memberships:
            await connection.execute(
                _ADD_MEMBERS,
                *_columns((m.attacker, m.identity, m.stub) for m in batch.memberships),
            )
        attackers = list({observation.attacker for observation in batch.observations})
        members = dict(await connection.fetch(_MEMBERS, attackers))
        incoming = [Stored(members[item.attacker], item) for item in batch.observations]
        keys = list({item.key for item in batch.observations})
        prior = {row[0]: _stored(row) for row in await connection.fetch(_PRIOR, keys)}
        needed = samples_needed(incoming, prior, self._kinds(batch.observations))
        series = await self.load(connection, needed)
        changes = apply(incoming, prior, series)
        if changes.written:
            await connection.execute(
                _WRITE_OBSERVATIONS, *_columns(map(_observation_row, changes.written.values()))
            )
            await self.save(connection, series, changes.touched, changes.transitions)
        return changes

    def _kinds(self, observations: Iterable[Observation]) -> dict[str, Kind]:
        names = {observation.primitive for observation in observations}
        return {name: self._registry[name].kind for name in names}

    async def load(
        self, connection: Any, needed: Mapping[SeriesKey, int]
    ) -> dict[SeriesKey, Series]:
        """Read series with the number of newest samples each needs."""
        keys = list(needed)
        identities, primitives = [key.identity for key in keys], [key.primitive for key in keys]
        series = {key: Series(self._registry[key.primitive].kind) for key in keys}
        for row in await connection.fetch(_STATES, identities, primitives):
            one = series[SeriesKey(row[0], row[1])]
            one.merged = Merged(row[2], State(row[3]), row[4])
            one.count = row[5]
            one.changed_at = to_micros(row[6])
        for place, at, key, value in await connection.fetch(
            _SAMPLES, identities, primitives, list(needed.values())
        ):
            series[keys[place - 1]].samples.append(Sample(to_micros(at), key, value))
        for one in series.values():
            one.samples.sort()
        return series

    async def save(
        self,
        connection: Any,
        series: Mapping[SeriesKey, Series],
        touched: Iterable[SeriesKey],
        transitions: Sequence[Transition],
    ) -> None:
        """Write states, their changes and the announcements of these."""
        held: list[SeriesKey] = []
        gone: list[SeriesKey] = []
        for key in sorted(touched):
            (held if series[key].count else gone).append(key)
        if held:
            await connection.execute(
                _WRITE_STATES, *_columns(_state_row(key, series[key]) for key in held)
            )
        if gone:
            await connection.execute(_DROP_STATES, *_columns(gone))
        if transitions:
            await connection.execute(
                _WRITE_TRANSITIONS, *_columns(map(_transition_row, transitions))
            )
            await announce(connection, [state_changed(item) for item in transitions])


async def announce(connection: Any, envelopes: Sequence[Envelope]) -> None:
    """Put messages into the outbox, within the caller's transaction."""
    await connection.execute(
        _WRITE_OUTBOX,
        *_columns((UUID(item.id), item.topic, item.encode()) for item in envelopes),
    )


async def count_observations(
    connection: Any, identity: UUID, primitives: Sequence[str]
) -> dict[str, int]:
    """Count the observations of some series of one identity."""
    return dict(await connection.fetch(_COUNTS, identity, primitives))


def _columns(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _stored(row: Any) -> Stored:
    return Stored(
        row[1],
        Observation(
            key=row[0],
            attacker=row[2],
            at=to_micros(row[3]),
            produced=to_micros(row[4]),
            confidence=row[5],
            primitive=row[6],
            value=row[7],
            observation_id=row[8],
            evidence_ref=row[9],
            source=row[10],
        ),
    )


def _observation_row(stored: Stored) -> tuple[Any, ...]:
    item = stored.observation
    return (
        item.key,
        stored.identity,
        item.attacker,
        to_datetime(item.at),
        to_datetime(item.produced),
        item.confidence,
        item.primitive,
        item.value,
        item.observation_id,
        item.evidence_ref,
        item.source,
    )


def _state_row(key: SeriesKey, series: Series) -> tuple[Any, ...]:
    merged = series.merged
    if merged is None:
        raise AssertionError("a series with observations has been merged")
    return (
        key.identity,
        key.primitive,
        merged.value,
        merged.state.value,
        merged.confidence,
        series.count,
        to_datetime(series.changed_at),
        to_datetime(series.samples[-1].at),
    )


def _transition_row(item: Transition) -> tuple[Any, ...]:
    old = None if item.old is None else item.old.value
    return (
        item.series.identity,
        item.series.primitive,
        old,
        item.merged.state.value,
        to_datetime(item.at),
    )


def _parked_row(item: Parked) -> tuple[Any, ...]:
    return (
        item.sequence,
        item.subject,
        item.body,
        item.attacker,
        to_datetime(item.published),
        item.attempts,
        to_datetime(item.retry),
    )
