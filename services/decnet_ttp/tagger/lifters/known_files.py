# SPDX-License-Identifier: AGPL-3.0-or-later
"""Files known by their hash: the lists of `rules/files/`, which an operator fills from feeds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from decnet_ttp.core.shipped import data_paths
from decnet_ttp.tagger.evidence import MAX_NAME, MAX_TEXT
from decnet_ttp.tagger.parameters import ParameterFault
from decnet_ttp.tagger.predicate_lifter import Hit, Test
from decnet_ttp.v1 import event_pb2, rule_pb2, tag_pb2

#: Folder of the lists within a rules directory.
FILES_FOLDER: Final = "files"

#: A list larger than this is none; it has room for some 700 000 hashes.
MAX_BYTES: Final = 64 * 1024 * 1024

_LIST_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_LINE: Final = re.compile(r"([0-9A-Fa-f]{64})(?:[\s,;]+(.*))?")


@dataclass(frozen=True, slots=True)
class FileList:
    """Parameters of `behavioral_known_file`.

    Attributes:
        files: Name of the list in `rules/files/` without its suffix.
    """

    files: str

    def __post_init__(self) -> None:
        """Refuse names that would leave the folder."""
        if not _LIST_NAME.fullmatch(self.files):
            raise ValueError("`files` must be letters, digits and _, as in malicious")


def list_file(parameters: FileList) -> tuple[str, str]:
    """Return folder and name of the list."""
    return FILES_FOLDER, f"{parameters.files}.txt"


def read_known_files(name: str, rules_dir: Path | None) -> Mapping[str, str]:
    """Return the names of the files on a list by SHA-256, lower-case hex.

    A line is a hash and, behind it, a name; what begins with # is a comment. The operator's
    list stands in place of the program's.

    Args:
        name: Name of the list without its suffix.
        rules_dir: The operator's rules directory; None for that of the program.

    Raises:
        ParameterFault: No such list, or one that is wrong; the message names it and the line.
    """
    file_name = f"{name}.txt"
    paths = data_paths(FILES_FOLDER, file_name, rules_dir)
    path = next((each for each in paths if each.is_file()), None)
    if path is None:
        raise ParameterFault(
            f"there is no list {FILES_FOLDER}/{file_name}; write one or name another", "files"
        )
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ParameterFault(f"{path}: larger than {MAX_BYTES} bytes; part it", "files")
    known = {}
    for number, raw in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise ParameterFault(
                f"{path}:{number}: not a SHA-256 of 64 hex digits with a name behind it", "files"
            )
        known[found[1].lower()] = (found[2] or "")[:MAX_NAME]
    return known


def known_file(parameters: FileList, rule: rule_pb2.Rule, rules_dir: Path | None) -> Test:
    """Bind: the file's hash stands on the list.

    Raises:
        ParameterFault: No such list, or one that is wrong.
    """
    del rule
    known = read_known_files(parameters.files, rules_dir)

    def test(event: event_pb2.Event) -> Iterable[Hit]:
        payload = event.file
        sha256 = payload.sha256[:MAX_NAME].strip().lower()
        name = known.get(sha256)
        if name is None:
            return
        evidence = tag_pb2.Evidence()
        shown = evidence.file
        shown.sha256 = sha256
        shown.url = payload.url[:MAX_TEXT]
        shown.filename = payload.filename[:MAX_NAME]
        shown.direction = payload.direction[:MAX_NAME]
        shown.matched_tokens.append(name or sha256)
        yield Hit(evidence)

    return test
