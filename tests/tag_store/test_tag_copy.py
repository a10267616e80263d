# SPDX-License-Identifier: AGPL-3.0-or-later
"""Rows of tags as our own bytes of PostgreSQL's binary COPY."""

from __future__ import annotations

import random
from uuid import UUID

import asyncpg
import pytest

from decnet_ttp.tag_store.batch import MessageTags, TagRow
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.tag_copy import copy_tags

_READ = f"SELECT {', '.join(TagRow._fields)} FROM copied ORDER BY seq"  # noqa: S608 - column names of ours
_TEXTS = ("command", "häßlich ☃ 𝄞", "x" * 512, "\\N", "\t\n", "'\";")


def row(chance: random.Random, number: int, message: MessageTags) -> TagRow:
    """Return a tag with odd values in it."""
    return TagRow(
        UUID(int=chance.getrandbits(128)),
        number,
        message.attacker_uuid,
        message.identity_uuid,
        chance.choice([None, 0, -(2**40), 2**60]),
        chance.choice([1, 2**50]),
        chance.choice([0.3, 0.85, 1.0]),
        chance.choice([1, 2**31 - 1]),
        message.session_id,
        message.decky_id,
        chance.choice(_TEXTS),
        chance.choice(_TEXTS),
        "TA0002",
        "T1059",
        chance.choice([None, "T1059.004"]),
        chance.choice(_TEXTS),
        chance.choice(_TEXTS),
        chance.choice([b"", b"\0\xff", b"\n" * 70_000]),
        chance.choice([True, False]),
    )


def messages(seed: int, count: int) -> list[MessageTags]:
    """Return messages of some tags each, with and without all that may be absent."""
    chance = random.Random(seed)  # noqa: S311 - seeded test input
    found = []
    for number in range(count):
        message = MessageTags(
            f"m{number}",
            chance.choice([None, UUID(int=7)]),
            UUID(int=9),
            chance.choice([None, "s1"]),
            chance.choice([None, "d1"]),
        )
        message.rows = [row(chance, number * 100 + place, message) for place in range(7)]
        # One batch is stored at one moment; rows of a message share it.
        now = message.rows[0].created_at
        message.rows = [each._replace(created_at=now) for each in message.rows]
        found.append(message)
    return found


async def test_rows_arrive_as_they_were_sent_but_for_known_ones(database: Database) -> None:
    sent = messages(5, 150)
    rows = [each for message in sent for each in message.rows]
    known = {each.uuid for each in rows[::3]}
    async with database.connection() as connection, connection.transaction():
        await connection.execute("CREATE TEMPORARY TABLE copied (LIKE tags) ON COMMIT DROP")
        await copy_tags(connection, "copied", sent, known=known)
        arrived = [TagRow(*each) for each in await connection.fetch(_READ)]
    assert arrived == [each for each in rows if each.uuid not in known]


async def test_rows_are_written_in_the_order_of_their_uuids(database: Database) -> None:
    sent = messages(6, 200)
    async with database.connection() as connection, connection.transaction():
        await connection.execute("CREATE TEMPORARY TABLE copied (LIKE tags) ON COMMIT DROP")
        await copy_tags(connection, "copied", sent)
        written = [each for (each,) in await connection.fetch("SELECT uuid FROM copied")]
    assert len(written) == 1_400
    assert written == sorted(written)


async def test_nothing_of_a_copy_that_is_refused_stays(database: Database) -> None:
    sent = messages(7, 3)
    sent[2].rows[3] = sent[0].rows[0]
    async with database.connection() as connection:
        with pytest.raises(asyncpg.UniqueViolationError):
            await copy_tags(connection, "tags", sent)
        assert await connection.fetchval("SELECT count(*) FROM tags") == 0
