# SPDX-License-Identifier: AGPL-3.0-or-later
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from decnet_ttp.rule_store.yaml_tree import (
    MAX_FILE_BYTES,
    Place,
    Tree,
    _Reader,
    _UnreadableError,
    read_tree,
)

RULES = Path(__file__).parents[2] / "rules" / "ttp"


def carefully(text: str) -> Tree:
    """Read a text by the reader that tells places and faults, whatever the text."""
    tree = Tree()
    try:
        _Reader(tree).read(text)
    except _UnreadableError as error:
        tree.data = None
        tree.faults.append(error.fault)
    return tree


def hold(text: str) -> None:
    """Hold the quick way to read a text against the careful one: data, faults and places."""
    quick, careful = read_tree(text.encode()), carefully(text)
    assert repr(quick.data) == repr(careful.data)
    assert quick.faults == careful.faults
    if not quick.faults:
        for path in careful.marks:
            for of_key in (False, True):
                assert quick.place(path, of_key=of_key) == careful.place(path, of_key=of_key)


def test_shipped_rules_read_the_same_quickly_and_carefully() -> None:
    files = sorted(RULES.glob("*.yaml"))
    assert len(files) >= 150
    for path in files[::7]:
        hold(path.read_text(encoding="utf-8"))


PIECES = st.sampled_from(
    [
        "a", "b: ", "c", ": ", "- ", "\n", "\n  ", "[", "]", "{", "}", ", ", "'x'", '"y"', "~", "1",
        "0x1F", "1_0", "1:30", "1e400", ".inf", "true", "2026-11-21", "2026-99-99", "=", "<<",
        "&x ", "*x", "!!str ", "!!int ", "! ", "!odd ", "? ", "--- ", "# c", "|\n  t", ">-\n  u",
    ]
)  # fmt: skip


@given(st.lists(PIECES, max_size=14).map("".join))
@example("a: !!str 1")
@example("a: ! 1")
@example("a: &x 1\nb: *x")
@example("!!map {a: 1}")
@example("a: 2026-99-99")
@example("a: 1\n...\n")
@example("")
def test_any_text_reads_the_same_quickly_and_carefully(text: str) -> None:
    hold(text)


def test_data_and_places_of_keys_and_values() -> None:
    tree = read_tree(b"a: 1\nb:\n  - x\n  - {c: true}\n")
    assert tree.data == {"a": 1, "b": ["x", {"c": True}]}
    assert tree.faults == []
    assert tree.place(("b", 1, "c")) == Place(4, 9)
    assert tree.place(("b", 1, "c"), of_key=True) == Place(4, 6)
    assert tree.place(("b", 1, "missing")) == Place(4, 5)


@pytest.mark.parametrize(
    ("data", "line", "column"),
    [
        (b"[" * 200_000, 1, 65),
        (b"{a: " * 50_000, 1, 257),
        (b"- " * 100_000, 1, 129),
        (b"? " * 100_000, 1, 129),
        (b"[?" * 100_000, 1, 65),
    ],
)
def test_nesting_bait_is_refused_where_it_becomes_too_deep(
    data: bytes, line: int, column: int
) -> None:
    tree = read_tree(data)
    assert tree.faults[-1].place == Place(line, column)
    assert "nested too deep; allowed: 64 levels" in tree.faults[-1].message


def test_a_file_above_the_bound_is_refused_unread() -> None:
    tree = read_tree(b"#" * (MAX_FILE_BYTES + 1))
    assert tree.faults[0].message == "the file is larger than allowed: at most 262144 bytes"


@pytest.mark.parametrize(
    ("data", "place", "message"),
    [
        (b"a: 1\nb: \xff", Place(2, 4), "not UTF-8; save the file as UTF-8"),
        (b"a: \x00", Place(1, 4), "not valid YAML: the character U+0000 is not allowed"),
        (b"a: " + b"9" * 5000, Place(1, 4), "not a valid int; put it in quotes if text is meant"),
        (b"? [a]\n: {b: [1]}\nc: 1", Place(1, 3), "a key must be a plain word"),
        (b"a: {b: 1}\na: [{b: 2}]\nc: 1", Place(2, 1), "the key `a` stands twice; keep one"),
        (b"a: 1\n--- \nb: 2", Place(2, 1), "another document begins; write one rule a file"),
    ],
)
def test_what_is_no_text_or_no_value_names_its_place(
    data: bytes, place: Place, message: str
) -> None:
    tree = read_tree(data)
    assert [(fault.place, fault.message) for fault in tree.faults] == [(place, message)]


def test_a_byte_order_mark_is_ignored() -> None:
    assert read_tree(b"\xef\xbb\xbfa: 1").data == {"a": 1}
