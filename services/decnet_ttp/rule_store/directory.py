# SPDX-License-Identifier: AGPL-3.0-or-later
"""The filesystem backend: a folder of rule files, read again whenever something in it changes."""

from __future__ import annotations

import gc
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from decnet_ttp.rule_store.data_watch import DataFile
from decnet_ttp.rule_store.loader import (
    RULES_FOLDER,
    FileOutcome,
    LoadedRule,
    is_rule_file,
    load_rule,
    read_bounded,
)
from decnet_ttp.rule_store.problems import Problem, summary
from decnet_ttp.rule_store.rule_book import DefinitionChanges
from decnet_ttp.rule_store.vocabulary import Vocabulary
from decnet_ttp.v1 import rule_pb2

#: Seconds a file must have been quiet before its absence or its faults are believed. Editors
#: rename a file away before they write the new one, and write in several steps.
SETTLE_S: Final = 0.1

#: Age from which an unchanged time stamp proves unchanged content, in seconds; file systems
#: tick coarsely, so that two writes in a row may carry one stamp.
_STAMP_PROVES_S: Final = 2.0

#: Files from which on loading them all is worth a pause of the garbage collector.
_MANY_FILES: Final = 200

_log = logging.getLogger(__name__)


@contextmanager
def _without_collections() -> Iterator[None]:
    """Keep the collector from walking thousands of fresh rules again and again.

    What a load makes stays, and none of it is cyclic; the pause lasts a second or two.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Stamp(NamedTuple):
    modified_ns: int
    size: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> _Stamp:
        return cls(status.st_mtime_ns, status.st_size, status.st_ino)


def _stamp_of(path: Path) -> _Stamp | None:
    """Return the stamp of a file; None when it is not there."""
    try:
        return _Stamp.of(path.stat())
    except OSError:
        return None


@dataclass(slots=True)
class _File:
    """What is known of one file.

    Attributes:
        stamp: Its stamp when it was read.
        digest: Digest of the bytes that `problems` and `good` speak of.
        good: The last version of it that could be used.
        problems: What is wrong with its newest version.
        missing_since: When it was first found absent, on the monotonic clock.
        data: The file beside the rules that it reads; None where it reads none.
    """

    stamp: _Stamp
    digest: str = ""
    good: LoadedRule | None = None
    problems: tuple[Problem, ...] = ()
    missing_since: float | None = None
    data: DataFile | None = None


@dataclass(slots=True)
class _Live:
    """A rule in force, as it was announced."""

    message: rule_pb2.Rule
    key: tuple[str, str, str]


@dataclass(slots=True)
class RuleDirectory:
    """The rules of one folder and how they changed since they were last looked at.

    Not safe for use from several threads at once.

    Attributes:
        folder: The folder with the rule files.
        vocabulary: The ATT&CK release to hold rules against.
        unsettled: Whether the last look saw a file that is just being written or replaced, so
            that another look should follow after `SETTLE_S`.
        wall_clock: Seconds since the epoch, as file stamps count them.
        clock: Seconds on a clock that never goes back.
    """

    folder: Path
    vocabulary: Vocabulary
    wall_clock: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic
    unsettled: bool = field(default=False, init=False)
    _files: dict[str, _File] = field(default_factory=dict, init=False)
    _live: dict[str, _Live] = field(default_factory=dict, init=False)
    _orphaned: tuple[Problem, ...] = field(default=(), init=False)

    @property
    def watched(self) -> list[Path]:
        """The folders to watch: that of the rules, and those of what lies beside it."""
        beside = self.folder.parent.iterdir() if self.folder.name == RULES_FOLDER else ()
        others = {each for each in beside if each.is_dir()} - {self.folder}
        return [self.folder, *sorted(others)]

    def refresh(self) -> DefinitionChanges | None:
        """Look at the folder again.

        Returns:
            What changed, one entry a rule; None when nothing did.

        Raises:
            OSError: The folder cannot be listed; what was known stays known.
        """
        first_look = not self._files and not self._live
        with os.scandir(self.folder) as entries:
            names = sorted(entry.name for entry in entries if is_rule_file(entry.name))
        self.unsettled = False
        with _without_collections() if len(names) > _MANY_FILES else nullcontext():
            for name in names:
                self._look_at(name)
        for name in self._files.keys() - set(names):
            self._note_missing(name)
        changes = self._changes()
        nothing = not changes.upserted and not changes.deleted
        if nothing and changes.orphaned == self._orphaned and not first_look:
            return None
        self._log_problems(changes)
        self._orphaned = changes.orphaned
        return changes

    def _look_at(self, name: str) -> None:
        path = self.folder / name
        data_changed = False
        try:
            stamp = _Stamp.of(path.stat())
            age = self.wall_clock() - stamp.modified_ns / 1e9
            known = self._files.get(name)
            if known is not None:
                known.missing_since = None
                data_changed = self._data_changed(known)
                proven = known.stamp == stamp and known.digest and age > _STAMP_PROVES_S
                if proven and not data_changed:
                    return
            data = read_bounded(path)
        except FileNotFoundError:
            self._note_missing(name)
            return
        except OSError as error:
            problem = Problem(str(path), 1, 1, f"cannot be read: {error.strerror}")
            known = self._files.setdefault(name, _File(_Stamp(0, 0, 0)))
            known.digest, known.problems = "", (problem,)
            return
        same = known is not None and known.digest == sha256(data).hexdigest()
        if known is not None and same and not data_changed:
            known.stamp = stamp
            return
        outcome = load_rule(path, data, self.vocabulary)
        if outcome.rule is None and (0 <= age < SETTLE_S or _stamp_of(path) != stamp):
            # Still being written, maybe since we looked at its age.
            self.unsettled = True
            return
        self._take(name, stamp, outcome)

    def _take(self, name: str, stamp: _Stamp, outcome: FileOutcome) -> None:
        known = self._files.setdefault(name, _File(stamp))
        known.stamp, known.digest, known.problems = stamp, outcome.sha256, outcome.problems
        known.good = outcome.rule or known.good
        if outcome.parsed is not None or outcome.data_paths:
            paths = outcome.data_paths
            known.data = DataFile(paths, outcome.data_sha256) if paths else None

    def _data_changed(self, known: _File) -> bool:
        changed = known.data.changed(self.clock, SETTLE_S) if known.data else False
        self.unsettled = self.unsettled or changed is None
        return bool(changed)

    def _note_missing(self, name: str) -> None:
        known = self._files.get(name)
        if known is None:
            return
        now = self.clock()
        if known.missing_since is None:
            known.missing_since = now
        if now - known.missing_since >= SETTLE_S:
            del self._files[name]
        else:
            self.unsettled = True

    def _changes(self) -> DefinitionChanges:
        """Hold what the files say against what was announced."""
        live: dict[str, _Live] = {}
        owners: dict[str, str] = {}
        orphaned: list[Problem] = []
        for name, file in sorted(self._files.items()):
            if file.good is None:
                orphaned.extend(file.problems)
                continue
            rule_id = file.good.message.rule_id
            if rule_id in owners:
                message = f"rule_id {rule_id} is taken by {owners[rule_id]}; remove one of the two"
                orphaned.append(Problem(str(self.folder / name), 1, 1, message))
                continue
            owners[rule_id] = name
            live[rule_id] = self._in_force(rule_id, file, file.good)
        before, self._live = self._live, live
        return DefinitionChanges(
            upserted=tuple(
                rule.message
                for rule_id, rule in live.items()
                if rule_id not in before or before[rule_id].key != rule.key
            ),
            deleted=tuple(sorted(before.keys() - live.keys())),
            orphaned=tuple(orphaned),
        )

    def _in_force(self, rule_id: str, file: _File, good: LoadedRule) -> _Live:
        load_error = summary(file.problems) if file.problems else ""
        key = (good.message.content_sha256, good.message.data_sha256, load_error)
        before = self._live.get(rule_id)
        if before is not None and before.key == key:
            return before
        message = good.message
        if load_error:
            message = rule_pb2.Rule(load_error=load_error)
            message.MergeFrom(good.message)
        return _Live(message, key)

    def _log_problems(self, changes: DefinitionChanges) -> None:
        for rule in changes.upserted:
            if rule.load_error:
                _log.error(
                    "broken edit; the last good version stays live: %s",
                    rule.load_error,
                    extra={"rule_id": rule.rule_id, "rule_version": rule.rule_version},
                )
        for problem in changes.orphaned:
            if problem not in self._orphaned:
                _log.error("rule not loaded: %s", problem)
