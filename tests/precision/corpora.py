# SPDX-License-Identifier: AGPL-3.0-or-later
"""Corpora through the shipped rules, by the matcher that tags."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from decnet_ttp.attack import load_catalogue
from decnet_ttp.matching import RulePack
from decnet_ttp.rule_store.loader import load_pack
from decnet_ttp.rule_store.vocabulary import Vocabulary
from decnet_ttp.v1 import event_pb2

ROOT = Path(__file__).parents[2]
#: The rules this file's tests speak of, so that rules added later do not move their figures.
RULE_IDS = frozenset(f"R{number:04}" for number in range(7, 30))


def shipped_pack() -> RulePack:
    loaded = load_pack([ROOT / "rules" / "ttp"], Vocabulary(load_catalogue()), with_examples=False)
    return RulePack.compile(
        each.message for each in loaded.rules if each.message.rule_id in RULE_IDS
    )


def events(row: dict[str, Any]) -> Iterator[event_pb2.Event]:
    """Yield the events of a row: a session gives one per command."""
    payload = row["payload"]
    match row["source_kind"]:
        case "session":
            for command in payload["commands"]:
                yield command_event(command["command_text"])
        case "command":
            yield command_event(payload["command_text"])
        case "http_request":
            names = ("method", "raw_url", "user_agent", "body")
            request = event_pb2.HttpRequestPayload(**{n: payload.get(n) or "" for n in names})
            for name, value in (payload.get("headers") or {}).items():
                request.headers[name] = str(value)
            yield event_pb2.Event(source_kind="http_request", source_id="r", http_request=request)


def command_event(text: str) -> event_pb2.Event:
    return event_pb2.Event(
        source_kind="command",
        source_id="c",
        command=event_pb2.CommandPayload(command_text=text),
    )


@dataclass(frozen=True)
class Outcome:
    """What a row gave.

    Attributes:
        row: The row.
        rules: Rules that fired.
        techniques: What they emit, deepest ids.
    """

    row: dict[str, Any]
    rules: frozenset[str]
    techniques: frozenset[str]


def run(pack: RulePack, path: Path) -> list[Outcome]:
    """Run a gzipped corpus of JSON lines."""
    outcomes = []
    with gzip.open(path) as lines:
        for line in lines:
            row = orjson.loads(line)
            fired = [m.rule for event in events(row) for m in pack.evaluate(event)]
            techniques = {e.sub_technique_id or e.technique_id for r in fired for e in r.emissions}
            outcomes.append(
                Outcome(row, frozenset(r.rule_id for r in fired), frozenset(techniques))
            )
    return outcomes
