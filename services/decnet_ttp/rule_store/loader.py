# SPDX-License-Identifier: AGPL-3.0-or-later
"""Files to rules: every check of a file, and all problems at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from decnet_ttp.core.errors import FailedPreconditionError
from decnet_ttp.core.shipped import data_digest
from decnet_ttp.matching import RuleInvalidError
from decnet_ttp.rule_store import field_checks, messages
from decnet_ttp.rule_store.convert import rule_message
from decnet_ttp.rule_store.document import RuleDocument
from decnet_ttp.rule_store.examples import ExampleResult, run_examples
from decnet_ttp.rule_store.lifters import data_paths_of
from decnet_ttp.rule_store.problems import Problem
from decnet_ttp.rule_store.vocabulary import Vocabulary
from decnet_ttp.rule_store.yaml_tree import MAX_FILE_BYTES, START, Place, Tree, read_tree
from decnet_ttp.v1 import rule_pb2

#: Folder of the rules within a rules directory.
RULES_FOLDER: Final = "ttp"

#: Problems of one file that are told; a file with more is no rule at all.
MAX_PROBLEMS: Final = 100

# An allow-list, because no list of what editors leave behind is ever complete.
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9_]+\.ya?ml")


class RulesDirectoryMissingError(FailedPreconditionError):
    """There is no directory to take rules from."""

    reason = "RULES_DIRECTORY_MISSING"


@dataclass(frozen=True, slots=True)
class LoadedRule:
    """A rule that passed every check.

    Attributes:
        document: The rule as it was written, with its examples.
        message: The rule as it travels, without state.
        examples: How its examples went.
    """

    document: RuleDocument
    message: rule_pb2.Rule
    examples: tuple[ExampleResult, ...] = ()


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """What one file came to.

    Attributes:
        path: The file, as the caller named it.
        sha256: Digest of its bytes, hex.
        rule: The rule, or None when there are problems.
        problems: Everything that is wrong with it, in order of place.
        parsed: The rule as written when only its examples fail, else the same as `rule`.
        data_paths: Where the file beside the rules that it reads may lie; the first there counts.
        data_sha256: Digest of that file, hex; empty for none.
    """

    path: str
    sha256: str
    rule: LoadedRule | None = None
    problems: tuple[Problem, ...] = ()
    parsed: LoadedRule | None = None
    data_paths: tuple[Path, ...] = ()
    data_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Pack:
    """A directory of rules.

    Attributes:
        files: Every file in order of its name.
    """

    files: tuple[FileOutcome, ...]

    @property
    def rules(self) -> list[LoadedRule]:
        """The rules that may be used, in order of their id."""
        found = [outcome.rule for outcome in self.files if outcome.rule is not None]
        return sorted(found, key=lambda rule: rule.message.rule_id)

    @property
    def problems(self) -> list[Problem]:
        """All problems, by file and place."""
        return [problem for outcome in self.files for problem in outcome.problems]


def is_rule_file(name: str) -> bool:
    """Tell whether a file of this name holds a rule; scratch files of editors do not."""
    return _FILE_NAME.fullmatch(name) is not None


def rule_folder(rules_dir: Path) -> Path:
    """Return the folder with the rule files of a rules directory.

    Raises:
        RulesDirectoryMissingError: There is none.
    """
    folder = rules_dir / RULES_FOLDER
    if not folder.is_dir():
        raise RulesDirectoryMissingError(
            f"{folder} is not a directory, so there are no rules to load; "
            "point DECNET_TTP_RULES_DIR at a directory that has a folder named ttp",
            path=folder,
        )
    return folder


def rule_files(path: Path) -> list[Path]:
    """Return the rule files that a path means, in order of their names.

    Args:
        path: One file, a folder of rule files, or a rules directory with a folder `ttp`.

    Raises:
        RulesDirectoryMissingError: There is no such path.
    """
    if path.is_file():
        return [path]
    folder = path / RULES_FOLDER
    if not folder.is_dir():
        folder = path
    if not folder.is_dir():
        raise RulesDirectoryMissingError(
            f"{path} does not exist; name a rule file or a directory of rule files", path=path
        )
    return sorted(entry for entry in folder.iterdir() if is_rule_file(entry.name))


def read_bounded(path: Path) -> bytes:
    """Return the bytes of a file, one more than allowed at most.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return file.read(MAX_FILE_BYTES + 1)


