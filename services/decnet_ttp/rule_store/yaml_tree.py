# SPDX-License-Identifier: AGPL-3.0-or-later
"""YAML to plain data that remembers the line and column of every key and value.

Only what JSON could say as well (and dates) is read: no aliases, no merge keys, no tags of
one's own, no key twice. That leaves nothing that grows when it is expanded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple

import yaml

MAX_FILE_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 64

Path = tuple[str | int, ...]

_TAG: Final = "tag:yaml.org,2002:"
_SCALARS: Final = frozenset(_TAG + name for name in ("int", "float", "bool", "null", "timestamp"))
# The last two are what YAML 1.1 takes a lone "=" and "<<" for.
_TEXTS: Final = frozenset(_TAG + name for name in ("str", "value", "merge"))
_PLAIN_COLLECTIONS: Final = frozenset({None, "!", _TAG + "map", _TAG + "seq"})
_NUMBERS_BELOW: Final = 2**64
_BYTE_ORDER_MARK: Final = "\ufeff"

# libyaml parses some ten times faster than the pure-Python parser, with the same marks.
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVE: Final[Callable[..., str]] = yaml.resolver.Resolver().resolve

#: Longest word of which it is remembered what it means; rules write the same few again and again.
_SHORT_CHARS: Final = 64


class Place(NamedTuple):
    """Line and column, both counted from 1."""

    line: int
    column: int


START: Final = Place(1, 1)


class Fault(NamedTuple):
    """Something in the text that is no plain data, and where."""

    place: Place
    message: str


@dataclass(slots=True)
class Tree:
    """A document as plain data.

    Attributes:
        data: Dictionaries, lists and scalars.
        faults: What could not be read; `data` leaves it out.
        text: The document, of which the places are not known yet; empty once they are.
        marks: The parser's mark of each value, by its path from the root.
        key_marks: The mark of the key of each member of a mapping.
    """

    data: Any = None
    faults: list[Fault] = field(default_factory=list)
    text: str = ""
    marks: dict[Path, Any] = field(default_factory=dict)
    key_marks: dict[Path, Any] = field(default_factory=dict)

    def place(self, path: Path, *, of_key: bool = False) -> Place:
        """Return where a path begins; for a path that is not there, its nearest ancestor.

        An ancestor is pointed at by its key, for that is the line a reader looks for.
        """
        if self.text:
            # Few documents have a fault that a place has to be told of.
            text, self.text = self.text, ""
            _Reader(self).read(text)
        if path in self.marks:
            mark = self.marks[path]
            return _place(self.key_marks.get(path, mark) if of_key else mark)
        for length in range(len(path) - 1, 0, -1):
            above = path[:length]
            if above in self.marks:
                return _place(self.key_marks.get(above, self.marks[above]))
        return _place(self.marks[()]) if self.marks else START


def read_tree(data: bytes) -> Tree:
    """Parse the bytes of one file.

    Never raises for the file's content: whatever is wrong stands in `Tree.faults`.
    """
    tree = Tree()
    try:
        text = _text(data)
        try:
            tree.data = _PlainReader(text).read()
            tree.text = text
        except (_UnusualError, yaml.YAMLError):
            _Reader(tree).read(text)
    except _UnreadableError as error:
        tree.data = None
        tree.faults.append(error.fault)
    return tree


class _UnusualError(ValueError):
    """A text that needs the reader who tells places and faults."""


class _PlainReader:
    """Builds data from the parser's events, as long as nothing is amiss.

    It gives what `_Reader` gives, without places. Whatever may be a fault it leaves to that.

    Args:
        text: The document.
    """

    def __init__(self, text: str) -> None:
        self._next: Callable[[], Any] = _LOADER(text).get_event

    def read(self) -> Any:
        """Read the one document of a text.

        Raises:
            _UnusualError: There is more than one plain document, or less.
            yaml.YAMLError: It is no YAML.
        """
        self._expect(yaml.StreamStartEvent)
        self._expect(yaml.DocumentStartEvent)
        data = self._value(self._next(), 1)
        self._expect(yaml.DocumentEndEvent)
        self._expect(yaml.StreamEndEvent)
        return data

    def _expect(self, kind: type[yaml.Event]) -> None:
        if type(self._next()) is not kind:
            raise _UnusualError

    def _value(self, event: Any, depth: int) -> Any:
        kind = type(event)
        if kind is yaml.ScalarEvent:
            if event.tag is not None:
                raise _UnusualError
            return _plain_scalar(event.value) if event.implicit[0] else event.value
        if depth > MAX_DEPTH or kind is yaml.AliasEvent or event.tag is not None:
            raise _UnusualError
        return (self._mapping if kind is yaml.MappingStartEvent else self._sequence)(depth + 1)

    def _sequence(self, depth: int) -> list[Any]:
        data: list[Any] = []
        while type(event := self._next()) is not yaml.SequenceEndEvent:
            data.append(self._value(event, depth))
        return data

    def _mapping(self, depth: int) -> dict[str, Any]:
        data: dict[str, Any] = {}
        while type(event := self._next()) is not yaml.MappingEndEvent:
            if type(event) is not yaml.ScalarEvent or event.value in data:
                raise _UnusualError
            data[event.value] = self._value(self._next(), depth)
        return data


def _plain_scalar(text: str) -> Any:
    """Return what a text without quotes and tag means.

    Raises:
        _UnusualError: It means nothing.
    """
    return _meaning.__wrapped__(text) if len(text) > _SHORT_CHARS else _meaning(text)


@lru_cache(maxsize=4_096)
def _meaning(text: str) -> Any:
    tag = _RESOLVE(yaml.ScalarNode, text, (True, False))
    if tag in _TEXTS:
        return text
    if tag not in _SCALARS:
        raise _UnusualError
    try:
        value = yaml.constructor.SafeConstructor().construct_object(yaml.ScalarNode(tag, text))
    except (ValueError, OverflowError, yaml.YAMLError) as error:
        raise _UnusualError from error
    if isinstance(value, int | float) and not abs(value) < _NUMBERS_BELOW:
        raise _UnusualError
    return value


class _UnreadableError(ValueError):
    """The text as a whole gives no nodes."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.fault = Fault(place, message)


