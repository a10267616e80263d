# SPDX-License-Identifier: AGPL-3.0-or-later
"""Ingest knows what taggers take as soon as they do."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from decnet_ttp.attack import load_catalogue
from decnet_ttp.ingest import dispatch
from decnet_ttp.ingest.dispatch import Dispatcher
from decnet_ttp.runtime.config import Settings
from ingest.backends import Tagger, serving
from matching.builders import field, rule
from tagger.rule_stores import serving_store, until
from tagger.serving import serving_tagger

#: A tagger is asked again anyhow after the longest time that it lets a question wait.
AGAIN_S = 30.0
SOON_S = 25.0


@pytest.fixture(autouse=True)
def _seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask so seldom that what is learned soon was told."""
    monkeypatch.setattr(dispatch, "_DESCRIBE_KNOWN_S", AGAIN_S)


async def test_a_kind_new_to_a_tagger_is_known_without_being_asked_for(tmp_path: Path) -> None:
    settings = Settings(taggers=(f"unix:{tmp_path}/tagger.sock",))
    async with (
        serving_store(tmp_path) as (script, target),
        serving_tagger(tmp_path, target, load_catalogue()) as (_, follower),
        Dispatcher(settings) as dispatcher,
    ):
        script.snapshot(rule("R1", field("command_text", pattern="w")))
        stop = asyncio.Event()
        following = asyncio.create_task(dispatcher.follow(stop))
        (known,) = dispatcher.taggers
        await until(lambda: dispatcher.ready, SOON_S)
        assert "email" not in (known.kinds or ())
        for revision, kinds in enumerate((["email"], ["command"], ["command", "email"]), 2):
            script.change(rule("R1", field("subject", pattern="w"), *kinds), revision=revision)
            wanted = "email" in kinds
            await until(lambda w=wanted: ("email" in (known.kinds or ())) is w, SOON_S)  # type: ignore[misc] # bound now
            assert follower.revision == revision
        stop.set()
        async with asyncio.timeout(SOON_S):
            await following


async def test_a_tagger_that_cannot_tell_is_not_asked_without_end(tmp_path: Path) -> None:
    """One of an older version answers at once, whatever it is asked."""
    tagger = Tagger()
    asked = 0
    answer = tagger.DescribeTagger

    async def count(request: object, context: object) -> object:
        nonlocal asked
        asked += 1
        return await answer(request, context)

    tagger.DescribeTagger = count  # type: ignore[method-assign] # counted on its way
    async with (
        serving(tmp_path / "t.sock", tagger) as target,
        Dispatcher(Settings(taggers=(target,))) as dispatcher,
    ):
        stop = asyncio.Event()
        following = asyncio.create_task(dispatcher.follow(stop))
        await until(lambda: dispatcher.ready, SOON_S)
        # Long enough for many questions, were they asked one after another.
        await asyncio.wait((following,), timeout=0.5)
        stop.set()
        await following
    assert asked == 1
