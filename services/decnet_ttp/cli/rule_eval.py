# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp rules eval`: a rule pack over a corpus, and how right it is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from decnet_ttp.cli.connection import run
from decnet_ttp.cli.output import Cell, json_text, print_table
from decnet_ttp.runtime.config import load_settings

if TYPE_CHECKING:
    from decnet_ttp.cli.offline_tagger import OfflineTagger, TaggedRow
    from decnet_ttp.cli.rule_scores import Scores
    from decnet_ttp.tagger.statistics import RuleNumbers

CORPUS_TYPE: Final = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
RULES_OPTION: Final = click.option(
    "--rules",
    "rules_path",
    type=click.Path(exists=True, path_type=Path),
    metavar="PATH",
    help="Rules directory, folder of rule files or one file; default: the rules in use.",
)


@click.command(name="eval")
@click.argument("files", nargs=-1, required=True, metavar="FILE.jsonl[.gz]...", type=CORPUS_TYPE)
@RULES_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print a JSON line per row, then a summary.")
def eval_rules(files: Sequence[Path], *, rules_path: Path | None, as_json: bool) -> None:
    """Run rules over corpora, in process, and hold what they say against the labels.

    FILE has one JSON object a line: `id`, `source_kind`, `payload`, and if known `techniques` (a
    list of ids) or `benign` (true). A session is fanned out as ingest does. `-` is standard input.
    """
    from decnet_ttp.cli.offline_tagger import OfflineTagger, load_rules, rules_dir_of
    from decnet_ttp.cli.rule_scores import Scores

    settings = load_settings()
    rules, catalogue = load_rules(settings, rules_path)
    tagger = OfflineTagger(rules, catalogue, rules_dir_of(settings, rules_path))
    scores = Scores(catalogue)
    began = time.monotonic()
    run(_evaluate(files, tagger, scores, _print_row if as_json else lambda *_: None))
    took_s = time.monotonic() - began
    numbers = tagger.numbers
    if as_json:
        summary = {**scores.as_json(), "per_rule": _per_rule(scores, numbers)}
        sys.stdout.write(json_text({**summary, "failures": tagger.failures}) + "\n")
    else:
        _print_summary(scores, numbers)
    rate = f"{scores.rows / took_s:,.0f} rows/s" if took_s else ""
    click.echo(
        f"{scores.rows:,} rows, {tagger.events:,} events, {len(rules)} rules in {took_s:.1f} s"
        + (f" ({rate})" if rate else ""),
        err=True,
    )
    if tagger.failures:
        click.echo(f"{tagger.failures} evaluations failed; the log above names the rules", err=True)


async def _evaluate(
    files: Sequence[Path],
    tagger: OfflineTagger,
    scores: Scores,
    show: Callable[[Any, list[dict[str, Any]]], None],
) -> None:
    from decnet_ttp.cli.corpus import read_rows
    from decnet_ttp.cli.offline_tagger import in_batches

    for batch in in_batches(read_rows(files)):
        for tagged in await tagger.tag(batch):
            emitted = emitted_by(tagged)
            scores.add(
                tagged.row,
                ((each["rule_id"], each["sub_technique"] or each["technique"]) for each in emitted),
            )
            show(tagged.row.id, emitted)


def emitted_by(tagged: TaggedRow) -> list[dict[str, Any]]:
    """Return what a row gave, each thing once, in the order in which its events gave it."""
    found: dict[tuple[object, ...], None] = {}
    for tag in tagged.tags:
        place = tag.technique_id, tag.sub_technique_id or None, tag.tactic
        found[(*place, tag.rule_id, tag.confidence)] = None
    names = ("technique", "sub_technique", "tactic", "rule_id", "confidence")
    return [dict(zip(names, each, strict=True)) for each in found]


def _print_row(ident: Any, emitted: list[dict[str, Any]]) -> None:
    sys.stdout.write(json_text({"id": ident, "emitted": emitted}) + "\n")


def _per_rule(scores: Scores, numbers: dict[str, RuleNumbers]) -> dict[str, Any]:
    from decnet_ttp.cli.rule_scores import Tally

    found = {}
    for rule_id, own in numbers.items():
        tally = scores.by_rule.get(rule_id, Tally()).as_json()
        kept = {name: tally[name] for name in ("right", "wrong", "false_alarms", "precision")}
        found[rule_id] = {
            "matches": own.matches,
            "tags": own.tags,
            "withheld": own.withheld,
            **kept,
        }
    return found


def _percent(ratio: float | None) -> str:
    return "-" if ratio is None else f"{100 * ratio:.1f} %"


def _print_summary(scores: Scores, numbers: dict[str, RuleNumbers]) -> None:
    summary = scores.as_json()
    labelled = f"{scores.labelled:,}, tagged {scores.labelled_tagged:,}"
    labelled += f", rightly {scores.labelled_right:,}"
    lines = [
        ("rows", f"{scores.rows:,}, tagged {scores.tagged:,}"),
        ("labelled", labelled),
        ("innocent", f"{scores.benign:,}, tagged {scores.benign_tagged:,}"),
        (
            "precision",
            f"{_percent(summary['precision'])} (exact {_percent(scores.exact.precision)})",
        ),
        ("recall", f"{_percent(summary['recall'])} (exact {_percent(scores.exact.recall)})"),
        ("false alarms", _percent(summary["false_alarm_rate"])),
    ]
    for heading, text in lines:
        click.echo(click.style(f"{heading:<14}", bold=True) + text)
    click.echo()
    if scores.by_technique:
        print_table(
            [
                ("technique", "fixed"),
                ("right", "number"),
                ("wrong", "number"),
                ("missed", "number"),
                ("false alarms", "number"),
                ("precision", "number"),
                ("recall", "number"),
            ],
            [
                [
                    Cell(each, "bold"),
                    str(tally.right),
                    str(tally.wrong),
                    str(tally.missed),
                    str(tally.false_alarms),
                    _percent(tally.precision),
                    _percent(tally.recall),
                ]
                for each, tally in sorted(scores.by_technique.items())
            ],
            empty="",
        )
        click.echo()
    rows: list[list[str | Cell]] = [
        [
            Cell(rule_id, "bold"),
            str(own["matches"]),
            str(own["tags"]),
            str(own["withheld"]),
            str(own["right"]),
            str(own["wrong"]),
            str(own["false_alarms"]),
            _percent(own["precision"]),
        ]
        for rule_id, own in _per_rule(scores, numbers).items()
        if own["matches"]
    ]
    columns = ["matches", "tags", "withheld", "rows right", "wrong", "false alarms", "precision"]
    print_table(
        [("rule", "fixed"), *((name, "number") for name in columns)],
        rows,
        empty="no rule fired",
    )
