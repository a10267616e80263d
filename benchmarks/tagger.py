# SPDX-License-Identifier: AGPL-3.0-or-later
"""Processor time a tagger takes for sessions, with all its lifters: from bytes to bytes.

Run with `./dev bench tagger` or `python -m benchmarks.tagger [FOLDER]`; the folder holds logs of
Cowrie (`*.json.gz`), without one the logs are made. `first` is the first time that a tagger sees
them, `again` when it has seen them before.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from benchmarks.cowrie_logs import brute_force, command_heavy, write
from benchmarks.matching import RULES
from decnet_ttp.attack import load_catalogue
from decnet_ttp.cli.corpus import Row, write_events
from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.ingest.batch import TaggerRequests, Upstream, sink_of
from decnet_ttp.rule_store.loader import load_pack
from decnet_ttp.rule_store.vocabulary import Vocabulary
from decnet_ttp.sources.cowrie import CowrieSource
from decnet_ttp.tagger.evaluation import Evaluation
from decnet_ttp.tagger.lifter import load_lifters
from decnet_ttp.tagger.rule_set import RuleSet
from decnet_ttp.v1 import tagger_service_pb2

RUNS: Final = 3
SESSIONS: Final = 5_000
COMMAND_SESSIONS: Final = 500
COMMANDS: Final = 20


@dataclass(frozen=True, slots=True)
class Input:
    """What a tagger is sent.

    Attributes:
        sessions: How many sessions it is.
        kinds: Its events by kind.
        requests: The encoded requests.
    """

    sessions: int
    kinds: Counter[str]
    requests: Sequence[bytes]


def read(paths: Sequence[Path]) -> Input:
    """Read logs as the import and ingest do."""
    requests = TaggerRequests(frozenset(SourceKind))
    sink = sink_of([requests])
    sessions = 0
    for number, message in enumerate(CowrieSource().read([str(path) for path in paths])):
        payload = orjson.loads(message.payload)
        requests.begin(Upstream(message.id, message.topic, payload, len(message.payload)))
        write_events(Row(number, message.type, payload, topic=message.topic), message.id, sink)
        sessions += 1
    kinds = Counter(
        event.source_kind
        for request in requests.requests
        for group in request.groups
        for event in group.events
    )
    return Input(sessions, kinds, [request.SerializeToString() for request in requests.requests])


def main() -> None:
    """Print the figures."""
    catalogue = load_catalogue()
    pack = load_pack([RULES], Vocabulary(catalogue), with_examples=False)
    lifters = load_lifters(())
    messages = [each.message for each in pack.rules]
    rules = RuleSet.empty().changed(messages, (), lifters, catalogue)

    def busy_s(requests: Sequence[bytes], evaluation: Evaluation) -> float:
        async def tag() -> None:
            for data in requests:
                request = tagger_service_pb2.TagEventsRequest.FromString(data)
                (await evaluation.tag(request, rules)).SerializeToString()

        began = time.process_time()
        asyncio.run(tag())
        return time.process_time() - began

    with tempfile.TemporaryDirectory() as name:
        made = Path(name) / "cowrie.json"
        inputs = {}
        if len(sys.argv) > 1:
            inputs[sys.argv[1]] = read(sorted(Path(sys.argv[1]).glob("*.json.gz")))
        else:
            inputs["brute force"] = read([write(made, brute_force(SESSIONS))])
            heavy = command_heavy(COMMAND_SESSIONS, COMMANDS)
            inputs["command-heavy"] = read([write(made, heavy)])
    for title, given in inputs.items():
        first, again = [], []
        for _ in range(RUNS):
            evaluation = Evaluation(lifters, attack_release=catalogue.attack_release)
            first.append(busy_s(given.requests, evaluation))
            again.append(busy_s(given.requests, evaluation))
        events = ", ".join(f"{count:,} {kind}" for kind, count in sorted(given.kinds.items()))
        print(f"{title}: {events}")
        for when, took in (("first", min(first)), ("again", min(again))):
            print(
                f"  {when}: {took / given.sessions * 1e6:.0f} us a session, "
                f"{took / given.kinds.total() * 1e6:.1f} us an event"
            )


if __name__ == "__main__":
    main()
