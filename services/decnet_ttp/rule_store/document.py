# SPDX-License-Identifier: AGPL-3.0-or-later
"""The form of a rule file: the model that validates it, and the JSON Schema made from it."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.rule_store.patterns import network_fault, pattern_fault
from decnet_ttp.rule_store.vocabulary import EmissionFault, Vocabulary

MAX_CONDITION_DEPTH: Final = 16
_CONFIDENCE: Final = (0.0, 1.0)


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


def _checked_kind(kind: str) -> str:
    if kind not in frozenset(SourceKind):
        allowed = ", ".join(sorted(SourceKind))
        raise refuse(f"unknown source kind {kind[:64]!r}; allowed: {allowed}")
    return kind


Text = Annotated[str, Field(min_length=1, max_length=8192)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
RuleId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,64}$")]
FieldName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$", max_length=256)]
Kind = Annotated[str, AfterValidator(_checked_kind)]
Pattern = Annotated[str, AfterValidator(_checked_pattern)]
Network = Annotated[str, AfterValidator(_checked_network)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Url = Annotated[str, Field(pattern=r"^https?://\S+$", max_length=2048)]
Confidence = Annotated[float, Field(ge=_CONFIDENCE[0], le=_CONFIDENCE[1])]
Kinds = Annotated[list[Kind], Field(min_length=1)]
Payload = Annotated[dict[str, Any], Field(min_length=1)]

_OneOrMore = BeforeValidator(_as_list, json_schema_input_type=str | list[str])
NonEmptyTexts = Annotated[list[Text], Field(min_length=1), _OneOrMore]
Texts = Annotated[list[str], Field(min_length=1), _OneOrMore]
Networks = Annotated[list[Network], Field(min_length=1), _OneOrMore]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=False)


_OPERATORS: Final = ("pattern", "contains", "equals", "in_set", "cidr", "is")
_COMPARISONS: Final = ("gt", "gte", "lt", "lte")
_FOLDING: Final = frozenset({"pattern", "contains", "equals", "in_set"})


class FieldTest(_Strict):
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
        found = tuple(name for name in _OPERATORS if getattr(self, _attribute(name)) is not None)
        compares = any(getattr(self, name) is not None for name in _COMPARISONS)
        return (*found, "compare") if compares else found

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


def _attribute(operator: str) -> str:
    return "is_" if operator == "is" else operator


class AllOf(_Strict):
    """Holds when every member holds."""

    all: Annotated[list[Condition], Field(min_length=1)]


class AnyOf(_Strict):
    """Holds when a member holds."""

    any: Annotated[list[Condition], Field(min_length=1)]


class Negation(_Strict):
    """Holds when its member does not."""

    not_: Condition = Field(alias="not")


class LifterMatch(BaseModel):
    """A predicate that a lifter owns, with its parameters beside `kind`."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    kind: Annotated[str, Field(pattern=r"^lifter:[a-z][a-z0-9]*_[a-z0-9_]+$")]


def _form(value: Any) -> str:
    """Choose the one form that the keys call for, so that errors speak of that one only."""
    if isinstance(value, BaseModel):
        return {AllOf: "all-of", AnyOf: "any-of", Negation: "negation"}.get(
            type(value), "lifter" if isinstance(value, LifterMatch) else "field-test"
        )
    keys = value.keys() if isinstance(value, dict) else ()
    for key, form in (("all", "all-of"), ("any", "any-of"), ("not", "negation")):
        if key in keys:
            return form
    return "field-test"


def _match_form(value: Any) -> str:
    keys = value.keys() if isinstance(value, dict) else ()
    return "lifter" if isinstance(value, LifterMatch) or "kind" in keys else _form(value)


Condition = Annotated[
    Annotated[AllOf, Tag("all-of")]
    | Annotated[AnyOf, Tag("any-of")]
    | Annotated[Negation, Tag("negation")]
    | Annotated[FieldTest, Tag("field-test")],
    Discriminator(_form),
]
Match = Annotated[
    Annotated[AllOf, Tag("all-of")]
    | Annotated[AnyOf, Tag("any-of")]
    | Annotated[Negation, Tag("negation")]
    | Annotated[FieldTest, Tag("field-test")]
    | Annotated[LifterMatch, Tag("lifter")],
    Discriminator(_match_form),
]