def _text(data: bytes) -> str:
    if len(data) > MAX_FILE_BYTES:
        raise _UnreadableError(
            START, f"the file is larger than allowed: at most {MAX_FILE_BYTES} bytes"
        )
    try:
        return data.decode("utf-8").removeprefix(_BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        place = Place(line, column)
        raise _UnreadableError(place, "not UTF-8; save the file as UTF-8") from error


def _place(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1)


class _Reader:
    """Builds data from the parser's events, noting places and faults in the tree.

    Events rather than PyYAML's composed nodes: composing recurses in C, where deep nesting
    overruns the stack, and expands what an alias means.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._constructor = yaml.constructor.SafeConstructor()
        self._events: Iterator[yaml.Event] = iter(())

    def read(self, text: str) -> None:
        """Read the one document of a text.

        Raises:
            _UnreadableError: There is no such document.
        """
        try:
            loader = _LOADER(text)
            # What yaml.parse does, without its two calls an event.
            self._events = iter(loader.get_event, None)
            self._document()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            what = " ".join(part for part in (error.context, error.problem) if part)
            place = _place(mark) if mark else START
            raise _UnreadableError(place, f"not valid YAML: {what}") from error
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            column = error.position - text.rfind("\n", 0, error.position)
            code = error.character if isinstance(error.character, int) else ord(error.character)
            message = f"not valid YAML: the character U+{code:04X} is not allowed"
            raise _UnreadableError(Place(line, column), message) from error

    def _document(self) -> None:
        events = self._events
        next(events)  # the stream's start
        if isinstance(next(events), yaml.StreamEndEvent):
            raise _UnreadableError(START, "the file is empty; write one rule")
        self._tree.data = self._value(next(events), (), 1)
        next(events)  # the document's end
        following = next(events)
        if not isinstance(following, yaml.StreamEndEvent):
            place = _place(following.start_mark)
            raise _UnreadableError(place, "another document begins; write one rule a file")

    def _fault(self, event: yaml.Event, message: str) -> None:
        self._tree.faults.append(Fault(_place(event.start_mark), message))

    def _value(self, event: yaml.Event, path: Path, depth: int) -> Any:
        self._tree.marks[path] = event.start_mark
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.AliasEvent):
            self._fault(event, "aliases are not allowed; write the value out where it is used")
            return None
        self._hold_to_depth(event, depth)
        tag: str | None = getattr(event, "tag", None)
        if tag not in _PLAIN_COLLECTIONS:
            self._refuse_tag(event, str(tag))
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path, depth)
        return self._sequence(path, depth)

    def _sequence(self, path: Path, depth: int) -> list[Any]:
        data: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            data.append(self._value(event, (*path, len(data)), depth + 1))
        return data

    def _mapping(self, path: Path, depth: int) -> dict[str, Any]:
        data: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                self._fault(event, "a key must be a plain word")
                self._skip(event, depth)
                self._skip(next(self._events), depth)
                continue
            key = str(event.value)
            if key in data:
                self._fault(event, f"the key `{key[:64]}` stands twice; keep one")
                self._skip(next(self._events), depth)
                continue
            below = (*path, key)
            self._tree.key_marks[below] = event.start_mark
            data[key] = self._value(next(self._events), below, depth + 1)
        return data

    def _skip(self, event: yaml.Event, around: int) -> None:
        depth = around
        while True:
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            # The parser's own cost grows with the square of the depth.
            self._hold_to_depth(event, depth)
            if depth == around:
                return
            event = next(self._events)

    def _hold_to_depth(self, event: yaml.Event, depth: int) -> None:
        if depth > MAX_DEPTH:
            message = f"nested too deep; allowed: {MAX_DEPTH} levels"
            raise _UnreadableError(_place(event.start_mark), message)

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        tag = event.tag
        if tag is None or tag == "!":
            if not event.implicit[0]:
                return event.value  # in quotes, so it is text whatever it looks like
            tag = _RESOLVE(yaml.ScalarNode, event.value, event.implicit)
        if tag in _TEXTS:
            return event.value
        if tag not in _SCALARS:
            self._refuse_tag(event, tag)
            return None
        try:
            value = self._constructor.construct_object(yaml.ScalarNode(tag, event.value))
        except (ValueError, OverflowError, yaml.YAMLError):
            kind = tag.rpartition(":")[2]
            what = "day such as 2026-11-21" if kind == "timestamp" else kind
            self._fault(event, f"not a valid {what}; put it in quotes if text is meant")
            return None
        if isinstance(value, int | float) and not abs(value) < _NUMBERS_BELOW:
            self._fault(event, "a number must be finite and fit into 64 bits")
            return None
        return value

    def _refuse_tag(self, event: yaml.Event, tag: str) -> None:
        self._fault(event, f"the tag {tag[:64]!r} is not allowed; write a plain value")
