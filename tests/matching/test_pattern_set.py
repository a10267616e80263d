# SPDX-License-Identifier: AGPL-3.0-or-later
"""A set must say what its patterns say one by one: RE2's own sets stay silent when memory ends."""

from __future__ import annotations

import random
import re
import time
from pathlib import Path

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from decnet_ttp.attack import load_catalogue
from decnet_ttp.matching.pattern_set import (
    MAX_SHARD_PATTERNS,
    PatternSet,
    _Few,
    compile_pattern,
)
from decnet_ttp.rule_store.loader import load_pack
from decnet_ttp.rule_store.vocabulary import Vocabulary
from decnet_ttp.v1 import rule_pb2

RULES = Path(__file__).parents[2] / "rules" / "ttp"
WORDS = re.findall(
    r"\S+|\s(?=\s)",
    "wget curl -O find -perm /4000 /etc/ passwd cat nc -e crontab > <?php eval( .php redis config "
    "set dir /dev/tcp/ mkfifo | sh useradd -m rpcclient enumdomusers sudo -l $ ( ` ; & \n \t "
    "http:// 198.51.100.7 python -c history unset HISTFILE > .bash_history for in uname -a",
)


def _patterns_of(condition: rule_pb2.Condition) -> list[str]:
    member = condition.WhichOneof("condition")
    if member == "field":
        return [condition.field.pattern] if condition.field.pattern else []
    inner = getattr(condition, member or "")
    within = [inner] if member == "not" else inner.conditions
    return [pattern for each in within for pattern in _patterns_of(each)]


@pytest.fixture(scope="module")
def patterns() -> list[str]:
    pack = load_pack([RULES], Vocabulary(load_catalogue()), with_examples=False)
    found = [
        pattern
        for each in pack.rules
        if each.message.HasField("condition")
        for pattern in _patterns_of(each.message.condition)
    ]
    assert len(found) >= 60
    return sorted(set(found))


def one_by_one(patterns: list[str], text: bytes) -> set[str]:
    return {pattern for pattern in patterns if compile_pattern(pattern).search(text)}


def test_shipped_patterns_give_the_same_in_a_set_and_alone(patterns: list[str]) -> None:
    together = PatternSet(patterns)
    chooser = random.Random(1)  # noqa: S311 - fixed input, no secret
    for _ in range(400):
        text = " ".join(chooser.choices(WORDS, k=chooser.randint(1, 60))).encode()
        assert set(together.match(text)) == one_by_one(patterns, text)


@pytest.mark.parametrize(
    "bait",
    ["wget ", "-wget ", "cat ", "find -perm ", "echo <?php>.", "useradd -", "rpcclient ", "a", " "],
)
def test_bait_gives_the_same_in_a_set_and_alone(patterns: list[str], bait: str) -> None:
    text = (bait * 20_000 + "; cat /etc/passwd").encode()
    assert set(PatternSet(patterns).match(text)) == one_by_one(patterns, text)


def test_input_that_fills_the_automaton_is_still_matched_in_full() -> None:
    """Each pattern counts to 200 from every letter, so random text makes endless states."""
    greedy = [f"{letter}[a-h]{{200}}{letter}" for letter in "abcdefgh"]
    together = PatternSet(greedy)
    chooser = random.Random(2)  # noqa: S311 - fixed input, no secret
    for _ in range(3):
        text = "".join(chooser.choices("abcdefgh", k=30_000)).encode()
        assert set(together.match(text)) == one_by_one(greedy, text)


@given(st.text(), st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=6, unique=True))
def test_literals_are_found_wherever_they_stand(text: str, needles: list[str]) -> None:
    by_pattern = {re2.escape(needle): needle for needle in needles}
    found = {by_pattern[p] for p in PatternSet(list(by_pattern)).match(text.encode())}
    assert found == {needle for needle in needles if needle in text}


def test_a_few_patterns_give_the_same_alone_and_once_they_are_a_set() -> None:
    few = PatternSet([r"(?i)\bwget\b", r"^cat .*passwd$", "é+"])
    texts = [b"WGET x", b"cat /etc/passwd", b"nothing", "éé; wget".encode()]
    rounds = [[sorted(few.match(text)) for text in texts] for _ in range(10)]
    assert rounds[0] == [[r"(?i)\bwget\b"], [r"^cat .*passwd$"], [], [r"(?i)\bwget\b", "é+"]]
    assert rounds == [rounds[0]] * 10


def test_few_but_large_patterns_are_held_to_the_budget_at_once() -> None:
    """A set that could be refused is built when its patterns are checked, not when they match."""
    assert not _Few.fits((r"(?:a[\pL\pN]{40}){2}",))
    assert not _Few.fits(tuple("abcde"))
    assert _Few.fits(tuple("abcd"))


def test_changing_one_pattern_builds_one_automaton_anew() -> None:
    many = [f"word{number}x" for number in range(4 * MAX_SHARD_PATTERNS)]
    before = PatternSet(many)
    after = PatternSet([*many[:-1], "another"], before)
    kept = before.shards.keys() & after.shards.keys()
    assert len(before.shards) == 4
    assert all(after.shards[key] is before.shards[key] for key in kept)
    assert len(kept) >= 2
    assert set(after.match(b"word3x another")) == {"word3x", "another"}


def test_patterns_too_large_for_one_set_are_split() -> None:
    large = [f"(?:{chr(97 + n)}[\\pL\\pN]{{40}}){{2}}" for n in range(6)]
    together = PatternSet(large)
    assert len(together.shards) > 1
    text = ("c" + "1" * 40) * 2
    assert set(together.match(text.encode())) == {large[2]}


def test_a_mebibyte_of_bait_takes_time_in_proportion(patterns: list[str]) -> None:
    """Far above what is measured, far below what anything quadratic would need."""
    together = PatternSet(patterns)
    for bait in ("echo <?php>.", "-wget ", "redis config "):
        text = (bait * (2**20 // len(bait))).encode()
        began = time.process_time()
        together.match(text)
        assert time.process_time() - began < 2.0
