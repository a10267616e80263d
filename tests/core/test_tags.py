# SPDX-License-Identifier: AGPL-3.0-or-later
"""The id of a tag is a contract with every tag that was ever written."""

from __future__ import annotations

import inspect
from uuid import RFC_4122, UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from decnet_ttp.core.tags import CONFIDENCE_FLOOR, TAG_NAMESPACE, tag_uuid

Fields = tuple[str, str, str, int, str, str | None]

#: Any text that UTF-8 can carry, as everything that came over gRPC is.
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=24)
#: The separator and its escape, in every order that could be confused.
_TRICKY = st.text("|\\a", max_size=5)


def _fields(text: st.SearchStrategy[str]) -> st.SearchStrategy[Fields]:
    version = st.integers(0, 2**31 - 1)
    return st.tuples(text, text, text, version, text, st.none() | text)


def _canonical(fields: Fields) -> tuple[str, str, str, int, str, str]:
    *first, sub_technique = fields
    return (*first, sub_technique or "")  # type: ignore[return-value]  # the star loses the types


def test_namespace_is_the_one_of_decnet() -> None:
    assert UUID("1ca31f08-5522-5aae-8371-fe81f0e39de3") == TAG_NAMESPACE


def test_ids_equal_those_that_decnet_wrote() -> None:
    assert tag_uuid("command", "cmd_42", "R0014", 2, "T1083", None) == UUID(
        "9aa491e5-f03b-5d8f-9eb5-161becedcdd6"
    )
    assert tag_uuid("command", "cmd_42", "R0015", 1, "T1548", "T1548.001") == UUID(
        "4fd57b14-c135-544c-97d9-4fabc1051584"
    )


def test_id_with_a_separator_in_a_field_stays_what_it_was() -> None:
    assert tag_uuid("command", "a|b", "R0014", 2, "T1083", None) == uuid5(
        TAG_NAMESPACE, r"command|a\|b|R0014|2|T1083|"
    )


def test_parameters_are_locked() -> None:
    """No further input ever enters the id, or a replay would store everything anew."""
    assert str(inspect.signature(tag_uuid)) == (
        "(source_kind: 'str', source_id: 'str', rule_id: 'str', rule_version: 'int', "
        "technique_id: 'str', sub_technique_id: 'str | None') -> 'UUID'"
    )


def test_absent_sub_technique_equals_the_empty_one() -> None:
    assert tag_uuid("command", "c", "R0014", 2, "T1083", None) == tag_uuid(
        "command", "c", "R0014", 2, "T1083", ""
    )


def test_confidence_floor_is_pinned() -> None:
    assert CONFIDENCE_FLOOR == 0.3


@given(_fields(_TEXT.filter(lambda text: "|" not in text)))
def test_id_is_version_5_over_the_joined_fields(fields: Fields) -> None:
    """Without a separator in a field the id is uuid5 over the plain name, backslashes included."""
    expected = uuid5(TAG_NAMESPACE, "|".join(map(str, _canonical(fields))))
    found = tag_uuid(*fields)
    assert found == expected
    assert (found.version, found.variant) == (5, RFC_4122)


@given(_fields(_TRICKY), _fields(_TRICKY))
def test_different_fields_have_different_ids(one: Fields, other: Fields) -> None:
    assert (tag_uuid(*one) == tag_uuid(*other)) == (_canonical(one) == _canonical(other))


def test_backslash_before_a_separator_does_not_move_a_field_border() -> None:
    """Three fields that read the same once they are joined carelessly."""
    assert tag_uuid("a|b", "x\\", "y", 1, "T", None) != tag_uuid("a\\", "b", "x|y", 1, "T", None)
    assert tag_uuid("a|b", "c", "d", 1, "T", None) != tag_uuid("a", "b|c", "d", 1, "T", None)
