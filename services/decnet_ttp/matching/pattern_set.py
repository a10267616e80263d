# SPDX-License-Identifier: AGPL-3.0-or-later
"""Many RE2 patterns matched together: one linear pass over the text, however many there are.

`RE2::Set` runs a lazily built automaton whose states are kept within a memory budget. When a
single state does not fit, it reports no match at all; `Compile` refuses such a set beforehand,
which is why a refused set is split. A budget that is merely full is emptied and filled anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


@cache
def _options(max_mem: int) -> re2.Options:
    """Return options that nobody changes."""
    options = re2.Options()
    options.max_mem = max_mem
    options.log_errors = False
    return options


# A rule's pattern is compiled where it is checked and again where it is used; re2's own cache
# asks for every option on each call.
@lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> re2._Regexp:
    """Return one pattern compiled to search in UTF-8 bytes.

    Raises:
        re2.error: The pattern is outside RE2's syntax, or too large.
    """
    return re2.compile(pattern.encode(), options=_options(_PATTERN_MAX_MEM))


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


# Few, for an automaton may grow up to its budget while somebody holds it.
@lru_cache(maxsize=4)
def _single(pattern: str) -> _Shard:
    """Return the set of one pattern, which a rule's check and its examples both ask for."""
    return _Shard((pattern,))


def _build(patterns: tuple[str, ...], reuse: Mapping[tuple[str, ...], _Shard]) -> list[_Shard]:
    if (shard := reuse.get(patterns)) is not None:
        return [shard]
    try:
        return [_single(patterns[0]) if len(patterns) == 1 else _Shard(patterns)]
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
        self._shards: list[_Shard] = [
            shard for bucket in buckets if bucket for shard in _build(tuple(bucket), reuse)
        ]

    @property
    def shards(self) -> dict[tuple[str, ...], _Shard]:
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
