# SPDX-License-Identifier: AGPL-3.0-or-later
"""Dead letters are listed, shown, sent through again and dropped."""

from __future__ import annotations

import pytest

from decnet_ttp.core.errors import InvalidArgumentError, NotFoundError
from decnet_ttp.runtime.streams import EVENTS_STREAM
from decnet_ttp.v1 import ingest_service_pb2 as pb
from ingest.backends import until
from ingest.rig import SUBJECT, Rig, Running


async def plant(rig: Rig, running: Running, count: int = 3) -> None:
    """Leave some undecodable messages and one without anchor."""
    for number in range(count):
        await rig.bus.js.publish(SUBJECT, b"{half %d" % number)
    await rig.send("email.received", "m1", {"subject": "hello"})
    await until(lambda: running.consumer.counters.dead_letters == count + 1)


def listing(**fields: object) -> pb.ListDeadLettersRequest:
    return pb.ListDeadLettersRequest(**fields)  # type: ignore[arg-type]  # whatever a test sets


async def test_letters_come_newest_first_in_pages_with_filters(rig: Rig) -> None:
    async with rig.ingest() as running:
        await plant(rig, running)
        first = await running.letters.page(listing(page_size=3))
        assert [letter.sequence for letter in first.dead_letters] == [4, 3, 2]
        rest = await running.letters.page(listing(page_size=3, page_token=first.next_page_token))
        assert [letter.sequence for letter in rest.dead_letters] == [1]
        assert rest.next_page_token == ""
        found = await running.letters.page(listing(reason="NO_ANCHOR"))
        assert [letter.origin_subject for letter in found.dead_letters] == ["email.received"]
        found = await running.letters.page(listing(origin_subject=SUBJECT))
        assert len(found.dead_letters) == 3
        with pytest.raises(InvalidArgumentError):
            await running.letters.page(listing(reason="BORED"))
        with pytest.raises(InvalidArgumentError):
            await running.letters.page(listing(page_token=first.next_page_token[:-4]))


async def test_letter_is_shown_with_its_bytes(rig: Rig) -> None:
    async with rig.ingest() as running:
        await plant(rig, running, 1)
        letter = await running.letters.get(1)
        assert letter.content == b"{half 0"
        assert (letter.reason, letter.origin_sequence, letter.size_bytes) == ("UNDECODABLE", 1, 7)
        with pytest.raises(NotFoundError):
            await running.letters.get(99)


async def test_replay_tags_what_was_refused_before_and_only_once(rig: Rig) -> None:
    rig.store.refused_origin = "s1"
    async with rig.ingest() as running:
        await rig.publish("s1", "id")
        await until(lambda: running.consumer.counters.dead_letters == 1)
        rig.store.refused_origin = ""
        assert await running.letters.replay(pb.ReplayDeadLettersRequest()) == 1
        await until(lambda: "s1#cmd0" in rig.store.tags)
        assert await running.letters.replay(pb.ReplayDeadLettersRequest()) == 0
        assert rig.store.announced == ["s1"]


async def test_replay_takes_those_of_one_subject_alone(rig: Rig) -> None:
    async with rig.ingest() as running:
        await plant(rig, running)
        some = pb.ReplayDeadLettersRequest(origin_subject="email.received")
        assert await running.letters.replay(some) == 1
        await until(lambda: running.consumer.counters.dead_letters == 5)
        page = await running.letters.page(listing(origin_subject="email.received"))
    assert [letter.sequence for letter in page.dead_letters] == [5]


async def test_letter_that_fails_again_is_kept_with_all_its_tries(rig: Rig) -> None:
    async with rig.ingest() as running:
        await plant(rig, running, 1)
        assert await running.letters.replay(pb.ReplayDeadLettersRequest(sequences=[1])) == 1
        await until(lambda: running.consumer.counters.dead_letters == 3)
        page = await running.letters.page(listing(reason="UNDECODABLE"))
    (letter,) = page.dead_letters
    assert (letter.sequence, letter.origin_sequence, letter.attempt_count) == (3, 1, 2)
    assert letter.origin_subject == SUBJECT


async def test_letter_of_another_service_goes_back_to_the_subject_it_reads(rig: Rig) -> None:
    """Ingest would call an observation nothing of its own, and the letter would be gone."""
    subject = "attacker.observation.typing_speed"
    async with rig.ingest() as running:
        await rig.bus.js.publish(
            "dlq.ttp.no_anchor",
            b"{an observation}",
            headers={"Decnet-Reason": "NO_ANCHOR", "Decnet-Origin-Subject": subject},
        )
        assert await running.letters.replay(pb.ReplayDeadLettersRequest(sequences=[1])) == 1
        back = await rig.bus.js.get_last_msg(EVENTS_STREAM, subject)
        assert back.data == b"{an observation}"
        page = await running.letters.page(listing())
    assert not page.dead_letters


async def test_drop_removes_what_is_named_or_nothing(rig: Rig) -> None:
    async with rig.ingest() as running:
        await plant(rig, running)
        with pytest.raises(NotFoundError):
            await running.letters.drop([1, 99])
        assert await running.letters.drop([1, 2]) == 2
        page = await running.letters.page(listing())
        assert [letter.sequence for letter in page.dead_letters] == [4, 3]
        with pytest.raises(InvalidArgumentError):
            await running.letters.drop([])
