# SPDX-License-Identifier: AGPL-3.0-or-later
"""The tests that conditions are made of: an operator with its arguments over some fields.

Equal tests of different rules are one atom, so that it is evaluated once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple

import re2

from decnet_ttp.core.addresses import canonical_ip
from decnet_ttp.matching.fields import Scalar
from decnet_ttp.matching.pattern_set import compile_pattern
from decnet_ttp.v1 import rule_pb2

_TEXT_OPERATORS: Final = frozenset({"pattern", "contains"})
_EXACT_OPERATORS: Final = frozenset({"equals", "in_set"})


class AtomKey(NamedTuple):
    """What makes two atoms the same.

    Attributes:
        fields: Names of the fields, any of which may pass.
        operator: Name of the member of `FieldCondition.operator`.
        arguments: Pattern, values, networks, or the four bounds (None where there is none).
        ignore_case: Whether letters match whatever their case.
    """

    fields: tuple[str, ...]
    operator: str
    arguments: tuple[str | float | bool | None, ...]
    ignore_case: bool


def atom_key(condition: rule_pb2.FieldCondition) -> AtomKey:
    """Return the key of a field condition.

    Raises:
        ValueError: It names no field or has no operator.
    """
    operator = condition.WhichOneof("operator")
    if operator is None or not condition.fields:
        raise ValueError("a field condition needs a field and an operator")
    arguments: tuple[str | float | bool | None, ...]
    match operator:
        case "pattern":
            arguments = (condition.pattern,)
        case "compare":
            bounds = condition.compare
            arguments = tuple(
                getattr(bounds, name) if bounds.HasField(name) else None
                for name in ("gt", "gte", "lt", "lte")
            )
        case "is_bool":
            arguments = (condition.is_bool,)
        case _:
            arguments = tuple(getattr(condition, operator).values)
    if not arguments:
        raise ValueError(f"`{operator}` needs a value")
    return AtomKey(tuple(condition.fields), operator, arguments, condition.ignore_case)


def exact_text(value: Scalar) -> str | None:
    """Return the text that `equals` and `in_set` compare: a number as people write it.

    A boolean is not comparable (`is` tests it) and gives None.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


class Atom:
    """One test, compared by identity; made once per pack for each key.

    Args:
        key: What it tests.

    Attributes:
        key: What it tests.
        expression: RE2 expression of a text test, searched anywhere; None for other operators.
        exact: Texts of `equals` and `in_set`, folded where case does not matter.
        holds: Test of one value for the remaining operators.

    Raises:
        ValueError: A network that is none.
    """

    def __init__(self, key: AtomKey) -> None:
        self.key = key
        self.expression: str | None = None
        self.exact: tuple[str, ...] = ()
        self.holds: Callable[[Scalar], bool] | None = None
        if key.operator in _TEXT_OPERATORS:
            self.expression = _expression(key)
        elif key.operator in _EXACT_OPERATORS:
            values = [str(value) for value in key.arguments]
            self.exact = tuple(v.casefold() if key.ignore_case else v for v in values)
        else:
            self.holds = _predicate(key)

    @cached_property
    def regexp(self) -> re2._Regexp:
        """The expression compiled alone, to find where it matched."""
        if self.expression is None:
            raise TypeError(f"{self.key.operator} has no expression")
        return compile_pattern(self.expression)

    @property
    def label(self) -> str:
        """What was asked for, for people: the pattern, or operator and values."""
        if self.key.operator == "pattern":
            return str(self.key.arguments[0])
        if self.key.operator == "compare":
            bounds = zip(("gt", "gte", "lt", "lte"), self.key.arguments, strict=True)
            return " ".join(f"{name} {bound:g}" for name, bound in bounds if bound is not None)
        if self.key.operator == "is_bool":
            return f"is {str(self.key.arguments[0]).lower()}"
        return f"{self.key.operator} {', '.join(str(value) for value in self.key.arguments)}"


def _expression(key: AtomKey) -> str:
    texts = [str(value) for value in key.arguments]
    body = texts[0] if key.operator == "pattern" else "|".join(map(re2.escape, texts))
    return f"(?i:{body})" if key.ignore_case else body


def _predicate(key: AtomKey) -> Callable[[Scalar], bool]:
    match key.operator:
        case "cidr":
            return _in_networks([ip_network(str(network)) for network in key.arguments])
        case "compare":
            return _within(*(None if bound is None else float(bound) for bound in key.arguments))
        case "is_bool":
            wanted = key.arguments[0]
            return lambda value: value is wanted
        case _:
            raise ValueError(f"unknown operator `{key.operator}`")


def _in_networks(networks: list[IPv4Network | IPv6Network]) -> Callable[[Scalar], bool]:
    # One look-up per prefix length instead of one comparison per network.
    by_length: dict[tuple[int, int], set[int]] = {}
    for network in networks:
        shift = network.max_prefixlen - network.prefixlen
        prefixes = by_length.setdefault((network.version, shift), set())
        prefixes.add(int(network.network_address) >> shift)
    lengths = [(version, shift, found) for (version, shift), found in by_length.items()]

    def holds(value: Scalar) -> bool:
        text = canonical_ip(value) if isinstance(value, str) else None
        if text is None:
            return False
        address = ip_address(text)
        number = int(address)
        return any(
            version == address.version and number >> shift in found
            for version, shift, found in lengths
        )

    return holds


def _within(
    gt: float | None, gte: float | None, lt: float | None, lte: float | None
) -> Callable[[Scalar], bool]:
    def holds(value: Scalar) -> bool:
        if isinstance(value, bool | str):
            return False
        return (
            (gt is None or value > gt)
            and (gte is None or value >= gte)
            and (lt is None or value < lt)
            and (lte is None or value <= lte)
        )

    return holds
