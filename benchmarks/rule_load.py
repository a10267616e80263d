# SPDX-License-Identifier: AGPL-3.0-or-later
"""What loading a pack of 2 000 rules costs, with every check and every example within them.

Run with `./dev bench rule_load`. The baseline is PyYAML's C parser reading the same files into
plain data, which is the least that any loader of YAML rules must do. Processor time is what
neighbours on the machine blur least; a single edit is loaded and compiled among the others.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from decnet_ttp.attack import load_catalogue
from decnet_ttp.matching import RulePack
from decnet_ttp.rule_store.directory import RuleDirectory
from decnet_ttp.rule_store.vocabulary import Vocabulary

RULES = 2_000
RUNS = 3

_TEXT = r"""# SPDX-License-Identifier: AGPL-3.0-or-later
rule_id: {rule_id}
rule_version: 1
name: synthetic_{number}
description: Synthetic rule {number}.
applies_to: [command]
match:
  any:
    - pattern: '(?i)\btool{number}\s.*\bhttps?://'
    - all:
        - {{field: command_text, contains: ["loader{number}"], ignore_case: true}}
        - not: {{fields: [pwd, src], equals: /home/build}}
emits:
  - {{tactic: TA0011, technique_id: T1105, confidence: 0.85}}
evidence_fields: [command_text]
tests:
  match:
    - payload: {{command_text: "tool{number} -q http://198.51.100.7/x"}}
      techniques: [T1105]
  no_match:
    - payload: {{command_text: "man tool{number}"}}
"""


def write_pack(folder: Path, rules: int = RULES) -> None:
    """Write synthetic rules, one file each: R10000 and up."""
    for number in range(rules):
        rule_id = f"R{10_000 + number}"
        text = _TEXT.format(rule_id=rule_id, number=number)
        (folder / f"{rule_id}.yaml").write_text(text, encoding="utf-8")


def edit(path: Path) -> None:
    """Change the pattern of one of them and raise its version."""
    text = path.read_text(encoding="utf-8")
    edited = text.replace("https?", "https{0,1}").replace("rule_version: 1", "rule_version: 2")
    path.write_text(edited, encoding="utf-8")


def _least_s(work: Callable[[], object]) -> float:
    took = []
    for _ in range(RUNS):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return min(took)


def main() -> None:
    """Print the figures."""
    vocabulary = Vocabulary(load_catalogue())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pack(folder)

        def parse() -> None:
            for path in folder.iterdir():
                yaml.load(path.read_bytes(), yaml.CSafeLoader)

        parse_s = _least_s(parse)
        load_s = _least_s(lambda: RuleDirectory(folder, vocabulary).refresh())
        print(f"bare parse of {RULES:,} files: {parse_s:.2f} s of processor time")
        print(
            f"load with all checks and examples: {load_s:.2f} s (target 2), "
            f"{load_s / parse_s:.1f} times the bare parse"
        )
        directory = RuleDirectory(folder, vocabulary, wall_clock=lambda: time.time() + 10.0)
        first = directory.refresh()
        if first is None:
            raise RuntimeError("the pack did not load; see the log above")
        before = RulePack.compile(first.upserted)
        edit(folder / "R10500.yaml")
        began = time.process_time()
        changes = directory.refresh()
        if changes is None:
            raise RuntimeError("the edit was not seen")
        changed = {rule.rule_id for rule in changes.upserted}
        others = [rule for rule in first.upserted if rule.rule_id not in changed]
        RulePack.compile([*others, *changes.upserted], before)
        took_ms = (time.process_time() - began) * 1000
        print(f"one edit among them, seen, loaded and compiled: {took_ms:.0f} ms (target 500)")


if __name__ == "__main__":
    main()