class EmissionDocument(_Strict):
    """A technique that the rule emits when it fires."""

    tactic: Annotated[str, Field(pattern=r"^TA\d{4}$")] = Field(description="Tactic id, TAnnnn.")
    technique_id: str = Field(
        description="Technique id without sub-technique, Tnnnn.",
        json_schema_extra={"pattern": r"^T\d{4}$"},
    )
    sub_technique_id: str | None = Field(
        None,
        description="Sub-technique in full, Tnnnn.nnn, below technique_id.",
        json_schema_extra={"pattern": r"^T\d{4}\.\d{3}$"},
    )
    confidence: Confidence = Field(description="How sure a match makes us, 0 to 1.")

    @property
    def deepest_id(self) -> str:
        """The sub-technique where there is one, else the technique."""
        return self.sub_technique_id or self.technique_id

    @model_validator(mode="after")
    def _known_to_attack(self, info: ValidationInfo) -> Self:
        if isinstance(info.context, Vocabulary):
            try:
                info.context.check(self.tactic, self.technique_id, self.sub_technique_id)
            except EmissionFault as fault:
                raise refuse(str(fault), fault.member) from fault
        return self


class SilentExample(_Strict):
    """An event that the rule must leave alone."""

    source_kind: Kind | None = Field(None, description="Default: the first of applies_to.")
    payload: Payload = Field(description="Fields of the event.")


class MatchExample(SilentExample):
    """An event that the rule must tag."""

    techniques: Annotated[list[str], Field(min_length=1)] = Field(
        description="Every technique it must emit, and no other; sub-techniques in full."
    )


class ExamplesDocument(_Strict):
    """The examples that prove the rule; a rule without both kinds does not load."""

    match: Annotated[list[MatchExample], Field(min_length=1)]
    no_match: Annotated[list[SilentExample], Field(min_length=1)]


class RuleDocument(_Strict):
    """One rule of decnet-ttp, one a file; the file's name is the rule's id."""

    rule_id: RuleId = Field(description="Identifier; equals the file's name without suffix.")
    rule_version: Annotated[int, Field(ge=1, le=2**31 - 1)] = Field(
        description="Raised with every change of meaning."
    )
    name: Name = Field(description="Short name in snake_case.")
    description: Text = Field(description="What the rule finds, for people.")
    status: Literal["stable", "experimental"] = Field(
        default="stable", description="Tags of an experimental rule are counted, not stored."
    )
    applies_to: Kinds = Field(
        description="Source kinds it reads.",
        json_schema_extra={"items": {"enum": [kind.value for kind in SourceKind]}},
    )
    match: Match = Field(description="When it fires.")
    emits: Annotated[list[EmissionDocument], Field(min_length=1)] = Field(
        description="What it emits when it fires."
    )
    evidence_fields: list[FieldName] = Field(
        default_factory=list, description="Fields its evidence shows beside what matched."
    )
    attack_release: (
        Annotated[
            str, Field(pattern=r"^(>=|<=|==|>|<)?\d+(\.\d+)?( *, *(>=|<=|==|>|<)\d+(\.\d+)?)*$")
        ]
        | None
    ) = Field(default=None, description='ATT&CK releases it was reviewed against, as ">=17".')
    references: list[Url] = Field(default_factory=list, description="Where to read more.")
    false_positives: list[Text] = Field(
        default_factory=list, description="Innocent causes that are known."
    )
    last_reviewed: date | None = Field(default=None, description="Day of the last review.")
    next_review: date | None = Field(default=None, description="Day of the next review.")
    tests: ExamplesDocument = Field(description="Examples that prove the rule.")

    @model_validator(mode="after")
    def _review_days_in_order(self) -> Self:
        if self.last_reviewed and self.next_review and self.next_review <= self.last_reviewed:
            raise refuse(
                f"next_review {self.next_review} is not after last_reviewed {self.last_reviewed}",
                "next_review",
            )
        return self


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a rule file, for editors."""
    schema = RuleDocument.model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "decnet-ttp rule",
        **{key: value for key, value in schema.items() if key != "title"},
    }
