# SPDX-License-Identifier: AGPL-3.0-or-later
"""The form of a timeline: steps over the parts of a session, and the parts of an example."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from decnet_ttp.matching.timeline import MAX_AT_LEAST, MAX_STEPS, PART_KINDS
from decnet_ttp.rule_store.conditions import (
    Condition,
    FieldName,
    Name,
    Number,
    Payload,
    Strict,
    refuse,
)


def _timespan(value: str) -> str:
    if timespan_s(value) == 0:
        raise refuse("a timespan must be longer than nothing; write for example 10m")
    return value


_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
Timespan = Annotated[str, Field(pattern=r"^[0-9]{1,6}[smhd]$"), AfterValidator(_timespan)]


def timespan_s(text: str) -> int:
    """Return a time span such as 90s, 10m, 2h or 1d in seconds."""
    return int(text[:-1]) * _UNITS[text[-1]]


class TimelineStepDocument(Strict):
    """A step: parts of the session of some kinds, each with the condition they must meet."""

    name: Name = Field(description="Its name, shown in evidence.")
    at_least: Annotated[int, Field(ge=1, le=MAX_AT_LEAST)] = Field(
        default=1, description="How many parts, or different values, it takes."
    )
    distinct: FieldName | None = Field(
        None, description="Count the different values of this field instead of the parts."
    )
    command: Condition | None = Field(None, description="Commands that take it.")
    auth_attempt: Condition | None = Field(None, description="Log-in attempts that take it.")
    payload: Condition | None = Field(None, description="Files that take it.")
    http_request: Condition | None = Field(None, description="Requests that take it.")

    @property
    def parts(self) -> dict[str, Any]:
        """The conditions that are given, by kind."""
        given = ((kind.value, getattr(self, kind.value)) for kind in PART_KINDS)
        return {kind: condition for kind, condition in given if condition is not None}

    @model_validator(mode="after")
    def _some_part(self) -> Self:
        if not self.parts:
            allowed = ", ".join(PART_KINDS)
            raise refuse(f"the step takes no part; give a condition on one of {allowed}")
        return self


class TimelineMatch(Strict):
    """Steps that the parts of one session take, in the words of Sigma's correlations."""

    type: Literal["temporal_ordered", "temporal"] = Field(
        description="Whether the steps are taken in the order in which they stand, or in any."
    )
    timespan: Timespan | None = Field(
        None, description="Longest time from first to last, as 90s, 10m, 2h; default: any."
    )
    session: Condition | None = Field(None, description="What the session itself must fulfil.")
    steps: Annotated[list[TimelineStepDocument], Field(min_length=1, max_length=MAX_STEPS)]

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        names = [step.name for step in self.steps]
        for number, name in enumerate(names):
            if name in names[:number]:
                raise refuse(f"two steps are named `{name}`; rename one", "steps", number, "name")
        return self


class PartDocument(Strict):
    """A part of an example's session: exactly one of the kinds, with its fields."""

    at_s: Annotated[Number, Field(ge=0, le=10**9)] | None = Field(
        None, description="Seconds since the session began; unknown when absent."
    )
    command: Payload | None = None
    auth_attempt: Payload | None = None
    payload: Payload | None = None
    http_request: Payload | None = None

    @property
    def kind(self) -> str:
        """The kind that is given."""
        return next(kind.value for kind in PART_KINDS if getattr(self, kind.value) is not None)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [kind for kind in PART_KINDS if getattr(self, kind.value) is not None]
        if len(given) != 1:
            raise refuse(f"a part has one kind; give exactly one of {', '.join(PART_KINDS)}")
        return self
