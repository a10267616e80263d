# SPDX-License-Identifier: AGPL-3.0-or-later
"""The registry of primitives: which values each may have.

It is data of the package `behave-shell`. A primitive that it does not know is categorical, and so
is every primitive where somebody left the package out.
"""

from __future__ import annotations

import importlib
import logging
import math
from collections.abc import ItemsView, Mapping
from dataclasses import dataclass
from typing import Any

from decnet_ttp.attribution.states import Kind

#: Largest magnitude of a number; far beyond any measure, and its squares still are numbers.
MAX_NUMBER = 1e100

_MODULE = "behave_shell.spec"
_NUMBERS = (int, float)

_log = logging.getLogger(__name__)


class ValueRefusedError(ValueError):
    """A value that its primitive cannot have.

    Args:
        reason: Stable word for the count of refusals.
        message: One line for people, without the value.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Primitive:
    """What the registry says of a primitive.

    Attributes:
        kind: How its values are to be read.
        allowed: Categories, when they are a closed set.
        minimum: Smallest number.
        maximum: Largest number.
        items: Kind of the items of a list.
    """

    kind: Kind = Kind.CATEGORICAL
    allowed: frozenset[str] | None = None
    minimum: float = -MAX_NUMBER
    maximum: float = MAX_NUMBER
    items: Kind | None = None

    def check(self, value: Any) -> None:
        """Pass a value that the primitive can have.

        Raises:
            ValueRefusedError: It cannot; the error says why.
        """
        if value is None:
            raise ValueRefusedError("value_missing", "there is no value")
        if not _is_of(self.kind, value):
            raise ValueRefusedError(
                "value_not_of_kind", f"a {_json_name(value)} where the kind is {self.kind}"
            )
        if self.allowed is not None and not (isinstance(value, str) and value in self.allowed):
            raise ValueRefusedError("value_not_allowed", "a category the registry does not know")
        if self.kind is Kind.NUMERIC and not self.minimum <= value <= self.maximum:
            raise ValueRefusedError("value_out_of_bounds", "a number outside the bounds")
        if self.items is not None and not all(_is_of(self.items, item) for item in value):
            raise ValueRefusedError("value_not_of_kind", f"an item that is not {self.items}")


_JSON_NAMES = {bool: "boolean", str: "string", list: "list", dict: "object"}


def _json_name(value: Any) -> str:
    return _JSON_NAMES.get(type(value), "number")


def _is_of(kind: Kind, value: Any) -> bool:
    if kind is Kind.CATEGORICAL:
        return True
    match kind:
        case Kind.NUMERIC:
            return (
                isinstance(value, _NUMBERS)
                and not isinstance(value, bool)
                and math.isfinite(value)
                and abs(value) <= MAX_NUMBER
            )
        case Kind.BOOL:
            return isinstance(value, bool)
        case Kind.ARRAY:
            return isinstance(value, list)
        case Kind.HASH:
            return isinstance(value, str) and bool(value)
        case Kind.FREE_STRING:
            return isinstance(value, str)


class Registry:
    """Primitives by name.

    Args:
        known: What is known of them; all others are categorical.
    """

    _UNKNOWN = Primitive()

    def __init__(self, known: Mapping[str, Primitive] | None = None) -> None:
        self._known = dict(known or {})

    def __len__(self) -> int:
        return len(self._known)

    def __getitem__(self, name: str) -> Primitive:
        return self._known.get(name, self._UNKNOWN)

    def items(self) -> ItemsView[str, Primitive]:
        """Return what is known."""
        return self._known.items()


def load_registry() -> Registry:
    """Return the registry of `behave-shell`, or an empty one when it is not installed."""
    try:
        entries = importlib.import_module(_MODULE).PRIMITIVE_REGISTRY
    except ImportError:
        _log.warning("behave-shell is not installed: every primitive is categorical; install it")
        return Registry()
    return read_registry(entries)


def read_registry(entries: Mapping[str, Any]) -> Registry:
    """Return a registry from the entries of `behave-shell`.

    An entry of a kind that only a later release of it knows is left out, and so is categorical.

    Args:
        entries: By name; each has `kind`, `allowed`, `min_val`, `max_val` and `array_of`.
    """
    known = {}
    for name, entry in entries.items():
        try:
            known[name] = _primitive(entry)
        except ValueError:
            _log.warning("a primitive of an unknown kind is categorical", extra={"primitive": name})
    return Registry(known)


def _primitive(entry: Any) -> Primitive:
    return Primitive(
        kind=Kind(entry.kind.value),
        allowed=None if entry.allowed is None else frozenset(entry.allowed),
        minimum=-MAX_NUMBER if entry.min_val is None else entry.min_val,
        maximum=MAX_NUMBER if entry.max_val is None else entry.max_val,
        items=None if entry.array_of is None else Kind(entry.array_of.value),
    )
