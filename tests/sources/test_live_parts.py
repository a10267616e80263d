# SPDX-License-Identifier: AGPL-3.0-or-later
"""A session that is published as it goes is tagged as one that is published at its end."""

from collections.abc import Sequence
from pathlib import Path

import orjson

from decnet_ttp.cli.corpus import row_of
from decnet_ttp.cli.offline_tagger import OfflineTagger, load_rules
from decnet_ttp.runtime.config import Settings
from decnet_ttp.sources.cowrie import CowrieSource
from decnet_ttp.sources.protocol import Upstream

SAMPLE = Path(__file__).parents[2] / "examples" / "cowrie-sample.json"


def as_it_goes(log: Path, lines: int) -> list[Upstream]:
    """What is published when the log is looked at after every so many lines."""
    source = CowrieSource()
    messages = []
    for number, line in enumerate(log.read_bytes().splitlines(), 1):
        source.take(line, number)
        if number % lines == 0:
            source.settle(0.0, linger_s=1e9, idle_s=1e9, live=True)
        messages += source.drain()
    while source.finish():
        messages += source.drain()
    return messages + source.drain()


async def tags_of(messages: Sequence[Upstream]) -> set[tuple[str, ...]]:
    """What makes the ids of the tags that the shipped rules give."""
    rules, catalogue = load_rules(Settings(), None)
    rows = [
        row_of({"source_kind": "session", "payload": orjson.loads(message.payload)}, "the sample")
        for message in messages
    ]
    tagged = await OfflineTagger(rules, catalogue).tag(rows)
    return {
        (tag.source_kind, tag.source_id, tag.rule_id, tag.technique_id, tag.sub_technique_id)
        for row in tagged
        for tag in row.tags
    }


async def test_parts_of_an_open_session_give_the_tags_of_the_whole() -> None:
    whole = list(CowrieSource().read([str(SAMPLE)]))
    parts = as_it_goes(SAMPLE, lines=3)
    assert len(parts) > len(whole)
    expected = await tags_of(whole)
    assert len(expected) > 100
    assert await tags_of(parts) == expected
