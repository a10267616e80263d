# SPDX-License-Identifier: AGPL-3.0-or-later
"""The form of a condition: tests of fields, and what combines them."""

from __future__ import annotations

from typing import Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from decnet_ttp.rule_store.patterns import network_fault, pattern_fault

MAX_CONDITION_DEPTH: Final = 16


def refuse(message: str, *at: str | int) -> PydanticCustomError:
    """Return an error whose place is a member below the value that is validated."""
    return PydanticCustomError("rule", "{message}", {"message": message, "at": at})


def _checked_pattern(pattern: str) -> str:
    if fault := pattern_fault(pattern):
        raise refuse(fault)
    return pattern


def _checked_network(network: str) -> str:
    if fault := network_fault(network):
        raise refuse(fault)
    return network


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Text = Annotated[str, Field(min_length=1, max_length=8192)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
FieldName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$", max_length=256)]
Pattern = Annotated[str, AfterValidator(_checked_pattern)]
Network = Annotated[str, AfterValidator(_checked_network)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Payload = Annotated[dict[str, Any], Field(min_length=1)]

_OneOrMore = BeforeValidator(_as_list, json_schema_input_type=str | list[str])
NonEmptyTexts = Annotated[list[Text], Field(min_length=1), _OneOrMore]
Texts = Annotated[list[str], Field(min_length=1), _OneOrMore]
Networks = Annotated[list[Network], Field(min_length=1), _OneOrMore]


class Strict(BaseModel):
    """A mapping without keys that nobody knows, and without conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=False)


_OPERATORS: Final = ("pattern", "contains", "equals", "in_set", "cidr", "is")
_COMPARISONS: Final = ("gt", "gte", "lt", "lte")
#: Operators, each with the attributes that give it.
_GIVEN_BY: Final = {
    **{name: ("is_" if name == "is" else name,) for name in _OPERATORS},
    "compare": _COMPARISONS,
}
_FOLDING: Final = frozenset({"pattern", "contains", "equals", "in_set"})


class FieldTest(Strict):
    """A test of one or several fields; it holds when any of the fields passes."""

    field: FieldName | None = Field(
        None, description="The field to read; the kind's default field when absent."
    )
    fields: Annotated[list[FieldName], Field(min_length=1)] | None = Field(
        None, description="Several fields, of which one must pass."
    )
    pattern: Pattern | None = Field(None, description="RE2 expression, searched anywhere.")
    contains: NonEmptyTexts | None = Field(None, description="One of these texts is in it.")
    equals: Texts | None = Field(None, description="It is one of these texts.")
    in_set: Texts | None = Field(None, description="It, or a member of it, is one of these.")
    cidr: Networks | None = Field(None, description="It is an address in one of these networks.")
    gt: Number | None = Field(None, description="It is greater than this.")
    gte: Number | None = Field(None, description="It is greater than or equal to this.")
    lt: Number | None = Field(None, description="It is less than this.")
    lte: Number | None = Field(None, description="It is less than or equal to this.")
    is_: bool | None = Field(None, alias="is", description="It is this boolean.")
    ignore_case: bool = Field(default=False, description="Letters match whatever their case.")

    @property
    def operators(self) -> tuple[str, ...]:
        """The operators that are set; the comparisons count as one, "compare"."""
        given = self.model_fields_set
        return tuple(
            operator
            for operator, names in _GIVEN_BY.items()
            if not given.isdisjoint(names)
            and any(getattr(self, name) is not None for name in names)
        )

    @model_validator(mode="after")
    def _one_operator(self) -> Self:
        if self.field is not None and self.fields is not None:
            raise refuse("`field` and `fields` exclude each other; keep one", "fields")
        found = self.operators
        if len(found) != 1:
            what = f"has {', '.join(found)}" if found else "has no operator"
            allowed = ", ".join((*_OPERATORS, "/".join(_COMPARISONS)))
            raise refuse(f"a field test {what}; allowed: exactly one of {allowed}")
        if self.ignore_case and found[0] not in _FOLDING:
            allowed = ", ".join(sorted(_FOLDING))
            raise refuse(
                f"`ignore_case` means nothing here; allowed with: {allowed}", "ignore_case"
            )
        return self


class AllOf(Strict):
    """Holds when every member holds."""

    all: Annotated[list[Condition], Field(min_length=1)]


class AnyOf(Strict):
    """Holds when a member holds."""

    any: Annotated[list[Condition], Field(min_length=1)]


class Negation(Strict):
    """Holds when its member does not."""

    not_: Condition = Field(alias="not")


def condition_form(value: Any) -> str:
    """Choose the one form that the keys call for, so that errors speak of that one only."""
    if isinstance(value, BaseModel):
        return {AllOf: "all-of", AnyOf: "any-of", Negation: "negation"}.get(
            type(value), "field-test"
        )
    keys = value.keys() if isinstance(value, dict) else ()
    for key, form in (("all", "all-of"), ("any", "any-of"), ("not", "negation")):
        if key in keys:
            return form
    return "field-test"


Condition = Annotated[
    Annotated[AllOf, Tag("all-of")]
    | Annotated[AnyOf, Tag("any-of")]
    | Annotated[Negation, Tag("negation")]
    | Annotated[FieldTest, Tag("field-test")],
    Discriminator(condition_form),
]
