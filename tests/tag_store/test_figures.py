# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the tag-store tells of itself: on its metrics page, and in its heart-beats."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client

from decnet_ttp.runtime.config import Settings
from decnet_ttp.tag_store.app import TagStore
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.figures import Figures, Tally, confidence_band
from decnet_ttp.v1 import tag_store_service_pb2
from runtime.pages import read_page
from runtime.seen import beat_with
from tag_store.samples import StoreClient, draft, group, until

#: Looks like what an attacker might type, and must be nowhere but in the evidence.
MARK = "marked-secret-5f3a"


@pytest_asyncio.fixture
async def store_settings(database_url: str, nats_url: str, tmp_path: Path) -> Settings:
    """Settings with a metrics page and quick heart-beats."""
    return Settings(
        database_url=database_url,
        nats_url=nats_url,
        listen=f"unix:{tmp_path}/store.sock",
        attack_cache_dir=tmp_path / "no-cache",
        grace_s=5.0,
        metrics_listen="127.0.0.1:0",
        heartbeat_s=0.1,
    )


@pytest_asyncio.fixture
async def listener(nats_url: str) -> AsyncIterator[Client]:
    client = await nats.connect(nats_url)
    yield client
    await client.close()


async def test_batch_is_counted_on_page_and_in_beat(
    client: StoreClient,
    store: TagStore,
    listener: Client,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    tags = [
        draft("c1"),
        draft("c2", "T1105", tactic="TA0011", confidence=0.6),
        draft("c3", confidence=0.2),
        draft(MARK, confidence=0.5, rule_id="R0011"),
    ]
    for tag in tags:
        tag.evidence.command.command_text = MARK
    request = tag_store_service_pb2.InsertTagsRequest(groups=[group(MARK, tags)])
    for _ in range(2):
        await client.tags.InsertTags(request)

    async def announced() -> bool:
        page = await read_page(store.server.metrics_address)
        figures = ("decnet_ttp_outbox_messages", "decnet_ttp_ready")
        return [page.get(name) for name in figures] == [{(): 0}, {(): 1}]

    await until(announced)
    page = await read_page(store.server.metrics_address)
    assert page["decnet_ttp_tags_written_total"] == {
        ("T1059.004", "T1059"): 2,
        ("", "T1105"): 1,
    }
    assert page["decnet_ttp_rule_fired_total"] == {
        ("high", "R0010", "T1059"): 1,
        ("medium", "R0010", "T1105"): 1,
        ("low", "R0011", "T1059"): 1,
    }
    assert page["decnet_ttp_tags_known_total"] == {(): 3}
    assert page["decnet_ttp_tags_dropped_total"] == {("below_floor",): 2}
    assert page["decnet_ttp_messages_published_total"] == {
        ("ttp.tagged",): 1,
        ("ttp.rule.fired",): 2,
    }
    assert page["decnet_ttp_tag_write_seconds_count"] == {(): 2}
    assert page["decnet_ttp_outbox_age_seconds"] == {(): 0}
    assert page["decnet_ttp_ready"] == {(): 1}

    payload = await beat_with(listener, "tag-store", "pending", 0)
    assert {
        name: payload[name] for name in ("tags_inserted", "tags_known", "tags_below_floor")
    } == {
        "tags_inserted": 3,
        "tags_known": 3,
        "tags_below_floor": 2,
    }
    assert (payload["announced"], payload["pending"], payload["lag_s"]) == (1, 0, 0)
    assert 0 < payload["last_event_ts"] <= payload["ts"]
    assert MARK not in f"{page}{payload}{caplog.text}"


async def test_outbox_shows_what_waits(database: Database) -> None:
    figures = Figures(Tally(), database)
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO outbox (announcement, body, created_at) SELECT gen_random_uuid(), '',"
            " now() - make_interval(secs => age) FROM unnest(ARRAY[90, 5]) AS age"
        )
    depth, age = await figures.waiting()
    assert (depth.name, depth.values) == ("outbox_messages", {(): 2})
    assert age.name == "outbox_age_seconds"
    assert 90 <= age.values[()] < 120
    progress = await figures.progress()
    assert (progress["pending"], progress["last_event_ts"]) == (2, None)


@pytest.mark.parametrize(
    ("confidence", "band"),
    [(1.0, "high"), (0.85, "high"), (0.84, "medium"), (0.6, "medium"), (0.59, "low"), (0.3, "low")],
)
def test_bands(confidence: float, band: str) -> None:
    assert confidence_band(confidence) == band
