# SPDX-License-Identifier: AGPL-3.0-or-later
"""Print docs/rule-table.md from the rules and from the code that evaluates them.

Usage: ./dev tables, which writes the file.
"""

# ruff: noqa: INP001 - a script beside the documents, no package

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from decnet_ttp.attack import packaged_catalogue
from decnet_ttp.core.source_kinds import PAYLOAD_FIELD, SourceKind
from decnet_ttp.matching import kinds_read
from decnet_ttp.rule_store.loader import load_pack
from decnet_ttp.rule_store.vocabulary import Vocabulary
from decnet_ttp.tagger.lifter import Lifter, load_lifters
from decnet_ttp.v1 import rule_pb2, tag_pb2

_RULES = Path(__file__).parents[1] / "rules"

_HEAD = """\
<!-- SPDX-License-Identifier: AGPL-3.0-or-later -->
<!-- Written by docs/generate_rule_table.py (./dev tables); change rules/ instead. -->
# Every rule

What each shipped rule reads and says. Confidences stand in the order of the techniques; a state,
a provider's score or a verdict may lower them in a tag. Evidence is what the rule asks for beside
what its kind always shows (the table at the end); a rule with a timeline tags the session, reads
the kinds of its parts as well, and shows the steps that were taken. [rules.md](rules.md) tells how
rules are written, [lifters.md](lifters.md) what the predicates of lifters take,
[inventory.md](inventory.md) which rule answers for which observation.

| rule | version | name | lifter | source kinds | techniques (tactic) | confidence | evidence |
|---|---|---|---|---|---|---|---|
"""

_EVIDENCE = """
## What evidence shows by kind

| source kind | evidence |
|---|---|
"""


def _owner(rule: rule_pb2.Rule, lifters: Sequence[Lifter]) -> str:
    return ", ".join(lifter.name for lifter in lifters if lifter.owns(rule)) or "none"


def _shown(rule: rule_pb2.Rule) -> str:
    if rule.HasField("timeline"):
        return ", ".join(step.name for step in rule.timeline.steps)
    return ", ".join(rule.evidence_fields) or "what matched"


def _row(rule: rule_pb2.Rule, lifters: Sequence[Lifter]) -> str:
    techniques = [
        f"{each.sub_technique_id or each.technique_id} ({each.tactic})" for each in rule.emissions
    ]
    cells = (
        rule.rule_id,
        str(rule.rule_version),
        rule.name,
        _owner(rule, lifters),
        ", ".join(kinds_read(rule)),
        ", ".join(techniques) or "none: adjusts those of other tags",
        ", ".join(f"{each.confidence:.2f}" for each in rule.emissions),
        _shown(rule),
    )
    return f"| {' | '.join(cells)} |\n"


def _evidence_rows() -> Iterable[str]:
    members = tag_pb2.Evidence.DESCRIPTOR.fields_by_name
    for kind in SourceKind:
        message: Any = members[PAYLOAD_FIELD[kind]].message_type
        names = ", ".join(field.name for field in message.fields)
        yield f"| {kind} | {names} |\n"


def document() -> str:
    """Return the whole document.

    Raises:
        ValueError: A rule is faulty.
    """
    pack = load_pack([_RULES], Vocabulary(packaged_catalogue()), with_examples=False)
    if pack.problems:
        raise ValueError(f"a rule is faulty: {pack.problems[0]}")
    lifters = load_lifters(())
    rules = sorted((each.message for each in pack.rules), key=lambda each: each.rule_id)
    return "".join([_HEAD, *(_row(rule, lifters) for rule in rules), _EVIDENCE, *_evidence_rows()])


if __name__ == "__main__":
    sys.stdout.write(document())
