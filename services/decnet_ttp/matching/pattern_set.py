# SPDX-License-Identifier: AGPL-3.0-or-later
"""Many RE2 patterns matched together: one linear pass over the text, however many there are.

`RE2::Set` runs a lazily built automaton whose states are kept within a memory budget. When a
single state does not fit, it reports no match at all; `Compile` refuses such a set beforehand,
which is why a refused set is split. A budget that is merely full is emptied and filled anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Final
from zlib import crc32

import re2

#: Patterns in one set; more are spread over several, which bounds the work of one state.
MAX_SHARD_PATTERNS: Final = 512

#: Budget of one set's automaton, in bytes. It is used up only by input that visits very many
#: states, so it bounds what an attacker can make a process hold.
_SET_MAX_MEM: Final = 24 * 1024 * 1024

_PATTERN_MAX_MEM: Final = 8 * 1024 * 1024

#: Patterns, and instructions of theirs in all, of which a set is certain to fit its budget: it has
#: to hold twenty states, and a state takes eight bytes an instruction.
_FEW_PATTERNS: Final = 4
_FEW_INSTRUCTIONS: Final = 10_000

#: Texts that a few patterns are matched against one by one: some examples of one rule.
_MATCHES_ALONE: Final = 16


@cache
def _options(max_mem: int) -> re2.Options:
    """Return options that nobody changes."""
    options = re2.Options()
    options.max_mem = max_mem
    options.log_errors = False
    return options


# A rule's pattern is compiled where it is checked and again where it is used.
@lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> re2._Regexp:
    """Return one pattern compiled to search in UTF-8 bytes.

    Raises:
        re2.error: The pattern is outside RE2's syntax, or too large.
    """
    # `re2.compile` looks for it in a cache of its own first, by every option there is.
    return re2._Regexp(pattern.encode(), _options(_PATTERN_MAX_MEM))  # noqa: SLF001 - as above


class _Shard:
    """One compiled set; immutable.

    Raises:
        re2.error: The patterns are too large for one set.
    """

    __slots__ = ("match", "patterns")

    def __init__(self, patterns: tuple[str, ...]) -> None:
        self.patterns = patterns
        compiled = re2.Set.SearchSet(_options(_SET_MAX_MEM))
        for pattern in patterns:
            compiled.Add(pattern.encode())
        compiled.Compile()
        self.match = compiled.Match


class _Few:
    """A few small patterns, made a set once they are matched often.

    Most are made to check a rule and to run its examples, which is over sooner than a set is built.

    Raises:
        re2.error: A pattern is outside RE2's syntax, or too large.
    """

    __slots__ = ("_alone", "_shard", "patterns")

    def __init__(self, patterns: tuple[str, ...]) -> None:
        self.patterns = patterns
        self._alone = _MATCHES_ALONE
        self._shard: _Shard | None = None

    @staticmethod
    def fits(patterns: tuple[str, ...]) -> bool:
        """Whether patterns are so few and small that a set of them is never refused."""
        if len(patterns) > _FEW_PATTERNS:
            return False
        sizes: Iterable[int] = (compile_pattern(each).programsize for each in patterns)
        return sum(sizes) <= _FEW_INSTRUCTIONS

    def match(self, text: bytes) -> Sequence[int] | None:
        """Return the positions of the patterns found in UTF-8 text, in no particular order."""
        if self._shard is None:
            if self._alone:
                self._alone -= 1
                return [
                    number
                    for number, each in enumerate(self.patterns)
                    if compile_pattern(each).search(text) is not None
                ]
            self._shard = _Shard(self.patterns)
        found: Sequence[int] | None = self._shard.match(text)
        return found


def _build(
    patterns: tuple[str, ...], reuse: Mapping[tuple[str, ...], _Shard | _Few]
) -> list[_Shard | _Few]:
    if (shard := reuse.get(patterns)) is not None:
        return [shard]
    if _Few.fits(patterns):
        return [_Few(patterns)]
    try:
        return [_Shard(patterns)]
    except re2.error:
        if len(patterns) == 1:
            raise
    half = len(patterns) // 2
    return _build(patterns[:half], reuse) + _build(patterns[half:], reuse)


class PatternSet:
    """An immutable set of patterns.

    Args:
        patterns: The patterns, each once.
        previous: An older set; its automata are used again where nothing changed, so that
            replacing one pattern among thousands builds one of them anew.

    Raises:
        re2.error: One pattern alone is too large.
    """

    __slots__ = ("_shards",)

    def __init__(self, patterns: Sequence[str], previous: PatternSet | None = None) -> None:
        # The number of shards is a power of two and a pattern's shard follows from its text:
        # a change of one pattern touches one shard.
        count = 1
        while count * MAX_SHARD_PATTERNS < len(patterns):
            count *= 2
        reuse = {} if previous is None else previous.shards
        buckets: list[list[str]] = [[] for _ in range(count)]
        for pattern in sorted(patterns):
            buckets[crc32(pattern.encode()) % count].append(pattern)
        self._shards: list[_Shard | _Few] = [
            shard for bucket in buckets if bucket for shard in _build(tuple(bucket), reuse)
        ]

    @property
    def shards(self) -> dict[tuple[str, ...], _Shard | _Few]:
        """The automata by their patterns."""
        return {shard.patterns: shard for shard in self._shards}

    def match(self, text: bytes) -> list[str]:
        """Return the patterns found anywhere in UTF-8 text, in no particular order."""
        found: list[str] = []
        for shard in self._shards:
            indexes = shard.match(text)
            if indexes:
                patterns = shard.patterns
                found += [patterns[index] for index in indexes]
        return found
