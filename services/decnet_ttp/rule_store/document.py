# SPDX-License-Identifier: AGPL-3.0-or-later
"""The form of a rule file: the model that validates it, and the JSON Schema made from it."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    model_validator,
)

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.rule_store.conditions import (
    AllOf,
    AnyOf,
    FieldName,
    FieldTest,
    Name,
    Negation,
    Payload,
    Strict,
    Text,
    condition_form,
    refuse,
)
from decnet_ttp.rule_store.timelines import PartDocument, TimelineMatch
from decnet_ttp.rule_store.vocabulary import EmissionFault, Vocabulary

_KINDS: Final = frozenset(SourceKind)
_CONFIDENCE: Final = (0.0, 1.0)


def _checked_kind(kind: str) -> str:
    if kind not in _KINDS:
        allowed = ", ".join(sorted(SourceKind))
        raise refuse(f"unknown source kind {kind[:64]!r}; allowed: {allowed}")
    return kind


RuleId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,64}$")]
Kind = Annotated[str, AfterValidator(_checked_kind)]
Kinds = Annotated[list[Kind], Field(min_length=1)]
Url = Annotated[str, Field(pattern=r"^https?://\S+$", max_length=2048)]
Confidence = Annotated[float, Field(ge=_CONFIDENCE[0], le=_CONFIDENCE[1])]


class LifterMatch(BaseModel):
    """A predicate that a lifter owns, with its parameters beside `kind`."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    kind: Annotated[str, Field(pattern=r"^lifter:[a-z][a-z0-9]*_[a-z0-9_]+$")]


def _match_form(value: Any) -> str:
    keys = value.keys() if isinstance(value, dict) else ()
    if isinstance(value, TimelineMatch) or "steps" in keys:
        return "timeline-form"
    return "lifter" if isinstance(value, LifterMatch) or "kind" in keys else condition_form(value)


Match = Annotated[
    Annotated[AllOf, Tag("all-of")]
    | Annotated[AnyOf, Tag("any-of")]
    | Annotated[Negation, Tag("negation")]
    | Annotated[FieldTest, Tag("field-test")]
    | Annotated[TimelineMatch, Tag("timeline-form")]
    | Annotated[LifterMatch, Tag("lifter")],
    Discriminator(_match_form),
]


class EmissionDocument(Strict):
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


class SilentExample(Strict):
    """An event, or for a rule with steps a session, that the rule must leave alone."""

    source_kind: Kind | None = Field(None, description="Default: the first of applies_to.")
    payload: Payload = Field(default_factory=dict, description="Fields of the event.")
    timeline: Annotated[list[PartDocument], Field(min_length=1)] | None = Field(
        None, description="Parts of the session, for a rule with steps."
    )


class MatchExample(SilentExample):
    """An event, or for a rule with steps a session, that the rule must tag."""

    techniques: Annotated[list[str], Field(min_length=1)] | None = Field(
        None, description="Every technique it must emit, and no other; sub-techniques in full."
    )
    adjustment: Annotated[float, Field(ge=-1, le=1)] | None = Field(
        None, description="In place of techniques: what a rule that adjusts must add."
    )

    @model_validator(mode="after")
    def _one_outcome(self) -> Self:
        if self.techniques is None and self.adjustment is None:
            raise refuse("`techniques` is missing; name what the rule must emit")
        if self.techniques is not None and self.adjustment is not None:
            raise refuse("`techniques` and `adjustment` exclude each other; keep one", "adjustment")
        return self


class ExamplesDocument(Strict):
    """The examples that prove the rule; a rule without both kinds does not load."""

    match: Annotated[list[MatchExample], Field(min_length=1)]
    no_match: Annotated[list[SilentExample], Field(min_length=1)]


class RuleDocument(Strict):
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
    emits: list[EmissionDocument] = Field(
        description="What it emits when it fires; empty for a lifter's rule that adjusts."
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
    def _emits_or_adjusts(self) -> Self:
        if not self.emits and not isinstance(self.match, LifterMatch):
            raise refuse("`emits` is empty; at least one is needed", "emits")
        for n, example in enumerate(self.tests.match):
            if (example.techniques is None) == bool(self.emits):
                need = "techniques" if self.emits else "adjustment"
                raise refuse(f"the example needs `{need}`", "tests", "match", n)
        return self

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
