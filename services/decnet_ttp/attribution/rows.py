# SPDX-License-Identifier: AGPL-3.0-or-later
"""Between rows of the database and what they stand for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from decnet_ttp.attribution.batch import Parked
from decnet_ttp.attribution.observations import Observation
from decnet_ttp.attribution.series import Series, SeriesKey, Stored, Transition

#: Columns of the rows below.
OBSERVATION = (
    "key",
    "identity_uuid",
    "attacker_uuid",
    "observed_at",
    "produced_at",
    "confidence",
    "primitive",
    "value",
    "observation_id",
    "evidence_ref",
    "source",
)
TRANSITION = ("identity_uuid", "primitive", "old_state", "new_state", "changed_at")
OUTBOX = ("message_id", "subject", "body")


def columns(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Return rows as the columns that unnest takes."""
    return [list(column) for column in zip(*rows, strict=True)]


def stored_row(row: Any) -> Stored:
    """Return a stored observation."""
    return Stored(
        row[1],
        Observation(
            key=row[0],
            attacker=row[2],
            at=row[3],
            produced=row[4],
            confidence=row[5],
            primitive=row[6],
            value=row[7],
            observation_id=row[8],
            evidence_ref=row[9],
            source=row[10],
        ),
    )


def observation_row(stored: Stored) -> tuple[Any, ...]:
    """Return the row of an observation."""
    item = stored.observation
    return (
        item.key,
        stored.identity,
        item.attacker,
        item.at,
        item.produced,
        item.confidence,
        item.primitive,
        item.value,
        item.observation_id,
        item.evidence_ref,
        item.source,
    )


def state_row(key: SeriesKey, series: Series) -> tuple[Any, ...]:
    """Return the row of a state."""
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
        series.changed_at,
        series.samples[-1].at,
    )


def transition_row(item: Transition) -> tuple[Any, ...]:
    """Return the row of a change of state."""
    old = None if item.old is None else item.old.value
    return (
        item.series.identity,
        item.series.primitive,
        old,
        item.merged.state.value,
        item.at,
    )


def parked_row(item: Parked) -> tuple[Any, ...]:
    """Return the row of a parked message."""
    return (
        item.sequence,
        item.subject,
        item.body,
        item.attacker,
        item.published,
        item.attempts,
        item.retry,
    )
