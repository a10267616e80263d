# SPDX-License-Identifier: AGPL-3.0-or-later
"""A rule-store and some taggers as real processes, for benchmarks and system tests."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from decnet_ttp.v1 import (
    event_pb2,
    tagger_service_pb2,
    tagger_service_pb2_grpc,
)

_OPTIONS = [
    ("grpc.default_authority", "localhost"),
    ("grpc.max_reconnect_backoff_ms", 200),
]
_READY_S = 240.0
_CALL_S = 60.0

_RULE = """\
rule_id: {rule_id}
rule_version: {version}
name: fetches_with_a_probe
description: Looks for a word; written by a benchmark.
applies_to: [command]
match:
  field: command_text
  pattern: '\\b{word}\\b'
emits:
  - {{tactic: TA0011, technique_id: T1105, confidence: 0.8}}
tests:
  match:
    - payload: {{command_text: "x {word}"}}
      techniques: [T1105]
  no_match:
    - payload: {{command_text: "nothing"}}
"""


def rule_text(rule_id: str, version: int, word: str = "probe") -> str:
    """Return the file of a rule that looks for a word."""
    return _RULE.format(rule_id=rule_id, version=version, word=word)


class RulePlane:
    """Processes over one folder of rules; all end with the block.

    Args:
        rules: Directory with a folder `ttp`, copied; None for none to begin with.
        taggers: How many.
        database_url: Where states are kept; empty for nowhere.

    Attributes:
        folder: The folder of rule files that the store watches.
        stubs: A client per tagger.
    """

    def __init__(
        self, rules: Path | None = None, *, taggers: int = 1, database_url: str = ""
    ) -> None:
        self._source = rules
        self._count = taggers
        self._database_url = database_url
        self._stack = AsyncExitStack()
        self._store: asyncio.subprocess.Process | None = None
        self.stubs: list[tagger_service_pb2_grpc.TaggerServiceStub] = []

    async def __aenter__(self) -> Self:
        """Start everything and wait until it is ready."""
        self._top = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="plane-")))
        self.folder = self._top / "rules" / "ttp"
        if self._source is not None:
            shutil.copytree(self._source, self._top / "rules")
        self.folder.mkdir(parents=True, exist_ok=True)
        await self.start_store()
        self._stack.push_async_callback(self.kill_store)
        for number in range(self._count):
            listen = f"unix:{self._top}/tagger{number}.sock"
            process = await self._serve("tagger", listen)
            self._stack.push_async_callback(_kill, process)
            channel = await self._stack.enter_async_context(
                grpc.aio.insecure_channel(listen, options=_OPTIONS)
            )
            await _until_serving(channel)
            self.stubs.append(tagger_service_pb2_grpc.TaggerServiceStub(channel))
        return self

    async def __aexit__(self, *exc: object) -> None:
        """End the processes and remove the folder."""
        await self._stack.aclose()

    @property
    def settings(self) -> dict[str, str]:
        """Settings that point a command at these processes."""
        return {
            "DECNET_TTP_RULE_STORE": self._target("store"),
            "DECNET_TTP_TAGGERS": ",".join(
                self._target(f"tagger{number}") for number in range(self._count)
            ),
        }

    async def start_store(self) -> None:
        """Start the rule-store and wait until it is ready."""
        listen = self._target("store")
        self._store = await self._serve("rule-store", listen)
        async with grpc.aio.insecure_channel(listen, options=_OPTIONS) as channel:
            await _until_serving(channel)

    async def kill_store(self) -> None:
        """Kill the rule-store as a crash would."""
        if self._store is not None:
            await _kill(self._store)

    def _target(self, name: str) -> str:
        return f"unix:{self._top}/{name}.sock"

    async def _serve(self, name: str, listen: str) -> asyncio.subprocess.Process:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("DECNET_TTP_")}
        environ |= {
            "DECNET_TTP_LISTEN": listen,
            "DECNET_TTP_RULE_STORE": self._target("store"),
            "DECNET_TTP_RULES_DIR": str(self.folder.parent),
            "DECNET_TTP_DATABASE_URL": self._database_url,
            "DECNET_TTP_LOG_LEVEL": "error",
        }
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "decnet_ttp.cli.main", "serve", name, env=environ
        )

    async def tags(self, tagger: int, text: str) -> dict[str, int]:
        """Have a tagger tag a command; gives the version of each rule that fired."""
        request = tagger_service_pb2.TagEventsRequest()
        request.groups.add(origin_id="o").events.append(
            event_pb2.Event(
                source_kind="command",
                source_id="c",
                command=event_pb2.CommandPayload(command_text=text),
            )
        )
        answer = await self.stubs[tagger].TagEvents(request, timeout=_CALL_S)
        return {tag.rule_id: tag.rule_version for group in answer.groups for tag in group.tags}

    async def describe(self) -> list[tagger_service_pb2.DescribeTaggerResponse]:
        """Ask every tagger what it works with."""
        request = tagger_service_pb2.DescribeTaggerRequest()
        return [await stub.DescribeTagger(request, timeout=_CALL_S) for stub in self.stubs]

    async def until(
        self, text: str, holds: Callable[[dict[str, int]], bool], within_s: float = 120.0
    ) -> list[float]:
        """Wait until what each tagger makes of a command is as asked.

        Returns:
            How long each took, in seconds.

        Raises:
            TimeoutError: It did not happen in time.
        """

        async def one(tagger: int) -> float:
            began = time.monotonic()
            while True:
                if holds(await self.tags(tagger, text)):
                    return time.monotonic() - began
                await asyncio.sleep(0.002)

        async with asyncio.timeout(within_s):
            return list(await _all(one(tagger) for tagger in range(self._count)))


async def _all(work: Iterable[Awaitable[Any]]) -> list[Any]:
    return list(await asyncio.gather(*work))


async def _until_serving(channel: grpc.aio.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    async with asyncio.timeout(_READY_S):
        while True:
            answer = await health.Check(
                health_pb2.HealthCheckRequest(), timeout=_READY_S, wait_for_ready=True
            )
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                return
            await asyncio.sleep(0.02)


async def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()
