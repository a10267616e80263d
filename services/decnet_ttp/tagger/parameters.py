# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reading parameters into typed dataclasses: what is not declared, missing or wrong is refused."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

P = TypeVar("P")
Path = tuple[str | int, ...]


class ParameterFault(ValueError):  # noqa: N818 - a finding about a file, not a failure of the program
    """A parameter that is unknown, missing or wrong.

    Attributes:
        path: Keys that lead to it.
    """

    def __init__(self, message: str, *path: str | int) -> None:
        super().__init__(message)
        self.path: Path = path


def read_parameters(declared: type[P], given: Mapping[str, Any], path: Path = ()) -> P:
    """Return an instance of a dataclass made of plain values.

    Field types may be bool, int, float, str, tuples of one such type (``tuple[str, ...]``), other
    dataclasses, tuples of these, and each of them ``| None``. A whole float is an int, because
    JSON knows no difference. A dataclass may refuse values in ``__post_init__`` by `ValueError`.

    Args:
        declared: The dataclass.
        given: Values by name.
        path: Keys that lead to `given`.

    Raises:
        ParameterFault: A name that is not declared, a missing one, or a wrong value.
    """
    hints = typing.get_type_hints(declared)
    fields = {field.name: field for field in dataclasses.fields(declared)}  # type: ignore[arg-type]
    for name in given:
        if name not in fields:
            close = get_close_matches(name, fields, n=1)
            meant = f"did you mean `{close[0]}`? " if close else ""
            allowed = ", ".join(fields) or "none"
            raise ParameterFault(
                f"there is no parameter `{name[:64]}`; {meant}allowed: {allowed}", *path, name
            )
    for name, field in fields.items():
        required = (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        if required and name not in given:
            raise ParameterFault(f"the parameter `{name}` is missing; give it a value", *path)
    values = {name: _value(hints[name], value, (*path, name)) for name, value in given.items()}
    try:
        return declared(**values)
    except ParameterFault:
        raise
    except ValueError as error:
        raise ParameterFault(str(error), *path) from error


def _value(hint: Any, value: Any, path: Path) -> Any:
    origin = typing.get_origin(hint)
    if origin in {types.UnionType, typing.Union}:
        (hint,) = (each for each in typing.get_args(hint) if each is not types.NoneType)
        return None if value is None else _value(hint, value, path)
    if origin is tuple:
        member = typing.get_args(hint)[0]
        if not isinstance(value, list):
            raise ParameterFault(f"`{_name(path)}` must be a list", *path)
        return tuple(_value(member, each, (*path, n)) for n, each in enumerate(value))
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise ParameterFault(f"`{_name(path)}` must be a mapping", *path)
        return read_parameters(hint, value, path)
    return _scalar(hint, value, path)


def _scalar(hint: Any, value: Any, path: Path) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int and number and float(value).is_integer():
        return int(value)
    if hint is float and number and math.isfinite(value):
        return float(value)
    if hint in {str, bool} and isinstance(value, hint):
        return value
    wanted = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    raise ParameterFault(f"`{_name(path)}` must be {wanted.get(hint, hint)}", *path)


def _name(path: Path) -> str:
    return ".".join(map(str, path))
