# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every message ends stored and acknowledged, delivered again, or as a dead letter."""

from __future__ import annotations

import time

from decnet_ttp.core.addresses import attacker_uuid
from decnet_ttp.core.errors import UnavailableError
from decnet_ttp.ingest import dead_letters
from decnet_ttp.ingest.feed import Feed
from decnet_ttp.runtime.streams import DLQ_STREAM, EVENTS_STREAM
from ingest.backends import until
from ingest.rig import SUBJECT, Rig

#: For what a slow machine takes long to do.
PATIENCE_S = 60.0
IP = "198.51.100.1"
IDENTITY = "7d1fd5a0-6a0c-4b63-8a3e-333333333333"


async def dead_letters_of(rig: Rig) -> list[tuple[str, bytes]]:
    """Return reason and bytes of every dead letter."""
    info = await rig.bus.js.stream_info(DLQ_STREAM)
    letters = []
    for sequence in range(1, info.state.messages + 1):
        message = await rig.bus.js.get_msg(DLQ_STREAM, sequence)
        assert message.headers is not None
        letters.append((message.headers[dead_letters.REASON], message.data or b""))
    return letters


async def test_sessions_are_stored_and_acknowledged_in_few_calls(rig: Rig) -> None:
    for number in range(300):
        await rig.publish(f"s{number}", "id", "uname -a", ip=f"198.51.100.{number % 7}")
    rig.store.open.clear()
    async with rig.ingest() as running:
        # As many batches as are worked on at once; what came meanwhile becomes the third.
        await until(lambda: rig.store.waiting > 0)
        await until(lambda: sum(rig.tagger.calls) // 2 + len(running.feed._arrived) == 300)
        rig.store.open.set()
        await until(rig.settled)
    assert len(rig.store.tags) == 600
    assert sorted(rig.store.announced) == sorted(f"s{number}" for number in range(300))
    assert running.consumer.counters.handled == 300
    # A batch of any number of messages is one call a stage.
    assert len(rig.tagger.calls) == rig.store.inserts <= 3
    assert sum(rig.tagger.calls) == 600
    assert {ip for call in rig.store.resolves for ip in call} == {
        f"198.51.100.{number}" for number in range(7)
    }


async def test_message_that_trickles_in_is_tagged_at_once(rig: Rig) -> None:
    """None waits for a batch to fill, which would take each of them as long."""
    took_s = []
    async with rig.consumer():
        for number in range(5):
            began_s = time.monotonic()
            await rig.publish(f"s{number}", "id")
            await until(lambda number=number: f"s{number}#cmd0" in rig.store.tags)
            took_s.append(time.monotonic() - began_s)
    assert sorted(took_s)[2] < 1.0


async def test_stop_finishes_what_is_held_and_hands_back_the_rest(rig: Rig) -> None:
    async with rig.consumer(ack_wait_s=600.0) as consumer:
        for number in range(50):
            await rig.publish(f"s{number}", "id")
        await until(lambda: consumer.counters.handled > 0)
    assert len(rig.store.tags) == consumer.counters.handled
    async with rig.consumer(ack_wait_s=600.0) as successor:
        await until(rig.settled)
        assert consumer.counters.handled + successor.counters.handled == 50
        assert successor.counters.known == 0


async def test_undecodable_and_anchorless_messages_become_dead_letters(rig: Rig) -> None:
    await rig.bus.js.publish(SUBJECT, b"{half")
    await rig.bus.js.publish(
        SUBJECT, b'{"v":1,"id":"x","type":"t","payload":{"attacker_ip":"Unknown"}}'
    )
    await rig.publish("good", "id")
    async with rig.consumer() as consumer:
        await until(rig.settled)
        assert consumer.counters.dead_letters == 2
    assert list(rig.store.tags) == ["good#cmd0"]
    reasons = dict(await dead_letters_of(rig))
    assert reasons["UNDECODABLE"] == b"{half"
    assert b"Unknown" in reasons["NO_ANCHOR"]


async def test_refused_message_is_found_among_its_batch(rig: Rig) -> None:
    """The store refuses as long as the poisoned session is part of a request."""
    rig.store.refused_origin = "s13"
    for number in range(40):
        await rig.publish(f"s{number}", "id")
    async with rig.consumer():
        await until(rig.settled)
    assert len(rig.store.tags) == 39
    ((reason, content),) = await dead_letters_of(rig)
    assert reason == "REFUSED"
    assert b'"s13"' in content


async def test_message_that_breaks_a_tagger_every_time_is_given_up(rig: Rig) -> None:
    rig.tagger.poison = "crash"
    await rig.publish("bad", "crash")
    await rig.publish("good", "id")
    async with rig.consumer():
        await until(rig.settled)
    assert list(rig.store.tags) == ["good#cmd0"]
    assert [reason for reason, _ in await dead_letters_of(rig)] == ["RETRIES_USED_UP"]


async def test_store_that_is_away_delays_and_loses_nothing(rig: Rig) -> None:
    rig.store.error = UnavailableError("away")
    async with rig.consumer(ack_wait_s=2.0) as consumer:
        for number in range(20):
            await rig.publish(f"s{number}", "id")
        await until(lambda: consumer.counters.redelivered >= 20)
        rig.store.error = None
        await until(rig.settled)
        assert consumer.counters.dead_letters == 0
    assert len(rig.store.tags) == 20


async def test_tagger_that_is_away_delays_its_messages_only_until_it_returns(rig: Rig) -> None:
    async with rig.consumer() as consumer:
        rig.tagger.error = UnavailableError("no rules yet")
        await rig.publish("s1", "id")
        await until(lambda: consumer.counters.redelivered >= 1)
        assert rig.store.tags == {}
        rig.tagger.error = None
        await until(rig.settled)
    assert list(rig.store.tags) == ["s1#cmd0"]


async def test_replay_adds_and_announces_nothing(rig: Rig) -> None:
    async with rig.consumer() as consumer:
        await rig.publish("s1", "id")
        await until(lambda: consumer.counters.handled == 1)
        envelope = b'{"v":1,"id":"s1","type":"session.ended","payload":{"session_id":"s1",'
        envelope += b'"attacker_ip":"198.51.100.1","commands":["id"]}}'
        await rig.bus.js.publish(SUBJECT, envelope)
        await until(lambda: consumer.counters.handled == 2)
        assert (consumer.counters.inserted, consumer.counters.known) == (1, 1)
    assert rig.store.announced == ["s1"]


async def test_two_replicas_share_the_work_without_doubling_it(rig: Rig) -> None:
    async with rig.consumer() as first, rig.consumer() as second:
        for number in range(400):
            await rig.publish(f"s{number}", "id")
        await until(rig.settled)
        assert first.counters.handled + second.counters.handled == 400
        assert first.counters.known + second.counters.known == 0
    assert len(rig.store.tags) == 400


async def test_slow_stage_keeps_its_messages_alive(rig: Rig) -> None:
    """Work that takes longer than the acknowledgement deadline is not delivered twice."""
    rig.tagger.delay_s = 5.0
    # One of the signs of life within it is enough.
    async with rig.consumer(ack_wait_s=4.0) as consumer:
        await rig.publish("s1", "id")
        await until(rig.settled)
        assert consumer.counters.handled == 1
    assert len(rig.tagger.calls) == 1


async def test_letter_without_room_for_its_headers_is_cut(rig: Rig) -> None:
    size = rig.bus.nc.max_payload - 100
    await rig.bus.js.publish(SUBJECT, b"x" * size)
    async with rig.consumer() as consumer:
        await until(rig.settled)
        assert consumer.counters.dead_letters == 1
    letter = await rig.bus.js.get_msg(DLQ_STREAM, 1)
    assert letter.headers is not None
    assert letter.headers[dead_letters.CUT_FROM] == str(size)


async def test_consumer_of_an_older_release_reads_more_subjects_from_then_on(rig: Rig) -> None:
    """The filter of a durable consumer is changed in place; nothing is delivered again."""
    old = Feed(rig.bus, stream=EVENTS_STREAM, durable="test", subjects=[SUBJECT], ack_wait_s=30.0)
    await old.open()
    await rig.publish("s1", "id")
    (message,) = await old.next_batch(1, PATIENCE_S)
    await message.ack_sync(PATIENCE_S)
    await old.close()
    rig.tagger.kinds = ["command", "email"]
    async with rig.consumer() as consumer:
        await rig.send("email.received", "m1", {"attacker_ip": "198.51.100.1"})
        await until(lambda: "m1" in rig.store.tags)
        await until(rig.settled)
        assert consumer.counters.handled == 1


async def test_changed_identity_is_asked_for_again(rig: Rig) -> None:
    async with rig.consumer() as consumer:
        for number in range(3):
            await rig.publish(f"s{number}", "id")
            await until(lambda number=number: consumer.counters.handled == number + 1)
        assert len(rig.store.resolves) == 1
        formed = {"identity_uuid": IDENTITY, "observation_uuids": [str(attacker_uuid(IP))]}
        await rig.send("identity.formed", "i1", formed)
        await until(lambda: consumer.counters.handled == 4)
        await rig.publish("s3", "id")
        await until(lambda: consumer.counters.handled == 5)
    assert len(rig.store.resolves) == 2


async def test_a_subscription_that_was_deleted_is_made_again_and_misses_nothing(rig: Rig) -> None:
    async with rig.consumer():
        await rig.publish("s1", "id")
        await until(lambda: "s1#cmd0" in rig.store.tags)
        await rig.bus.js.delete_consumer(EVENTS_STREAM, "test")
        await rig.publish("s2", "id")
        await until(lambda: "s2#cmd0" in rig.store.tags)
        await rig.publish("s3", "id")
        await until(lambda: "s3#cmd0" in rig.store.tags)
    # What was handled before may come again, and adds nothing.
    assert rig.store.announced == ["s1", "s2", "s3"]


async def test_large_messages_make_small_batches(rig: Rig) -> None:
    feed = Feed(rig.bus, stream=EVENTS_STREAM, durable="test", subjects=[SUBJECT], ack_wait_s=30.0)
    await feed.open()
    for _ in range(5):
        await rig.bus.js.publish(SUBJECT, b"x" * 3_000_000)
    sizes = []
    while sum(sizes) < 5:
        batch = await feed.next_batch(500)
        sizes.append(len(batch))
        for message in batch:
            await message.ack_sync(PATIENCE_S)
    assert max(sizes) <= 2
    await feed.close()
