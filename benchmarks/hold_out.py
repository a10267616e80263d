# SPDX-License-Identifier: AGPL-3.0-or-later
"""How right the rules were on rows that nobody had tuned them on, and how right they are there now.

`tests/precision/hold_out.yaml` says which rows and what was judged. The first figure stands: it was
taken before any rule was changed for it. The second is of other rows, after what the first had
shown was mended, and the third of rules that have seen all these rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks import precision

HELD_OUT = precision.ROOT / "tests" / "precision" / "hold_out.yaml"

#: Least confidence of each band, and the precision it promises.
BANDS = {"high": (0.85, 0.95), "medium": (0.60, 0.80)}

#: Whether what a rule says of a row is right, by corpus, row and rule.
Verdicts = Mapping[str, Mapping[str, Mapping[str, bool]]]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What was judged.

    Attributes:
        confidence: Of each rule, as it was then.
        rows: What fired then, before any rule was changed for it.
        again: What fired on a second draw, after what the first showed was mended.
        since: What rules fire now that were made or widened later.
    """

    confidence: Mapping[str, float]
    rows: Verdicts
    again: Verdicts
    since: Verdicts


def _verdicts(data: Mapping[str, Mapping[str, str]]) -> Verdicts:
    return {
        corpus: {
            row_id: {rule.rstrip("!"): not rule.endswith("!") for rule in rules.split()}
            for row_id, rules in rows.items()
        }
        for corpus, rows in data.items()
    }


def held_out() -> HeldOut:
    """Return what was judged."""
    data = yaml.safe_load(HELD_OUT.read_text(encoding="utf-8"))
    rows, again, since = (_verdicts(data[key]) for key in ("rows", "again", "since"))
    return HeldOut(data["confidence"], rows, again, since)


def band_of(confidence: float) -> str:
    """Return the band of a confidence; `low` promises nothing."""
    return next((name for name, (least, _) in BANDS.items() if confidence >= least), "low")


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule on a row.

    Attributes:
        corpus: Path of the corpus.
        row_id: Id of the row.
        rule_id: Id of the rule.
        confidence: Of the rule.
        right: Whether the row does what the rule says; None when nobody judged it.
    """

    corpus: str
    row_id: str
    rule_id: str
    confidence: float
    right: bool | None


def then(held: HeldOut, draw: Verdicts) -> Iterator[Fired]:
    """Yield what fired when the rows of a draw were chosen."""
    for corpus, rows in draw.items():
        for row_id, rules in rows.items():
            for rule_id, right in rules.items():
                yield Fired(corpus, row_id, rule_id, held.confidence[rule_id], right)


def now(held: HeldOut, shared: Path) -> Iterator[Fired]:
    """Yield what the shipped rules fire on these rows.

    Args:
        held: What was judged.
        shared: The folder of real inputs.

    Raises:
        LookupError: A row is not in its corpus.
    """
    drawn = {name: {**rows, **held.again.get(name, {})} for name, rows in held.rows.items()}
    seen, confidence = precision.look(shared, {name: name for name in drawn}, drawn)
    for corpus, rows in drawn.items():
        if missing := rows.keys() - {str(each.row.id) for each in seen[corpus]}:
            raise LookupError(f"{corpus} lacks {len(missing)} rows of {HELD_OUT.name}")
        for each in seen[corpus]:
            row_id = str(each.row.id)
            known = {**rows[row_id], **held.since.get(corpus, {}).get(row_id, {})}
            for rule_id in each.emitted:
                yield Fired(corpus, row_id, rule_id, confidence[rule_id], known.get(rule_id))


def _share(fired: list[Fired]) -> str:
    if not fired:
        return "- | -"
    right = sum(bool(each.right) for each in fired)
    low, high = precision.wilson(right, len(fired))
    return (
        f"{right} of {len(fired)}, {100 * right / len(fired):.1f} % | "
        f"{100 * low:.1f} to {100 * high:.1f}"
    )


def report(shared: Path) -> None:
    """Print the table.

    Args:
        shared: The folder of real inputs.
    """
    held = held_out()
    draws = [list(then(held, held.rows)), list(then(held, held.again)), list(now(held, shared))]
    print("| confidence | held out | before tuning | 95 % | second draw | 95 % | now | 95 % |")
    print("|---|---|---|---|---|---|---|---|")
    for band in BANDS:
        for corpus in ("all", *held.rows):
            shares = [
                _share(
                    [
                        each
                        for each in fired
                        if band_of(each.confidence) == band and corpus in {"all", each.corpus}
                    ]
                )
                for fired in draws
            ]
            print(f"| {band} | {corpus} | {' | '.join(shares)} |")
    if unread := sum(each.right is None for each in draws[-1]):
        print(f"\nNobody judged {unread} of what fires now.")
