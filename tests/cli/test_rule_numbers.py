# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp rules list` with what rules did, from two taggers and a tag-store."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from cli.conftest import FakeTagStore
from cli.rule_command import rules, write_rule
from decnet_ttp.attack import load_catalogue
from decnet_ttp.cli.rule_numbers import review_due
from decnet_ttp.rule_store.vocabulary import Vocabulary
from decnet_ttp.runtime.clients import call
from decnet_ttp.v1 import tag_pb2, tagger_service_pb2
from decnet_ttp.v1.rule_pb2 import Rule
from matching.builders import command
from rule_store.serving import serving, until
from tagger.serving import Stub, serving_tagger


async def tag(stub: Stub, *texts: str) -> None:
    request = tagger_service_pb2.TagEventsRequest()
    request.groups.add(origin_id="o").events.extend(map(command, texts))
    await call(stub.TagEvents, request, timeout_s=60.0)


@pytest_asyncio.fixture
async def settings(tag_store: FakeTagStore) -> AsyncIterator[dict[str, str]]:
    """R1 fired thrice, on both taggers; R2 once on the second, on trial; R3 and R4 never."""
    catalogue = load_catalogue()
    today = datetime.now(UTC).date()
    # Not tmp_path: with a long test name it is too long for a socket.
    async with AsyncExitStack() as stack:
        top = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rules-")))
        folder = top / "ttp"
        folder.mkdir()
        write_rule(folder, "R1", "zeta", extra=f"next_review: {today + timedelta(days=9)}")
        write_rule(folder, "R2", "alpha", extra=f"status: experimental\nnext_review: {today}")
        write_rule(folder, "R3", "mid", extra=f"next_review: {today - timedelta(days=9)}")
        write_rule(folder, "R4", "beta")
        target = f"unix:{top}/rs.sock"
        await stack.enter_async_context(serving(folder, Vocabulary(catalogue)))
        stubs = []
        for name in ("a", "b"):
            (top / name).mkdir()
            stub, follower = await stack.enter_async_context(
                serving_tagger(top / name, target, catalogue)
            )
            await until(lambda follower=follower: follower.loaded)
            stubs.append(stub)
        await tag(stubs[0], "zeta", "zeta again")
        await tag(stubs[1], "zeta", "alpha", "nothing")
        yield {
            "RULE_STORE": target,
            "TAGGERS": f"unix:{top}/a/tagger.sock,unix:{top}/b/tagger.sock",
            "TAG_STORE": tag_store.target,
        }


async def test_numbers_of_all_taggers_are_added_up(settings: dict[str, str]) -> None:
    answer = (await rules("list", "--numbers", "--json", **settings)).json()
    found = {row["rule_id"]: row["statistics"] for row in answer}
    assert {
        rule_id: (own["evaluations"], own["matches"], own["tags"], own["withheld"])
        for rule_id, own in found.items()
    } == {"R1": (5, 3, 3, 0), "R2": (5, 1, 0, 1), "R3": (5, 0, 0, 0), "R4": (5, 0, 0, 0)}
    fired = datetime.fromisoformat(found["R1"]["last_fired_time"]).timestamp()
    assert time.time() - 120 < fired <= time.time()
    assert found["R3"]["last_fired_time"] is None


@pytest.mark.parametrize(
    ("sort", "order"),
    [("fired", ["R1", "R2", "R3", "R4"]), ("name", ["R2", "R4", "R3", "R1"])],
)
async def test_order_is_as_asked(settings: dict[str, str], sort: str, order: list[str]) -> None:
    done = await rules("list", "--sort", sort, **settings)
    assert [line.split("\t")[0] for line in done.out.splitlines()[1:]] == order


@pytest.mark.parametrize(
    ("day", "due"), [("2026-03-01", True), ("2026-03-02", False), ("2025-12-31", True), ("", False)]
)
def test_a_review_is_due_from_its_day_on(day: str, *, due: bool) -> None:
    assert review_due(Rule(next_review_date=day), "2026-03-01") is due


async def test_rules_whose_review_is_due(settings: dict[str, str]) -> None:
    answer = (await rules("list", "--review-due", "--json", **settings)).json()
    assert [row["rule_id"] for row in answer] == ["R2", "R3"]
    assert "statistics" not in answer[0]


async def test_rules_that_never_fired_are_asked_of_the_tag_store_too(
    settings: dict[str, str], tag_store: FakeTagStore
) -> None:
    """A tag of before the taggers' start counts by its age."""
    for rule_id, days in (("R3", 3), ("R4", 40)):
        stored = tag_pb2.Tag(rule_id=rule_id)
        stored.create_time.FromDatetime(datetime.now(UTC) - timedelta(days=days))
        tag_store.tags.append(stored)

    async def silent(days: int) -> list[str]:
        done = await rules("list", "--never-fired-days", days, "--json", **settings)
        return [row["rule_id"] for row in done.json()]

    assert await silent(30) == ["R4"]
    assert await silent(2) == ["R3", "R4"]
    assert await silent(60) == []


async def test_cost_comes_with_the_numbers_in_a_table(settings: dict[str, str]) -> None:
    done = await rules("list", "--sort", "cost", **settings)
    head, first, *_ = done.out.splitlines()
    assert head.split("\t")[3:8] == ["events", "matches", "tags", "withheld", "failures"]
    assert first.split("\t")[:8] == ["R1", "looks_for_zeta", "enabled", "5", "3", "3", "0", "0"]


async def test_a_tagger_that_is_away_is_named(settings: dict[str, str]) -> None:
    gone = settings | {"TAGGERS": settings["TAGGERS"] + ",unix:/nowhere/tagger.sock"}
    done = await rules("list", "--numbers", **gone)
    assert done.code == 1
    assert "the taggers at unix:/nowhere/tagger.sock cannot be reached" in done.err
