# SPDX-License-Identifier: AGPL-3.0-or-later
"""How right tags are, held against rows whose techniques are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from decnet_ttp.attack.catalogue import Catalogue
from decnet_ttp.attack.errors import UnknownTechniqueError
from decnet_ttp.cli.corpus import Row


@dataclass(slots=True)
class Tally:
    """Right, wrong and missed.

    Attributes:
        right: Emitted where it was expected.
        wrong: Emitted where it was not.
        missed: Expected and not emitted.
        false_alarms: Of the wrong, those on innocent rows.
    """

    right: int = 0
    wrong: int = 0
    missed: int = 0
    false_alarms: int = 0

    @property
    def precision(self) -> float | None:
        """Share of the right in what was emitted; None when nothing was."""
        return share(self.right, self.right + self.wrong)

    @property
    def recall(self) -> float | None:
        """Share of the expected that was emitted; None when nothing was expected."""
        return share(self.right, self.right + self.missed)

    def as_json(self) -> dict[str, Any]:
        """Return everything, ratios with four decimals."""
        return {
            "right": self.right,
            "wrong": self.wrong,
            "missed": self.missed,
            "false_alarms": self.false_alarms,
            "precision": rounded(self.precision),
            "recall": rounded(self.recall),
        }


def share(part: int, whole: int) -> float | None:
    """Return a ratio; None of nothing."""
    return part / whole if whole else None


def rounded(ratio: float | None) -> float | None:
    """Return a ratio with four decimals."""
    return None if ratio is None else round(ratio, 4)


def technique_of(deepest: str) -> str:
    """Return the technique of a technique or sub-technique."""
    return deepest.partition(".")[0]


@dataclass
class Scores:
    """Counts rows as they come.

    A row counts as labelled when it names techniques, as innocent when it says so; others are only
    counted. What is compared are techniques: a sub-technique stands for its technique, except in
    the exact tally.

    Args:
        catalogue: Resolves ids of other ATT&CK releases; an id it has no successor for cannot be
            emitted and is left out of what is expected.

    Attributes:
        total: All techniques together.
        exact: The same, with sub-techniques told apart.
        by_technique: Each technique.
        by_rule: Each rule that fired on a labelled or innocent row: right when a technique it
            emitted was expected.
    """

    catalogue: Catalogue
    rows: int = 0
    labelled: int = 0
    labelled_tagged: int = 0
    labelled_right: int = 0
    benign: int = 0
    benign_tagged: int = 0
    tagged: int = 0
    total: Tally = field(default_factory=Tally)
    exact: Tally = field(default_factory=Tally)
    by_technique: dict[str, Tally] = field(default_factory=dict)
    by_rule: dict[str, Tally] = field(default_factory=dict)

    def add(self, row: Row, emitted: Iterable[tuple[str, str]]) -> None:
        """Count a row.

        Args:
            row: The row.
            emitted: Rule and deepest technique id of what it gave.
        """
        pairs = set(emitted)
        self.rows += 1
        self.tagged += bool(pairs)
        if row.techniques is None and not row.benign:
            return
        deep = frozenset() if row.benign else self._resolved(row.techniques or ())
        expected = {technique_of(each) for each in deep}
        found = {technique_of(each) for _, each in pairs}
        if row.benign:
            self.benign += 1
            self.benign_tagged += bool(pairs)
        elif deep:
            self.labelled += 1
            self.labelled_tagged += bool(pairs)
            self.labelled_right += bool(expected & found)
        else:
            # Every label is of another ATT&CK release; nothing can be told.
            return
        innocent = bool(row.benign)
        _compare(lambda _: self.exact, deep, {each for _, each in pairs}, innocent=innocent)
        _compare(lambda _: self.total, expected, found, innocent=innocent)
        _compare(
            lambda each: self.by_technique.setdefault(each, Tally()),
            expected,
            found,
            innocent=innocent,
        )
        for rule in {rule for rule, _ in pairs}:
            own = {technique_of(each) for by, each in pairs if by == rule}
            tally = self.by_rule.setdefault(rule, Tally())
            if own & expected:
                tally.right += 1
            else:
                tally.wrong += 1
                tally.false_alarms += innocent

    def _resolved(self, techniques: Iterable[str]) -> frozenset[str]:
        found = set()
        for each in techniques:
            try:
                found.add(self.catalogue.resolve(each).id)
            except UnknownTechniqueError:
                continue
        return frozenset(found)

    def as_json(self) -> dict[str, Any]:
        """Return the summary; a ratio of nothing is null."""
        return {
            "rows": self.rows,
            "rows_tagged": self.tagged,
            "rows_labelled": self.labelled,
            "rows_labelled_tagged": self.labelled_tagged,
            "rows_labelled_right": self.labelled_right,
            "rows_benign": self.benign,
            "rows_benign_tagged": self.benign_tagged,
            "precision": rounded(self.total.precision),
            "recall": rounded(self.total.recall),
            "false_alarm_rate": rounded(share(self.benign_tagged, self.benign)),
            "exact_precision": rounded(self.exact.precision),
            "exact_recall": rounded(self.exact.recall),
            "per_technique": {
                each: tally.as_json() for each, tally in sorted(self.by_technique.items())
            },
        }


def _compare(
    tally_of: Callable[[str], Tally],
    expected: Iterable[str],
    found: Iterable[str],
    *,
    innocent: bool,
) -> None:
    want, have = set(expected), set(found)
    for each in have & want:
        tally_of(each).right += 1
    for each in have - want:
        tally_of(each).wrong += 1
        tally_of(each).false_alarms += innocent
    for each in want - have:
        tally_of(each).missed += 1