def load_pack(paths: Sequence[Path], vocabulary: Vocabulary, *, with_examples: bool = True) -> Pack:
    """Load every rule that some paths mean.

    Args:
        paths: Each as for `rule_files`.
        vocabulary: The ATT&CK release to hold the rules against.
        with_examples: Whether to run the examples within the rules.

    Raises:
        RulesDirectoryMissingError: There is no such path.
    """
    outcomes = []
    for file in dict.fromkeys(file for path in paths for file in rule_files(path)):
        try:
            data = read_bounded(file)
        except OSError as error:
            outcomes.append(_refused(file, "", f"cannot be read: {error.strerror}"))
            continue
        if not is_rule_file(file.name):
            message = "the rule-store ignores a file of this name; allowed: letters, digits and _"
            digest = sha256(data).hexdigest()
            outcomes.append(_refused(file, digest, f"{message}, then .yaml or .yml"))
            continue
        outcomes.append(load_rule(file, data, vocabulary, with_examples=with_examples))
    return Pack(tuple(without_duplicates(outcomes)))


def _refused(path: Path, digest: str, message: str) -> FileOutcome:
    return FileOutcome(str(path), digest, problems=(Problem(str(path), 1, 1, message),))


def without_duplicates(outcomes: Iterable[FileOutcome]) -> list[FileOutcome]:
    """Refuse each rule whose id an earlier file already has."""
    owners: dict[str, str] = {}
    kept = []
    for outcome in outcomes:
        if outcome.rule is None:
            kept.append(outcome)
            continue
        rule_id = outcome.rule.message.rule_id
        owner = owners.setdefault(rule_id, outcome.path)
        if owner == outcome.path:
            kept.append(outcome)
            continue
        message = f"rule_id {rule_id} is taken by {owner}; remove one of the two files"
        problem = Problem(outcome.path, 1, 1, message)
        kept.append(FileOutcome(outcome.path, outcome.sha256, problems=(problem,)))
    return kept


def load_rule(
    path: Path, data: bytes, vocabulary: Vocabulary, *, with_examples: bool = True
) -> FileOutcome:
    """Make a rule of the bytes of one file.

    Args:
        path: The file; its stem must be the rule's id.
        data: Its content.
        vocabulary: The ATT&CK release to hold the rule against.
        with_examples: Whether to run the examples within the rule.
    """
    digest = sha256(data).hexdigest()
    tree = read_tree(data)
    problems = {Problem(str(path), *fault.place, fault.message) for fault in tree.faults}

    def add(place: Place, message: str) -> None:
        problems.add(Problem(str(path), *place, message))

    document = _parse(tree, vocabulary, add)
    if document is not None:
        if document.rule_id != path.stem:
            message = f"rule_id is {document.rule_id} in a file named {path.name}"
            add(tree.place(("rule_id",)), f"{message}; make the two equal")
        for finding in field_checks.check_rule(document):
            add(tree.place(finding.path), finding.message)
    rule = None
    wire = rule_pb2.Rule()
    paths: tuple[Path, ...] = ()
    if document is not None and not problems:
        wire = rule_message(document, content_sha256=digest, source=str(path))
        paths = data_paths_of(wire, _rules_dir(path))
        # Before it is read: what changes in between is seen by the next look.
        wire.data_sha256 = data_digest(paths)
        try:
            results = run_examples(
                document, wire, only_form=not with_examples, rules_dir=_rules_dir(path)
            )
        except RuleInvalidError as error:
            add(tree.place(error.path), error.message)
        else:
            rule = LoadedRule(document, wire, results)
            for result in results:
                if result.fault is not None:
                    add(tree.place(result.path), result.fault)
    return FileOutcome(
        str(path),
        digest,
        rule=None if problems else rule,
        problems=tuple(sorted(problems)[:MAX_PROBLEMS]),
        parsed=rule,
        data_paths=paths,
        data_sha256=wire.data_sha256,
    )


def _rules_dir(path: Path) -> Path | None:
    """Return the rules directory that a rule file lies in, if it lies in one."""
    folder = path.parent
    return folder.parent if folder.name == RULES_FOLDER else None


def _parse(
    tree: Tree, vocabulary: Vocabulary, add: Callable[[Place, str], None]
) -> RuleDocument | None:
    if not isinstance(tree.data, dict):
        if not tree.faults:
            add(START, "a rule is a mapping; begin with `rule_id:`")
        return None
    try:
        return RuleDocument.model_validate(tree.data, context=vocabulary)
    except ValidationError as error:
        # A value that could not be read already has its own line.
        unread = {fault.place for fault in tree.faults}
        for found in messages.findings(error):
            place = tree.place(found.path, of_key=found.of_key)
            if place not in unread:
                add(place, found.message)
        return None
