# SPDX-License-Identifier: AGPL-3.0-or-later
"""YAML to plain data that remembers the line and column of every key and value.

Only what JSON could say as well (and dates) is read: no aliases, no merge keys, no tags of
one's own, no key twice. That leaves nothing that grows when it is expanded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import yaml

MAX_FILE_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 64

Path = tuple[str | int, ...]

_SCALARS: Final = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "timestamp")
)
_MAPPING: Final = "tag:yaml.org,2002:map"
_SEQUENCE: Final = "tag:yaml.org,2002:seq"
_BYTE_ORDER_MARK: Final = "\ufeff"

# libyaml composes some ten times faster than the pure-Python parser, with the same marks.
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


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
        values: Where each value begins, by its path from the root.
        keys: Where the key of each member of a mapping begins.
        faults: What could not be read; `data` leaves it out.
    """

    data: Any = None
    values: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def place(self, path: Path, *, of_key: bool = False) -> Place:
        """Return where a path begins; for a path that is not there, its nearest ancestor.

        An ancestor is pointed at by its key, for that is the line a reader looks for.
        """
        if path in self.values:
            return self.keys.get(path, self.values[path]) if of_key else self.values[path]
        for length in range(len(path) - 1, 0, -1):
            above = path[:length]
            if above in self.values:
                return self.keys.get(above, self.values[above])
        return self.values.get((), START)


def read_tree(data: bytes) -> Tree:
    """Parse the bytes of one file.

    Never raises for the file's content: whatever is wrong stands in `Tree.faults`.
    """
    tree = Tree()
    try:
        _Reader(tree).read_root(_compose(_text(data)))
    except _UnreadableError as error:
        tree.faults.append(error.fault)
    return tree


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


def _compose(text: str) -> yaml.Node:
    try:
        if deepest := _too_deep(text):
            raise _UnreadableError(deepest, f"nested too deep; allowed: {MAX_DEPTH} levels")
        node = yaml.compose(text, Loader=_LOADER)
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
    if node is None:
        raise _UnreadableError(START, "the file is empty; write one rule")
    return node


def _too_deep(text: str) -> Place | None:
    """Return where the text first nests deeper than allowed, None when it never does.

    Parsing into events keeps its own stack; composing recurses in C and would overrun it.
    """
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                return _place(event.start_mark)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return None


def _place(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1)


class _Reader:
    """Turns composed nodes into data, noting places and faults in the tree."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._seen: set[int] = set()
        self._constructor = yaml.constructor.SafeConstructor()

    def read_root(self, node: yaml.Node) -> None:
        self._tree.data = self._read(node, ())

    def _fault(self, node: yaml.Node, message: str) -> None:
        self._tree.faults.append(Fault(_place(node.start_mark), message))

    def _read(self, node: yaml.Node, path: Path) -> Any:
        self._tree.values[path] = _place(node.start_mark)
        if id(node) in self._seen:
            self._fault(node, "aliases are not allowed; write the value out where it is used")
            return None
        self._seen.add(id(node))
        if isinstance(node, yaml.MappingNode) and node.tag == _MAPPING:
            return self._read_mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == _SEQUENCE:
            return [self._read(item, (*path, n)) for n, item in enumerate(node.value)]
        return self._read_scalar(node)

    def _read_mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._fault(key_node, "a key must be a plain word")
                continue
            key = str(key_node.value)
            if key in data:
                self._fault(key_node, f"the key `{key[:64]}` stands twice; keep one")
                continue
            self._tree.keys[(*path, key)] = _place(key_node.start_mark)
            data[key] = self._read(value_node, (*path, key))
        return data

    def _read_scalar(self, node: yaml.Node) -> Any:
        if node.tag not in _SCALARS:
            self._fault(node, f"the tag {node.tag[:64]!r} is not allowed; write a plain value")
            return None
        try:
            return self._constructor.construct_object(node)
        except (ValueError, OverflowError, yaml.YAMLError):
            kind = node.tag.rpartition(":")[2]
            what = "day such as 2026-11-21" if kind == "timestamp" else kind
            self._fault(node, f"not a valid {what}; put it in quotes if text is meant")
            return None
