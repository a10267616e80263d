# SPDX-License-Identifier: AGPL-3.0-or-later
"""What attribution keeps: observations, states, transitions, outbox; one transaction a batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from decnet_ttp.attribution import sql
from decnet_ttp.attribution.announcements import state_changed
from decnet_ttp.attribution.batch import Batch, Recorded
from decnet_ttp.attribution.database import Database
from decnet_ttp.attribution.observations import Observation
from decnet_ttp.attribution.primitives import Registry
from decnet_ttp.attribution.rows import (
    OBSERVATION,
    OUTBOX,
    TRANSITION,
    columns,
    observation_row,
    parked_row,
    state_row,
    stored_row,
    transition_row,
)
from decnet_ttp.attribution.series import (
    Changes,
    Series,
    SeriesKey,
    Stored,
    Transition,
    apply,
    samples_needed,
)
from decnet_ttp.attribution.states import STATES, Kind, Merged, Sample
from decnet_ttp.runtime.bus import Envelope

#: Key of the lock that lets one transaction change states at a time ("attr" and "save" in ASCII).
WRITER_LOCK = 0x61747472_73617665


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
            known = {row[0] for row in await connection.fetch(sql.MEMBERS, asked)}
        return [attacker for attacker in asked if attacker not in known]

    async def place(self, stream_created: int) -> int | None:
        """Return the last message of a stream that was recorded, None when none was.

        Args:
            stream_created: When the stream was made, microseconds since the epoch.

        Raises:
            UnavailableError: The database is away.
        """
        rows = await self._database.fetch(sql.PLACE, stream_created)
        return int(rows[0][0]) if rows else None

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
                    sql.COUNT_REFUSALS, list(batch.refusals), list(batch.refusals.values())
                )
            if batch.parked:
                await connection.execute(sql.PARK, *columns(map(parked_row, batch.parked)))
            if batch.unparked:
                await connection.execute(sql.UNPARK, batch.unparked)
            if batch.place is not None:
                await connection.execute(sql.KEEP_PLACE, *batch.place)
        return Recorded(len(changes.written), len(changes.transitions))

    async def _observe(self, connection: Any, batch: Batch) -> Changes:
        if batch.memberships:
            await connection.execute(
                sql.ADD_MEMBERS,
                *columns((m.attacker, m.identity, m.stub) for m in batch.memberships),
            )
        attackers = list({observation.attacker for observation in batch.observations})
        members = dict(await connection.fetch(sql.MEMBERS, attackers))
        incoming = [Stored(members[item.attacker], item) for item in batch.observations]
        keys = list({item.key for item in batch.observations})
        prior = {row[0]: stored_row(row) for row in await connection.fetch(sql.PRIOR, keys)}
        needed = samples_needed(incoming, prior, self._kinds(batch.observations))
        series = await self.load(connection, needed)
        changes = apply(incoming, prior, series)
        if changes.written:
            await _write_observations(connection, changes.written, prior)
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
        for row in await connection.fetch(sql.STATES, identities, primitives):
            one = series[SeriesKey(row[0], row[1])]
            one.merged = Merged(row[2], STATES[row[3]], row[4])
            one.count = row[5]
            one.changed_at = row[6]
        placed = list(series.values())
        for place, at, key, value in await connection.fetch(
            sql.SAMPLES, identities, primitives, list(needed.values())
        ):
            placed[place - 1].samples.append(Sample(at, key, value))
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
                sql.WRITE_STATES, *columns(state_row(key, series[key]) for key in held)
            )
        if gone:
            await connection.execute(sql.DROP_STATES, *columns(gone))
        if transitions:
            await connection.copy_records_to_table(
                "transitions", records=map(transition_row, transitions), columns=TRANSITION
            )
            await announce(connection, [state_changed(item) for item in transitions])


async def _write_observations(
    connection: Any, written: Mapping[UUID, Stored], prior: Mapping[UUID, Stored]
) -> None:
    """Write observations; whoever holds the writers' lock knows which of them are new."""
    new = [observation_row(item) for key, item in written.items() if key not in prior]
    replaced = [observation_row(item) for key, item in written.items() if key in prior]
    if new:
        await connection.copy_records_to_table("observations", records=new, columns=OBSERVATION)
    if replaced:
        await connection.execute(sql.REPLACE_OBSERVATIONS, *columns(replaced))


async def announce(connection: Any, envelopes: Sequence[Envelope]) -> None:
    """Put messages into the outbox, within the caller's transaction."""
    await connection.copy_records_to_table(
        "outbox",
        records=[(UUID(item.id), item.topic, item.encode()) for item in envelopes],
        columns=OUTBOX,
    )


async def count_observations(connection: Any, keys: Sequence[SeriesKey]) -> dict[SeriesKey, int]:
    """Count the observations of some series."""
    rows = await connection.fetch(
        sql.COUNTS, [key.identity for key in keys], [key.primitive for key in keys]
    )
    return {SeriesKey(row[0], row[1]): row[2] for row in rows}
