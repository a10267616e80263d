# SPDX-License-Identifier: AGPL-3.0-or-later
"""Keeps whoever takes definitions at the state of a folder."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from watchfiles import awatch

from decnet_ttp.rule_store.directory import SETTLE_S, RuleDirectory
from decnet_ttp.rule_store.rule_book import DefinitionChanges

#: Milliseconds to wait for further events after one, and at most in all.
_STEP_MS: Final = 20
_DEBOUNCE_MS: Final = 60

#: Milliseconds after which the folder is looked at though no event came: events get lost when
#: the kernel's queue overflows, and some file systems have none.
_RESCAN_MS: Final = 2_000

#: Seconds before a folder that could not be watched is tried again.
_RETRY_S: Final = 0.5

#: Takes changes and returns at once.
Take = Callable[[DefinitionChanges], None]

_log = logging.getLogger(__name__)


async def follow_directory(directory: RuleDirectory, take: Take, stop: asyncio.Event) -> None:
    """Hand on every change of the folder until told to stop, first all its rules.

    A folder that is away for a while (a switched symbolic link, a fresh checkout) costs
    nothing: the rules stay as they were until it is back.
    """
    away = False
    while not stop.is_set():
        try:
            inode = directory.folder.stat().st_ino
            # Whatever happened before the watch began is seen by this look.
            await _refresh_until_settled(directory, take)
            if away:
                away = False
                _log.info("rule folder is back", extra={"folder": str(directory.folder)})
            await _follow_one_inode(directory, take, stop, inode)
        except (OSError, RuntimeError) as error:  # the latter is how watchfiles says it
            if not away:
                away = True
                _log.error(
                    "rule folder cannot be watched; the rules stay as they are: %s",
                    error,
                    extra={"folder": str(directory.folder)},
                )
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _RETRY_S)


async def _follow_one_inode(
    directory: RuleDirectory,
    take: Take,
    stop: asyncio.Event,
    inode: int,
) -> None:
    """Follow the folder for as long as its path means the same folder."""
    async for _ in awatch(
        *directory.watched,
        watch_filter=None,
        debounce=_DEBOUNCE_MS,
        step=_STEP_MS,
        stop_event=stop,
        rust_timeout=_RESCAN_MS,
        yield_on_timeout=True,
        recursive=False,
    ):
        await _refresh_until_settled(directory, take)
        if directory.folder.stat().st_ino != inode:
            return


async def _refresh_until_settled(directory: RuleDirectory, take: Take) -> None:
    while True:
        # Parsing and running examples would hold up the streams of all watchers.
        changes = await asyncio.to_thread(directory.refresh)
        if changes is not None:
            take(changes)
        if not directory.unsettled:
            return
        await asyncio.sleep(SETTLE_S / 2)
