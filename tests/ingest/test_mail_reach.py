# SPDX-License-Identifier: AGPL-3.0-or-later
"""A mail goes to the tagger that can read what its decoy stored, now or when there is one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from decnet_ttp.core.errors import UnavailableError
from decnet_ttp.ingest.batch import TaggerRequests
from decnet_ttp.ingest.mail_reach import MailReach, best_of_each
from decnet_ttp.ingest.parking import Schedule
from decnet_ttp.runtime.streams import DLQ_STREAM
from decnet_ttp.v1 import tagger_service_pb2
from ingest.backends import Tagger, serving, until
from ingest.rig import Clock, Rig, Running


class MailTagger(Tagger):
    """Tags mails; those whose decoy it has at hand a second time, as rules on bodies do."""

    def __init__(self, *deckies: str, retryable: bool = True) -> None:
        super().__init__()
        self.kinds = ["email"]
        self.deckies = set(deckies)
        self.retryable = retryable
        self.seen: list[str] = []

    async def DescribeTagger(self, request: Any, context: Any) -> Any:
        if self.error is not None:
            raise self.error
        answer = tagger_service_pb2.DescribeTaggerResponse(artifact_deckies=sorted(self.deckies))
        answer.lifters.add(name="email", source_kinds=self.kinds)
        return answer

    async def TagEvents(self, request: Any, context: Any) -> Any:
        answer = await super().TagEvents(request, context)
        for group, out in zip(request.groups, answer.groups, strict=True):
            self.seen.append(group.origin_id)
            if group.decky_id in self.deckies:
                out.tags.add().CopyFrom(out.tags[0])
                out.tags[1].source_id += " body"
            else:
                answer.unread_messages.add(
                    origin_id=group.origin_id, reason="absent", retryable=self.retryable
                )
        return answer


@dataclass
class Mails:
    """A rig with two taggers for mails."""

    rig: Rig
    near: MailTagger
    far: MailTagger

    async def send(self, ident: str, decky: str) -> None:
        payload = {"source_id": ident, "decky_id": decky, "attacker_ip": "198.51.100.1"}
        await self.rig.send("email.received", ident, payload)

    def tags(self) -> set[str]:
        return set(self.rig.store.tags)


@pytest_asyncio.fixture
async def mails(rig: Rig, tmp_path: Path) -> AsyncIterator[Mails]:
    near, far = MailTagger("mail-near"), MailTagger("mail-far")
    async with AsyncExitStack() as stack:
        targets = [
            await stack.enter_async_context(serving(tmp_path / f"{number}.sock", tagger))
            for number, tagger in enumerate((near, far))
        ]
        rig.settings = replace(rig.settings, taggers=tuple(targets))
        yield Mails(rig, near, far)


async def described(running: Running) -> None:
    """Have every tagger asked now, which happens every few seconds anyway."""
    for tagger in running.dispatcher.taggers:
        await running.dispatcher.describe(tagger)


SOON = Schedule(first_s=0.2, longest_s=0.4, limit_s=600.0)


async def test_a_mail_goes_to_the_one_tagger_that_reaches_its_decoy(mails: Mails) -> None:
    async with mails.rig.ingest(create_missing=False):
        await mails.send("n", "mail-near")
        await mails.send("f", "mail-far")
        await until(mails.rig.settled)
        assert mails.tags() == {"n", "n body", "f", "f body"}
        assert (mails.near.seen, mails.far.seen) == (["n"], ["f"])
        assert await mails.rig.waiting() == 0


async def test_a_mail_out_of_reach_has_its_other_tags_at_once_and_the_rest_later(
    mails: Mails,
) -> None:
    async with mails.rig.ingest(create_missing=False, schedule=SOON) as running:
        await mails.send("x", "mail-new")
        await until(lambda: mails.tags() == {"x"})
        await until(lambda: running.consumer.counters.parked >= 2)
        assert mails.tags() == {"x"}
        mails.far.deckies.add("mail-new")
        await described(running)
        await until(lambda: mails.tags() == {"x", "x body"})
        await until(mails.rig.none_waits)
    assert mails.rig.store.announced == ["x", "x"]


async def test_a_mail_comes_back_as_soon_as_its_decoy_comes_into_reach(mails: Mails) -> None:
    """Long before it is due."""
    async with mails.rig.ingest(create_missing=False) as running:
        await mails.send("x", "mail-new")
        await until(lambda: running.consumer.counters.parked == 1)
        mails.near.deckies.add("mail-new")
        await described(running)
        await until(lambda: mails.tags() == {"x", "x body"})


async def test_a_mail_whose_tagger_is_away_has_its_other_tags_from_another(mails: Mails) -> None:
    async with mails.rig.ingest(create_missing=False, schedule=SOON) as running:
        mails.near.error = UnavailableError("away")
        await described(running)
        await mails.send("n", "mail-near")
        await until(lambda: mails.tags() == {"n"})
        assert mails.far.seen[0] == "n"
        mails.near.error = None
        await described(running)
        await until(lambda: mails.tags() == {"n", "n body"})


async def test_a_mail_that_stays_out_of_reach_ends_quietly_at_the_limit(mails: Mails) -> None:
    clock = Clock()
    async with mails.rig.ingest(create_missing=False, schedule=SOON, clock=clock) as running:
        await mails.send("x", "mail-new")
        await until(lambda: running.consumer.counters.parked >= 3)
        assert running.consumer.counters.unread_for_good == 0
        clock.ahead = timedelta(seconds=SOON.limit_s)
        await until(lambda: running.consumer.counters.unread_for_good == 1)
        await until(mails.rig.none_waits)
        assert running.consumer.counters.dead_letters == 0
    info = await mails.rig.bus.js.stream_info(DLQ_STREAM)
    assert info.state.messages == 0
    assert mails.tags() == {"x"}


@pytest.mark.parametrize("decky", ["mail-new", "no such.decky", ""])
async def test_a_mail_that_can_never_be_read_does_not_wait(mails: Mails, decky: str) -> None:
    for tagger in (mails.near, mails.far):
        tagger.retryable = False
    async with mails.rig.ingest(create_missing=False) as running:
        await mails.send("x", decky)
        await until(mails.rig.settled)
        assert mails.tags() == {"x"}
        assert running.consumer.counters.unread == 0
        assert await mails.rig.waiting() == 0


async def test_a_decoy_with_an_odd_name_can_wait(mails: Mails) -> None:
    async with mails.rig.ingest(create_missing=False, schedule=SOON) as running:
        await mails.send("x", "no such.decky > *")
        await until(lambda: running.consumer.counters.parked >= 1)
        mails.far.deckies.add("no such.decky > *")
        await described(running)
        await until(lambda: mails.tags() == {"x", "x body"})


DECKIES = st.frozensets(st.sampled_from("abc"))
TAKERS = st.lists(
    st.builds(
        TaggerRequests,
        st.just(frozenset({"email"})),
        st.builds(
            MailReach,
            st.frozensets(st.sampled_from(["email", "behavioral"])),
            DECKIES,
            st.booleans(),
        ),
    ),
    max_size=6,
)


@given(takers=TAKERS, decky=st.sampled_from("abcd"))
def test_each_set_of_lifters_sees_a_mail_once_and_best(
    takers: list[TaggerRequests], decky: str
) -> None:
    chosen = best_of_each(takers, decky)
    assert len({item.mail.lifters for item in chosen}) == len(chosen)
    assert {item.mail.lifters for item in chosen} == {item.mail.lifters for item in takers}
    for item in chosen:
        rivals = [other for other in takers if other.mail.lifters == item.mail.lifters]
        assert item.mail.rank(decky) == min(other.mail.rank(decky) for other in rivals)
        if any(not other.mail.away for other in rivals):
            assert not item.mail.away
