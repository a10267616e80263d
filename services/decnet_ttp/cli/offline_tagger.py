# SPDX-License-Identifier: AGPL-3.0-or-later
"""A tagger within the command: the rules of a directory, evaluated as the service does it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click

from decnet_ttp.attack.catalogue import Catalogue
from decnet_ttp.attack.errors import AttackError
from decnet_ttp.cli.corpus import Row, events_of, write_events
from decnet_ttp.core.errors import FailedPreconditionError
from decnet_ttp.core.tags import CONFIDENCE_FLOOR
from decnet_ttp.ingest.batch import TaggerRequests, Upstream, sink_of
from decnet_ttp.rule_store.app import load_vocabulary
from decnet_ttp.rule_store.loader import RULES_FOLDER, load_pack
from decnet_ttp.rule_store.shipped import shipped_rules_dir
from decnet_ttp.runtime.config import Settings
from decnet_ttp.tagger.evaluation import Evaluation
from decnet_ttp.tagger.lifter import load_lifters
from decnet_ttp.tagger.rule_set import RuleSet
from decnet_ttp.tagger.statistics import RuleNumbers
from decnet_ttp.v1 import event_pb2, rule_pb2, tag_pb2

#: Rows that are evaluated at once.
BATCH_ROWS: Final = 500


@dataclass(frozen=True, slots=True)
class TaggedRow:
    """What a row gave.

    Attributes:
        row: The row.
        tags: Tags that would be stored, in the order of its events.
    """

    row: Row
    tags: Sequence[tag_pb2.TagDraft]


def load_rules(
    settings: Settings, path: Path | None, *, all_sound: bool = False
) -> tuple[list[rule_pb2.Rule], Catalogue]:
    """Return the sound rules of a path, by default those in use; faulty files are named on stderr.

    Examples are not run: what they say is asked with `rules test`.

    Args:
        settings: Where rules and ATT&CK data are.
        path: A rules directory, a folder of rule files or one file.
        all_sound: Whether a faulty file is an error.

    Raises:
        DecnetError: There are no rules, or there is no ATT&CK data.
    """
    try:
        vocabulary = load_vocabulary(settings)
    except AttackError as error:
        raise FailedPreconditionError(str(error)) from error
    folder = path or settings.rules_dir or shipped_rules_dir()
    pack = load_pack([folder], vocabulary, with_examples=False)
    for problem in pack.problems:
        click.echo(str(problem), err=True)
    if all_sound and pack.problems:
        raise FailedPreconditionError(
            f"{folder} has faulty rules, which would pass for removed ones; mend them first"
        )
    if not pack.rules:
        raise FailedPreconditionError(
            f"{folder} has no sound rule; see `decnet-ttp rules check {folder}`"
        )
    return [loaded.message for loaded in pack.rules], vocabulary.loaded


@dataclass
class OfflineTagger:
    """Tags rows with some rules.

    Args:
        rules: The rules, as the rule-store would send them.
        catalogue: The ATT&CK release.
        rules_dir: Directory whose data lifters use (provider mappings); None for the program's.

    Attributes:
        events: Events that some rule reads, so far.
        failures: Failures of rules on events, so far.
    """

    rules: Iterable[rule_pb2.Rule]
    catalogue: Catalogue
    rules_dir: Path | None = None
    events: int = field(default=0, init=False)
    failures: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Compile the rules."""
        self.lifters = load_lifters((), self.rules_dir)
        self.rule_set = RuleSet.empty().changed(self.rules, (), self.lifters, self.catalogue)
        self._evaluation = Evaluation(self.lifters, attack_release=self.catalogue.attack_release)
        self._kinds = frozenset(
            kind
            for evaluator in self.rule_set.evaluators.values()
            for kind in evaluator.source_kinds
        )

    @property
    def numbers(self) -> dict[str, RuleNumbers]:
        """What each rule did, by its id."""
        return dict(self._evaluation.statistics.snapshot(self.rule_set))

    def events_of(self, row: Row) -> list[event_pb2.Event]:
        """Return the events of a row that some rule reads."""
        return events_of(row, self._kinds)

    async def tag(self, rows: Sequence[Row]) -> Iterator[TaggedRow]:
        """Tag some rows; gives each, in order."""
        requests = TaggerRequests(self._kinds)
        sink = sink_of([requests])
        for number, row in enumerate(rows):
            requests.begin(Upstream(str(number), "", row.payload, 0))
            write_events(row, str(row.id) or f"row{number}", sink)
        tags: list[list[tag_pb2.TagDraft]] = [[] for _ in rows]
        for request in requests.requests:
            self.events += sum(len(group.events) for group in request.groups)
            answer = await self._evaluation.tag(request, self.rule_set)
            self.failures += len(answer.failures)
            for group in answer.groups:
                tags[int(group.origin_id)] += [
                    tag for tag in group.tags if tag.confidence >= CONFIDENCE_FLOOR
                ]
        return (TaggedRow(row, own) for row, own in zip(rows, tags, strict=True))


def rules_dir_of(settings: Settings, path: Path | None) -> Path | None:
    """Return the rules directory that goes with some rules: itself, else the one in use."""
    return path if path is not None and (path / RULES_FOLDER).is_dir() else settings.rules_dir


def in_batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield rows in lists of a size that suits `OfflineTagger.tag`."""
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch
