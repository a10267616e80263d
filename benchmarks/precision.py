# SPDX-License-Identifier: AGPL-3.0-or-later
"""How right the shipped rules are on public corpora, as the tables of docs/precision.md.

Run with `./dev bench precision` where the folder of real inputs lies beside the checkout, or where
`DECNET_TTP_SHARED` names it. A label names one technique of a row that may show several, so rows
without the label were read by hand; `tests/precision/judged.yaml` says what was found.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import math
import os
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import yaml

from decnet_ttp.attack import Catalogue, UnknownTechniqueError, packaged_catalogue
from decnet_ttp.cli.corpus import Row, row_of
from decnet_ttp.cli.offline_tagger import OfflineTagger, in_batches
from decnet_ttp.rule_store.loader import load_pack
from decnet_ttp.rule_store.vocabulary import Vocabulary

ROOT = Path(__file__).resolve().parents[1]
JUDGED = ROOT / "tests" / "precision" / "judged.yaml"

#: Corpora by name: labelled ones, innocent ones, and what real attackers did.
CORPORA: Mapping[str, str] = {
    "Atomic tests": "labelled/atomic_tests_linux",
    "emulation plans": "labelled/emulation_linux",
    "GTFOBins": "labelled/gtfobins",
    "NL2Bash": "benign/nl2bash",
    "tldr": "benign/tldr",
    "cheatsheets": "benign/cheatsheets",
    "maintainer scripts": "benign/debian_maintainer_scripts",
    "CRS": "http/crs",
    "GoTestWAF": "http/gotestwaf",
    "parameters": "http/params",
    "scanners": "http/scanners",
    "access log": "http/access_log_benign",
    "Cowrie sessions": "unlabelled/cowrie_sessions",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What a row gave.

    Attributes:
        row: The row.
        wanted: Techniques of its label, without sub-techniques, as the catalogue has them.
        emitted: What each rule emitted, without sub-techniques, by rule.
        exact: Deepest ids of all that was emitted.
    """

    row: Row
    wanted: frozenset[str]
    emitted: Mapping[str, frozenset[str]]
    exact: frozenset[str]

    @property
    def right(self) -> bool:
        """Whether something emitted is of the label."""
        return any(found & self.wanted for found in self.emitted.values())


@dataclass(slots=True)
class RuleTally:
    """Rows with a label, or innocent, on which a rule fired.

    Attributes:
        confidence: Its highest confidence.
        labelled: Rows that bear a label of its technique.
        others: Ids of the rows that do not.
    """

    confidence: float
    labelled: int = 0
    others: list[str | int] | None = None

    def precision(self, wrong: Iterable[str], sampled: int | None = None) -> float:
        """Return the share of rows that do what the rule says.

        Args:
            wrong: Ids of rows that were read and do not.
            sampled: How many rows without the label were read; None for all of them.
        """
        others = self.others or []
        fired = self.labelled + len(others)
        amiss = len(set(others) & set(wrong)) * (len(others) / sampled if sampled else 1)
        return 1 - amiss / fired if fired else 1.0


def wilson(right: int, whole: int) -> tuple[float, float]:
    """Return the bounds within which a share lies with 95 %, after Wilson (1927).

    Args:
        right: How many of those that were looked at are right.
        whole: How many were looked at, at least one.
    """
    z = 1.959964
    share, spread = right / whole, z * z / whole
    middle = share + spread / 2
    half = z * math.sqrt(share * (1 - share) / whole + spread / whole / 4)
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))


def sample(rule_id: str, ids: Iterable[str | int], size: int) -> list[str | int]:
    """Return the rows of a rule that are read where there are too many."""

    def rank(row_id: str | int) -> str:
        return hashlib.sha256(f"judged 1:{rule_id}:{row_id}".encode()).hexdigest()

    return sorted(ids, key=rank)[:size]


def _parent(technique: str) -> str:
    return technique.partition(".")[0]


def _wanted(row: Row, catalogue: Catalogue) -> frozenset[str]:
    found = set()
    for each in row.techniques or ():
        try:
            found.add(_parent(catalogue.resolve(each).id))
        except UnknownTechniqueError:
            continue
    return frozenset(found)


async def _look(
    tagger: OfflineTagger, path: Path, catalogue: Catalogue, only: Container[str | int] | None
) -> list[Seen]:
    found = []
    with gzip.open(path) as lines:
        rows = [row_of(orjson.loads(line), str(path)) for line in lines]
    if only is not None:
        rows = [row for row in rows if row.id in only]
    for batch in in_batches(rows):
        for tagged in await tagger.tag(batch):
            emitted: dict[str, set[str]] = {}
            for tag in tagged.tags:
                emitted.setdefault(tag.rule_id, set()).add(tag.technique_id)
            found.append(
                Seen(
                    tagged.row,
                    _wanted(tagged.row, catalogue),
                    {rule: frozenset(own) for rule, own in emitted.items()},
                    frozenset(tag.sub_technique_id or tag.technique_id for tag in tagged.tags),
                )
            )
    return found


def look(
    shared: Path,
    corpora: Mapping[str, str] = CORPORA,
    only: Mapping[str, Container[str | int]] | None = None,
) -> tuple[dict[str, list[Seen]], dict[str, float]]:
    """Run the shipped rules over corpora.

    Args:
        shared: The folder of real inputs.
        corpora: Paths within it by name.
        only: Ids of the rows that matter, by name; None for all rows.

    Returns:
        What each row gave, by corpus, and the highest confidence of each rule.
    """
    catalogue = packaged_catalogue()
    pack = load_pack([ROOT / "rules"], Vocabulary(catalogue), with_examples=False)
    rules = [each.message for each in pack.rules]
    tagger = OfflineTagger(rules, catalogue, ROOT / "rules")
    seen = {
        name: asyncio.run(
            _look(
                tagger,
                shared / "data" / f"{path}.jsonl.gz",
                catalogue,
                None if only is None else only[name],
            )
        )
        for name, path in corpora.items()
    }
    confidence = {
        rule.rule_id: max((each.confidence for each in rule.emissions), default=0.0)
        for rule in rules
    }
    return seen, confidence


def by_rule(
    seen: Mapping[str, Iterable[Seen]], confidence: Mapping[str, float]
) -> dict[str, RuleTally]:
    """Return what each rule did on rows that say what they are."""
    tallies: dict[str, RuleTally] = {}
    for name, rows in seen.items():
        for each in rows:
            # An innocent row of CRS is one on which a single rule of theirs must be silent.
            innocent = each.row.benign and name != "CRS"
            if not (each.wanted or innocent):
                continue
            for rule_id, found in each.emitted.items():
                tally = tallies.setdefault(rule_id, RuleTally(confidence[rule_id], 0, []))
                if found & each.wanted:
                    tally.labelled += 1
                elif tally.others is not None:
                    tally.others.append(each.row.id)
    return tallies


def judged() -> dict[str, dict[str, Any]]:
    """Return what was judged by hand, by rule.

    `read` is how many rows fired it without its label, `wrong` has the ids of those that do not do
    what it says, and `sampled`, where not all were read, says how many were.
    """
    found: dict[str, dict[str, Any]] = yaml.safe_load(JUDGED.read_text(encoding="utf-8"))
    return found


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def main() -> None:
    """Print the tables."""
    shared = Path(os.environ.get("DECNET_TTP_SHARED", ROOT.parent / "shared"))
    if not (shared / "data").is_dir():
        print("precision: no shared data beside the checkout; nothing is measured")
        return
    seen, confidence = look(shared)
    print("| corpus | rows | tagged | labelled | right technique or parent | of those tagged |")
    print("|---|---|---|---|---|---|")
    for name, rows in seen.items():
        labelled = [each for each in rows if each.wanted and not each.row.benign]
        tagged = sum(bool(each.emitted) for each in rows)
        right = sum(each.right for each in labelled)
        labelled_tagged = sum(bool(each.emitted) for each in labelled)
        print(
            f"| {name} | {len(rows):,} | {_percent(tagged, len(rows))} | {len(labelled):,} | "
            f"{_percent(right, len(labelled))} | {_percent(right, labelled_tagged)} |"
        )
    print("\n| rule | confidence | fired | bear its label | read | wrong | precision | 95 % |")
    print("|---|---|---|---|---|---|---|---|")
    known = judged()
    for rule_id, tally in sorted(by_rule(seen, confidence).items()):
        print(_judgement(rule_id, tally, known.get(rule_id, {})))
    from benchmarks import hold_out, mail_precision  # noqa: PLC0415 - they build on this module

    print()
    hold_out.report(shared)
    print()
    mail_precision.report(shared)


def _judgement(rule_id: str, tally: RuleTally, own: Mapping[str, Any]) -> str:
    others = tally.others or []
    sampled = own.get("sampled")
    wrong = set(own.get("wrong", ())) & set(others)
    looked_at = sampled or tally.labelled + len(others)
    low, high = wilson(looked_at - len(wrong), looked_at)
    read = f"{sampled} of {len(others)}" if sampled else len(others)
    return (
        f"| {rule_id} | {tally.confidence:.2f} | {tally.labelled + len(others)} | "
        f"{tally.labelled} | {read} | {len(wrong)} | "
        f"{100 * tally.precision(wrong, sampled):.1f} % | {100 * low:.0f} to {100 * high:.0f} |"
    )


if __name__ == "__main__":
    main()
