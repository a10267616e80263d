# SPDX-License-Identifier: AGPL-3.0-or-later
"""The model's errors in words that a writer of rules can act on."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import BaseModel, ValidationError

from decnet_ttp.rule_store.conditions import AllOf, AnyOf, FieldTest, Negation
from decnet_ttp.rule_store.document import (
    EmissionDocument,
    ExamplesDocument,
    MatchExample,
    RuleDocument,
    SilentExample,
)
from decnet_ttp.rule_store.timelines import PartDocument, TimelineMatch, TimelineStepDocument

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Path = tuple[str | int, ...]

#: The model below each name that can stand before a key.
_MODELS: Final[dict[str | None, type[BaseModel]]] = {
    None: RuleDocument,
    "all-of": AllOf,
    "any-of": AnyOf,
    "negation": Negation,
    "field-test": FieldTest,
    "emits": EmissionDocument,
    "tests": ExamplesDocument,
    "match": MatchExample,
    "no_match": SilentExample,
    "timeline-form": TimelineMatch,
    "steps": TimelineStepDocument,
    "timeline": PartDocument,
}
_TAGS: Final = frozenset({"all-of", "any-of", "negation", "field-test", "lifter", "timeline-form"})
_CURES: Final = {
    "string_type": "must be text; put it in quotes",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "date_type": "must be a day such as 2026-11-21",
    "date_from_datetime_inexact": "must be a day such as 2026-11-21",
    "date_from_datetime_parsing": "must be a day such as 2026-11-21",
    "finite_number": "must be a finite number",
}
_SHOWN_CHARS: Final = 48


class Finding(NamedTuple):
    """One error of the model.

    Attributes:
        path: Path in the YAML.
        of_key: Whether the key is at fault rather than its value.
        message: One line.
    """

    path: Path
    of_key: bool
    message: str


def findings(error: ValidationError) -> list[Finding]:
    """Translate every error of a validation."""
    return [_finding(detail) for detail in error.errors(include_url=False)]


def dotted(path: Path) -> str:
    """Return a path as ``match.any[0].pattern``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def _finding(detail: ErrorDetails) -> Finding:
    located: Path = tuple(detail["loc"])
    path: Path = tuple(part for part in located if part not in _TAGS)
    kind = detail["type"]
    context: dict[str, Any] = detail.get("ctx", {})
    if kind == "rule":
        at = tuple(context["at"])
        message = str(context["message"])
        return Finding((*path, *at), bool(at), message)
    if kind == "missing":
        return Finding(path[:-1], True, f"`{path[-1]}` is missing{_why_needed(path)}")
    if kind == "extra_forbidden":
        return Finding(path, True, _unknown_key(located))
    return Finding(path, False, f"`{dotted(path)}` {_complaint(kind, context, detail)}")


def _why_needed(path: Path) -> str:
    if path == ("tests",) or path[:1] == ("tests",):
        return "; a rule needs examples that match and examples that do not"
    return f" in `{dotted(path[:-1])}`" if len(path) > 1 else "; every rule needs it"


def _unknown_key(located: Path) -> str:
    names = [part for part in located[:-1] if isinstance(part, str)]
    model = _MODELS.get(names[-1] if names else None, RuleDocument)
    allowed = [field.alias or name for name, field in model.model_fields.items()]
    key = str(located[-1])
    if key in {"all", "any", "not"}:
        return f"`{key}` stands beside `{allowed[0]}`; nest one in the other"
    close = get_close_matches(key, allowed, n=1)
    meant = f"did you mean `{close[0]}`? " if close else ""
    return f"unknown key `{key[:_SHOWN_CHARS]}`; {meant}allowed: {', '.join(allowed)}"


def _complaint(kind: str, context: dict[str, Any], detail: ErrorDetails) -> str:
    if kind in _CURES:
        return _CURES[kind]
    found = detail["input"]
    shown = repr(found)[:_SHOWN_CHARS] if isinstance(found, str | int | float) else "this"
    match kind:
        case "string_pattern_mismatch":
            text = f"is {shown}; allowed: {context['pattern']}"
        case "less_than_equal":
            text = f"is {shown}; allowed: at most {context['le']:g}"
        case "greater_than_equal":
            text = f"is {shown}; allowed: at least {context['ge']:g}"
        case "literal_error":
            text = f"is {shown}; allowed: {context['expected']}"
        case "too_long":
            text = f"has too many members; allowed: at most {context['max_length']}"
        case "too_short" | "string_too_short":
            text = "is empty; at least one is needed"
        case "string_too_long":
            text = f"is too long; allowed: at most {context['max_length']} characters"
        case _:
            text = detail["msg"].replace("\n", " ")
    return text
