# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is known of an attacker is looked at again when a session of theirs ends."""

from __future__ import annotations

import asyncio

import pytest

from decnet_ttp.ingest import intel_records
from decnet_ttp.runtime.bus import Envelope
from decnet_ttp.runtime.streams import INTEL_PREFIX, INTEL_STREAM
from ingest.backends import until
from ingest.rig import Rig

IP = "198.51.100.1"
VERDICT = {"attacker_ip": IP, "aggregate_verdict": "malicious", "feodo_listed": True}


async def test_enrichment_and_later_sessions_make_the_same_event(rig: Rig) -> None:
    rig.tagger.kinds = ["command", "intel"]
    async with rig.ingest() as running:
        await rig.send("attacker.intel.enriched", "e1", VERDICT)
        await until(lambda: running.consumer.counters.handled == 1)
        (intel,) = rig.store.tags
        assert intel.startswith("intel:")
        await rig.publish("s1", "id", ip=IP)
        await rig.publish("s2", "id", ip="198.51.100.2")
        await until(lambda: running.consumer.counters.handled == 3)
        assert sum(rig.tagger.calls) == 4
    assert sorted(rig.store.tags) == sorted([intel, "s1#cmd0", "s2#cmd0"])


async def test_a_verdict_without_a_time_has_that_of_its_message_ever_after(rig: Rig) -> None:
    """Delivered again, or looked at again after a restart, it is no later than it was."""
    rig.tagger.kinds = ["intel"]
    sent_s = 1_700_000_000
    envelope = Envelope("attacker.intel.enriched", "enriched", VERDICT, "e1", sent_s)
    async with rig.ingest():
        await rig.bus.js.publish(envelope.topic, envelope.encode())
        await until(rig.settled)
    async with rig.ingest():
        await rig.bus.js.publish(envelope.topic, envelope.encode())
        await until(rig.settled)
        await rig.publish("s1", "id", ip=IP)
        await until(lambda: len(rig.tagger.times) == 3)
    (intel,) = rig.store.tags
    assert rig.tagger.times == [(intel, sent_s)] * 3


async def test_a_slow_bus_leaves_no_record_unread(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        await rig.bus.js.publish(f"{INTEL_PREFIX}{number}", b"{}")
    monkeypatch.setattr(intel_records, "_FETCH_WAIT_S", 0.001)
    intel = intel_records.IntelRecords(rig.bus)
    await intel.load(asyncio.Event())
    assert len(intel._records) == 50


async def test_records_survive_a_restart_and_one_is_kept_for_each_attacker(rig: Rig) -> None:
    rig.tagger.kinds = ["command", "intel"]
    async with rig.ingest():
        await rig.send("attacker.intel.enriched", "e1", VERDICT)
        await rig.send("attacker.intel.enriched", "e2", {**VERDICT, "feodo_listed": False})
        await until(rig.settled)
    assert (await rig.bus.js.stream_info(INTEL_STREAM)).state.messages == 1
    before = set(rig.store.tags)
    async with rig.ingest() as running:
        await rig.publish("s1", "id", ip=IP)
        await until(lambda: running.consumer.counters.handled == 1)
    assert set(rig.store.tags) - before == {"s1#cmd0"}
    assert len(before) == 2
