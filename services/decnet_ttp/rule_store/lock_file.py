# SPDX-License-Identifier: AGPL-3.0-or-later
"""The lock file of a rule pack: which meaning each version of a rule has.

The version of a rule is part of every tag's identity, so one version may not mean two things. The
lock file keeps, for each rule, its version and a digest of what it means; a rule whose digest is
another while its version is not higher is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from decnet_ttp.core.errors import FailedPreconditionError, InvalidArgumentError
from decnet_ttp.rule_store.document import RuleDocument
from decnet_ttp.rule_store.loader import RULES_FOLDER, FileOutcome, Pack
from decnet_ttp.rule_store.problems import Problem
from decnet_ttp.rule_store.yaml_tree import read_tree

LOCK_FILE: Final = "rules.lock"

#: What a tag says of its rule, or depends on. Words for people, reviews and examples may be mended
#: without a new version.
_MEANING: Final = {"applies_to", "match", "emits", "evidence_fields"}

_HEAD: Final = """\
# SPDX-License-Identifier: AGPL-3.0-or-later
# Written by `decnet-ttp rules lock`: rule, version, digest of what that version means.
"""
_LINE: Final = re.compile(r"([A-Za-z0-9_]{1,64}) ([1-9][0-9]{0,8}) ([0-9a-f]{64})")


class RuleLockInvalidError(FailedPreconditionError):
    """A lock file that cannot be read."""

    reason = "RULE_LOCK_INVALID"


@dataclass(frozen=True, slots=True)
class LockedRule:
    """One line of a lock file.

    Attributes:
        rule_version: The highest version that was locked.
        digest: Digest of what it means, hex.
    """

    rule_version: int
    digest: str


def meaning_digest(rule: RuleDocument) -> str:
    """Return the digest of what a rule means, whatever its layout and comments."""
    meaning = rule.model_dump(mode="json", by_alias=True, exclude_defaults=True, include=_MEANING)
    text = json.dumps(meaning, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return sha256(text.encode()).hexdigest()


def lock_path(path: Path) -> Path:
    """Return where the lock file of a rule file, a folder of rules or a rules directory lies.

    Raises:
        InvalidArgumentError: There is no such path.
    """
    if not path.exists():
        raise InvalidArgumentError(f"{path} does not exist; name a directory of rules")
    folder = path.parent if path.is_file() else path
    above = folder.resolve().name == RULES_FOLDER and not (folder / RULES_FOLDER).is_dir()
    return (folder.parent if above else folder) / LOCK_FILE


def read_lock(path: Path) -> dict[str, LockedRule]:
    """Read a lock file; one that does not exist locks nothing.

    Raises:
        RuleLockInvalidError: It cannot be read, or a line is none.
    """
    try:
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise RuleLockInvalidError(
            f"{path} cannot be read; restore it from version control"
        ) from error
    locked = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None or found[1] in locked:
            raise RuleLockInvalidError(
                f"{path}:{number}:1: no line of a lock file, or a rule's second one; "
                "restore the file from version control"
            )
        locked[found[1]] = LockedRule(int(found[2]), found[3])
    return locked


def write_lock(path: Path, locked: Mapping[str, LockedRule]) -> None:
    """Write a lock file, in order of the rules' ids."""
    lines = [f"{rule_id} {line.rule_version} {line.digest}\n" for rule_id, line in locked.items()]
    path.write_text(_HEAD + "".join(sorted(lines)), encoding="ascii")


def hold_against(pack: Pack, locks: Mapping[Path, Mapping[str, LockedRule]]) -> Pack:
    """Return a pack in which rules that break their lock are refused.

    Args:
        pack: The pack.
        locks: What each lock file says, by its path.
    """
    return Pack(
        tuple(_held(outcome, locks[lock_path(Path(outcome.path))]) for outcome in pack.files)
    )


def locks_of(pack: Pack) -> dict[Path, dict[str, LockedRule]]:
    """Read the lock file of every file of a pack.

    Raises:
        RuleLockInvalidError: One cannot be read.
    """
    paths = {lock_path(Path(outcome.path)) for outcome in pack.files}
    return {path: read_lock(path) for path in sorted(paths)}


def _held(outcome: FileOutcome, locked: Mapping[str, LockedRule]) -> FileOutcome:
    if outcome.rule is None:
        return outcome
    rule = outcome.rule.document
    before = locked.get(rule.rule_id)
    if before is None or rule.rule_version > before.rule_version:
        return outcome
    if rule.rule_version == before.rule_version and meaning_digest(rule) == before.digest:
        return outcome
    cure = f"raise rule_version to {before.rule_version + 1}"
    if rule.rule_version < before.rule_version:
        message = (
            f"rule_version is {rule.rule_version} but {before.rule_version} was in use; {cure}"
        )
    else:
        message = (
            f"{rule.rule_id} means something else than when version {rule.rule_version} was "
            f"locked; {cure}, or take the change back"
        )
    place = read_tree(Path(outcome.path).read_bytes()).place(("rule_version",))
    problem = Problem(outcome.path, *place, message)
    return FileOutcome(outcome.path, outcome.sha256, None, (problem,), outcome.parsed)


def newly_locked(
    outcomes: Sequence[FileOutcome], locked: Mapping[str, LockedRule]
) -> dict[str, LockedRule]:
    """Return a lock with the rules of some files in it.

    A rule that is gone stays locked: should its id be used again, it needs a higher version.
    """
    rules = [outcome.rule.document for outcome in outcomes if outcome.rule is not None]
    fresh = {rule.rule_id: LockedRule(rule.rule_version, meaning_digest(rule)) for rule in rules}
    return {**locked, **fresh}
