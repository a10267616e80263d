# SPDX-License-Identifier: AGPL-3.0-or-later
"""The registry of `behave-shell` as it is installed, and what goes without it."""

from __future__ import annotations

import sys
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from decnet_ttp.attribution.primitives import (
    Primitive,
    Registry,
    ValueRefusedError,
    load_registry,
    read_registry,
)
from decnet_ttp.attribution.states import Kind

NAMES = {
    Kind.CATEGORICAL: "motor.keystroke_cadence",
    Kind.NUMERIC: "toolchain.c2.beacon_jitter_cv",
    Kind.HASH: "toolchain.ssh.hassh_client",
    Kind.ARRAY: "temporal.circadian.hour_histogram",
    Kind.FREE_STRING: "toolchain.ssh.ssh_client_banner",
    Kind.BOOL: "toolchain.protocol_abuse.mitm6_signature",
}


@pytest.fixture(scope="module")
def registry() -> Registry:
    """What is installed."""
    return load_registry()


def test_it_holds_every_primitive_by_kind(registry: Registry) -> None:
    assert Counter(item.kind for _, item in registry.items()) == {
        Kind.CATEGORICAL: 53,
        Kind.HASH: 11,
        Kind.FREE_STRING: 9,
        Kind.ARRAY: 6,
        Kind.NUMERIC: 2,
        Kind.BOOL: 1,
    }
    assert {kind: registry[name].kind for kind, name in NAMES.items()} == {
        kind: kind for kind in Kind
    }


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Kind.CATEGORICAL, "steady"),
        (Kind.NUMERIC, 0),
        (Kind.NUMERIC, 0.25),
        (Kind.HASH, "b12d2871a1189eff20364cf5333619ee"),
        (Kind.ARRAY, [0, 0.5, 3]),
        (Kind.FREE_STRING, "SSH-2.0-libssh_0.9.6"),
        (Kind.BOOL, False),
    ],
)
def test_a_value_of_its_kind_is_taken(registry: Registry, kind: Kind, value: Any) -> None:
    registry[NAMES[kind]].check(value)


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        (Kind.CATEGORICAL, "AB", "value_not_allowed"),
        (Kind.CATEGORICAL, 1, "value_not_allowed"),
        (Kind.NUMERIC, -0.1, "value_out_of_bounds"),
        (Kind.NUMERIC, "0.25", "value_not_of_kind"),
        (Kind.HASH, ["b12d"], "value_not_of_kind"),
        (Kind.ARRAY, ["0"], "value_not_of_kind"),
        (Kind.FREE_STRING, 2.0, "value_not_of_kind"),
        (Kind.BOOL, "false", "value_not_of_kind"),
    ],
)
def test_another_value_is_refused(registry: Registry, kind: Kind, value: Any, reason: str) -> None:
    with pytest.raises(ValueRefusedError) as refused:
        registry[NAMES[kind]].check(value)
    assert refused.value.reason == reason


def test_an_unknown_primitive_is_categorical(registry: Registry) -> None:
    assert registry["no.such"] == Primitive()
    registry["no.such"].check({"any": ["thing"]})


def test_without_the_package_every_primitive_is_categorical(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "behave_shell.spec", None)
    empty = load_registry()
    assert len(empty) == 0
    assert {empty[name] for name in NAMES.values()} == {Primitive(Kind.CATEGORICAL)}
    assert "behave-shell is not installed" in caplog.text


def test_a_kind_of_a_later_release_is_categorical() -> None:
    def entry(kind: str) -> Any:
        return SimpleNamespace(
            kind=SimpleNamespace(value=kind),
            allowed=None,
            min_val=None,
            max_val=None,
            array_of=None,
        )

    read = read_registry({"a.vector": entry("vector"), "a.print": entry("hash")})
    assert read["a.vector"] == Primitive()
    assert read["a.print"].kind is Kind.HASH
