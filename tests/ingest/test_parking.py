# SPDX-License-Identifier: AGPL-3.0-or-later
"""Messages whose attacker is unknown wait, come back, and end as dead letters at the limit."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import nats.errors
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decnet_ttp.core.errors import UnavailableError
from decnet_ttp.ingest.breaker import Breaker
from decnet_ttp.ingest.delivery import WAITS, Delivery
from decnet_ttp.ingest.parking import Parking, Schedule, address_token, people_address
from decnet_ttp.runtime.streams import DLQ_STREAM
from decnet_ttp.v1 import ingest_service_pb2 as pb
from ingest.backends import until
from ingest.rig import LATE, Clock, Rig

IP = "198.51.100.1"
HOUR_S = 3_600.0


@pytest.mark.parametrize("ip", ["198.51.100.1", "2001:db8::1", "::", "fe80::1"])
def test_address_and_token_stand_for_each_other(ip: str) -> None:
    token = address_token(ip)
    assert "." not in token
    assert people_address(token) == ip


@given(
    first=st.floats(1, 100),
    longest=st.floats(100, 20_000),
    limit=st.floats(1_000, 1e6),
    waits=st.integers(0, 10_000),
    age=st.floats(0, 2e6),
)
def test_delays_grow_to_the_longest_and_end_at_the_limit(
    first: float, longest: float, limit: float, waits: int, age: float
) -> None:
    schedule = Schedule(first, longest, limit)
    delay = schedule.delay_s(waits, age)
    if age >= limit:
        assert delay is None
        return
    assert delay is not None
    assert 0 < delay <= longest
    assert age + delay <= max(limit, age + 1.0)
    later = schedule.delay_s(waits + 1, 0.0)
    assert later is not None
    assert later >= (schedule.delay_s(waits, 0.0) or 0.0)


@dataclass
class StandingClock:
    """A clock that stands until it is moved."""

    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@dataclass
class MemoryShelf:
    """Waiting messages by key, in the order in which they are due."""

    waiting: dict[str, tuple[datetime, bytes, dict[str, str]]] = field(default_factory=dict)

    async def put(self, key: str, content: bytes, headers: dict[str, str], due: datetime) -> None:
        self.waiting[key] = (due, content, headers)

    async def keys(self, what: str) -> list[str]:
        return [key for key in self.waiting if key.startswith(f"{what}.")]

    async def release(self, keys: Any) -> int:
        for key in keys:
            _, content, headers = self.waiting[key]
            self.waiting[key] = (datetime.min.replace(tzinfo=UTC), content, headers)
        return len(keys)


class FakeMessage:
    """As much of a message as parking looks at."""

    data = b"x"

    def __init__(self) -> None:
        self.metadata = type("Metadata", (), {"num_delivered": 1})()


async def test_three_days_of_waiting() -> None:
    """An attacker that appears after three hours is found at once; one that never does is given up.

    The clock jumps from one due time, or one look at the directory, to the next.
    """
    clock = StandingClock()
    start = clock.now
    shelf = MemoryShelf()
    known: set[str] = set()

    async def appeared(ips: Any) -> list[str]:
        return [ip for ip in ips if ip in known]

    parking = Parking(
        shelf=shelf,
        schedule=Schedule(first_s=5.0, longest_s=4 * HOUR_S, limit_s=72 * HOUR_S),
        tagger_schedule=Schedule(1.0, 1.0, 1.0),
        appeared=appeared,
        taggers_back=lambda: 0,
        poll_s=2.0,
        clock=clock,
    )
    late, never = "198.51.100.3", "198.51.100.4"
    for number, ip in enumerate((late, never)):
        delivery = Delivery(FakeMessage(), "attacker.session.ended", number, start)  # type: ignore[arg-type]  # see FakeMessage
        assert await parking.park_unknown(delivery, [ip])
    tries = {late: 0, never: 0}
    ended: dict[str, timedelta] = {}
    looks = [start + timedelta(seconds=2 * number) for number in range(int(4 * HOUR_S) // 2)]
    heapq.heapify(looks)
    while shelf.waiting:
        due = min(item[0] for item in shelf.waiting.values())
        clock.now = max(clock.now, min([due, *looks[:1]]))
        while looks and looks[0] <= clock.now:
            heapq.heappop(looks)
        if clock.now - start >= timedelta(hours=3):
            known.add(late)
        await parking.look()
        for key, (moment, _, headers) in list(shelf.waiting.items()):
            if moment > clock.now:
                continue
            del shelf.waiting[key]
            ip = people_address(key.split(".")[1])
            tries[ip] += 1
            again = Delivery(
                FakeMessage(),  # type: ignore[arg-type]  # see FakeMessage
                "attacker.session.ended",
                int(key.rsplit(".", 1)[1]),
                start,
                waits=int(headers[WAITS]),
            )
            if ip in known or not await parking.park_unknown(again, [ip]):
                ended[ip] = clock.now - start
    assert timedelta(hours=3) <= ended[late] <= timedelta(hours=3, seconds=2)
    assert ended[never] == timedelta(hours=72)
    # Twelve doubled delays from 5 s to 10 240 s, then one every four hours, and one at the limit.
    assert tries[never] == 12 + 16 + 1


async def test_unknown_attacker_waits_outside_the_window_and_is_tagged_on_appearing(
    rig: Rig,
) -> None:
    rig.store.unknown = {IP}
    async with rig.ingest(create_missing=False) as running:
        await rig.publish("early", "id", ip=IP)
        await rig.publish("other", "id", ip="198.51.100.2")
        await until(rig.settled)
        assert list(rig.store.tags) == ["other#cmd0"]
        assert await rig.waiting() == 1
        assert running.consumer.counters.parked == 1
        rig.store.unknown = set()
        await until(lambda: "early#cmd0" in rig.store.tags)
        await until(rig.none_waits)
    assert rig.store.announced == ["other", "early"]


async def test_attacker_that_never_appears_is_a_dead_letter_with_that_reason(rig: Rig) -> None:
    rig.store.unknown = {IP}
    schedule = Schedule(first_s=0.2, longest_s=0.4, limit_s=600.0)
    clock = Clock()
    async with rig.ingest(create_missing=False, schedule=schedule, clock=clock) as running:
        await rig.publish("never", "id", ip=IP)
        await until(lambda: running.consumer.counters.parked >= 3)
        assert running.consumer.counters.dead_letters == 0
        clock.ahead = timedelta(seconds=600)
        await until(lambda: running.consumer.counters.dead_letters == 1)
        page = await running.letters.page(pb.ListDeadLettersRequest())
    (letter,) = page.dead_letters
    assert letter.reason == "NEVER_APPEARED"
    assert letter.origin_subject == "attacker.session.ended"
    assert letter.attempt_count >= 4
    assert letter.first_attempt_time.ToNanoseconds() < letter.last_attempt_time.ToNanoseconds()
    await until(rig.none_waits)


async def test_flood_from_an_unknown_address_asks_the_directory_once(rig: Rig) -> None:
    rig.store.unknown = {IP}
    async with rig.ingest(create_missing=False, watching=False) as running:
        for number in range(50):
            await rig.publish(f"s{number}", "id", ip=IP)
            if number == 0:
                await until(lambda: running.consumer.counters.parked == 1)
        await until(lambda: running.consumer.counters.parked == 50)
    assert sum(IP in asked for asked in rig.store.resolves) == 1


async def test_message_a_tagger_has_not_seen_leaves_the_window_and_comes_back(rig: Rig) -> None:
    async with rig.ingest(create_missing=False) as running:
        rig.tagger.error = UnavailableError("away")
        await rig.publish("s1", "id")
        await until(lambda: running.consumer.counters.parked >= 1, within_s=120.0)
        rig.tagger.error = None
        await until(lambda: "s1#cmd0" in rig.store.tags)
    info = await rig.bus.js.stream_info(DLQ_STREAM)
    assert info.state.messages == 0


async def test_waiting_messages_survive_a_restart(rig: Rig) -> None:
    rig.store.unknown = {IP}
    async with rig.ingest(create_missing=False):
        await rig.publish("early", "id", ip=IP)
        await until(rig.settled)
    rig.store.unknown = set()
    async with rig.ingest(create_missing=False):
        await until(lambda: "early#cmd0" in rig.store.tags)


async def test_a_decoy_in_reach_is_remembered_while_the_shelf_is_away() -> None:
    shelf = MemoryShelf()
    told = [{"mail-1"}]

    async def appeared(ips: Any) -> list[str]:
        return []

    class Away(MemoryShelf):
        """A shelf that does not answer."""

        async def keys(self, what: str) -> list[str]:
            raise nats.errors.TimeoutError

    parking = Parking(
        shelf=Away(),
        schedule=LATE,
        tagger_schedule=LATE,
        appeared=appeared,
        taggers_back=lambda: 0,
        came_into_reach=lambda: told.pop() if told else set(),
        poll_s=1.0,
    )
    delivery = Delivery(FakeMessage(), "email.received", 1, datetime.now(UTC))  # type: ignore[arg-type]  # see FakeMessage
    with pytest.raises(nats.errors.TimeoutError):
        await parking.look()
    parking._shelf = shelf
    assert await parking.park_for_artifact(delivery, "mail-1")
    await parking.look()
    ((due, *_),) = shelf.waiting.values()
    assert due < datetime.now(UTC)


def test_breaker_opens_tries_once_and_closes() -> None:
    now = 0.0
    breaker = Breaker(lambda: now)
    for _ in range(3):
        assert breaker.allows()
        breaker.failed()
    assert not breaker.allows()
    now = 1.0
    assert [breaker.allows(), breaker.allows()] == [True, False]
    breaker.failed()
    now = 2.5
    assert not breaker.allows()
    now = 3.0
    assert breaker.allows()
    breaker.succeeded()
    assert [breaker.allows(), breaker.open] == [True, False]
