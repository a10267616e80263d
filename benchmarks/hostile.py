# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the worst input costs: a megabyte of bait in one field, through all lifters and rules.

Run with `./dev bench hostile`. Each text field of each kind is filled with a mebibyte of each
bait, and each list with ten thousand members; the slowest of each kind is shown, in processor time.
The baseline is the same with half of it: what costs twice as much for twice the input is linear.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.matching import shipped
from decnet_ttp.attack import load_catalogue
from decnet_ttp.core.source_kinds import PAYLOAD_FIELD, SourceKind
from decnet_ttp.ingest.payloads import fill
from decnet_ttp.tagger.lifter import Evaluator, load_lifters
from decnet_ttp.tagger.rule_set import RuleSet
from decnet_ttp.v1 import event_pb2

MEBIBYTE = 2**20
MEMBERS = 10_000
RUNS = 3
TARGET_MS = 50.0

#: What invites a matcher to go back, or a parser to go deep.
BAITS = (
    "A1",
    "echo <?php>.",
    "-wget ",
    "$(",
    "((((",
    "%2e%2e%2f",
    "${lower:",
    "é",
    "<a href=",
    "http://xn--pypal-4ve.com/",
    "a@a.",
)


class Cost(NamedTuple):
    """What one input cost.

    Attributes:
        whole_ms: Milliseconds for all of it.
        half_ms: Milliseconds for half of it.
        what: The field and the bait.
    """

    whole_ms: float
    half_ms: float
    what: str


def _bodies(kind: SourceKind, share: float) -> Iterator[tuple[str, dict[str, object]]]:
    member = event_pb2.Event.DESCRIPTOR.fields_by_name[PAYLOAD_FIELD[kind]]
    for field in member.message_type.fields:
        text = field.cpp_type == field.CPPTYPE_STRING
        if field.is_repeated and field.message_type is None:
            value = "http://xn--pypal-4ve.com/" if text else 18
            yield f"{field.name} x {MEMBERS:,}", {field.name: [value] * int(MEMBERS * share)}
        elif text:
            for bait in BAITS:
                length = int(MEBIBYTE * share) // len(bait.encode())
                yield f"{field.name} of {bait!r}", {field.name: bait * length}
    for bait in BAITS:
        length = int(MEBIBYTE * share) // len(bait.encode())
        yield f"body_text (extra) of {bait!r}", {"body_text": bait * length}


def _least_ms(evaluators: list[Evaluator], kind: SourceKind, body: dict[str, object]) -> float:
    event = event_pb2.Event(source_id="e")
    fill(event, kind, body, frozenset())
    took = []
    for _ in range(RUNS):
        began = time.process_time()
        for evaluator in evaluators:
            list(evaluator.lift(event))
        took.append((time.process_time() - began) * 1000)
    return min(took)


def main() -> None:
    """Print the figures."""
    catalogue = load_catalogue()
    rules = shipped(catalogue)
    live = RuleSet.empty().changed(rules, (), load_lifters([]), catalogue)
    evaluators = list(live.evaluators.values())
    print(f"{len(rules)} rules, worst of each kind per MiB (target {TARGET_MS:g} ms)")
    for kind in SourceKind:
        costs = [
            Cost(_least_ms(evaluators, kind, whole), _least_ms(evaluators, kind, half), what)
            for (what, whole), (_, half) in zip(_bodies(kind, 1), _bodies(kind, 0.5), strict=True)
        ]
        worst = max(costs)
        growth = worst.whole_ms / worst.half_ms if worst.half_ms else 0.0
        print(f"{kind:<20}{worst.whole_ms:8.1f} ms, {growth:.1f} x half of it: {worst.what}")


if __name__ == "__main__":
    main()
