# SPDX-License-Identifier: AGPL-3.0-or-later
"""Several writers at the same tags: each stored once, announced once, nobody refused."""

from __future__ import annotations

import asyncio
import random
from uuid import UUID

from decnet_ttp.tag_store import writer as writer_module
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.writer import TagWriter, Written
from tag_store.samples import draft, group

MESSAGES = [
    group(
        f"m{number}",
        [draft(f"m{number}/c{place}", "T1105" if place % 2 else "T1059.004") for place in range(4)],
        attacker=str(UUID(int=1 + number % 7)),
    )
    for number in range(400)
]


async def test_batches_with_repeats_from_several_writers_add_up(
    database: Database, database_url: str
) -> None:
    chance = random.Random(7)  # noqa: S311 - a fixed seed, nothing secret
    other = Database(database_url)
    await other.open()
    writers = [TagWriter(each, lambda: None) for each in (database, other, database, other)]

    async def work(writer: TagWriter) -> list[Written]:
        results = []
        order = MESSAGES * 2
        chance.shuffle(order)
        for start in range(0, len(order), 40):
            results.append(await writer.write(order[start : start + 40], silent=False))  # noqa: PERF401 - one after the other
        return results

    results = [each for done in await asyncio.gather(*map(work, writers)) for each in done]
    await other.close()
    tags = len(MESSAGES) * 4
    assert sum(each.inserted for each in results) == tags
    assert sum(each.inserted + each.known for each in results) == tags * 2 * 4
    assert sum(each.announced for each in results) == len(MESSAGES)
    for sql in (
        "SELECT count(*) FROM tags",
        "SELECT sum(count) FROM rollup_attacker",
        "SELECT sum(count) FROM rollup_fleet",
        "SELECT sum(count) FROM rollup_fleet_day",
    ):
        assert (await database.fetch(sql))[0][0] == tags
    assert (await database.fetch("SELECT count(*) FROM outbox"))[0][0] == len(MESSAGES)


async def test_tags_that_appear_between_look_up_and_copy_are_known(
    database: Database, monkeypatch: object
) -> None:
    """The copy fails on them, and the way round conflicts stores the rest."""
    writer = TagWriter(database, lambda: None)
    await writer.write([MESSAGES[0]], silent=False)
    blind = writer_module._KNOWN.replace("= ANY", "IS NULL AND uuid = ANY")
    monkeypatch.setattr(writer_module, "_KNOWN", blind)  # type: ignore[attr-defined]
    written = await writer.write(MESSAGES[:2], silent=False)
    assert (written.inserted, written.known, written.announced) == (4, 4, 1)
