# SPDX-License-Identifier: AGPL-3.0-or-later
"""An embedded installation as a user starts it, for benchmarks and system tests."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncpg

from decnet_ttp.core.errors import UnavailableError
from decnet_ttp.embedded.layout import load_instance
from decnet_ttp.ingest.lag import read_lag
from decnet_ttp.runtime.bus import Bus, connect_bus
from decnet_ttp.runtime.config import Settings
from decnet_ttp.runtime.streams import TTP_STREAM
from decnet_ttp.tag_store.database import SCHEMA

DURABLE = "decnet-ttp-ingest"


class Installation:
    """Drives one data directory through the command line.

    Args:
        data_dir: The data directory.
        environ: Settings beyond the defaults.
    """

    def __init__(self, data_dir: Path, environ: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self._environ = {
            **{key: value for key, value in os.environ.items() if not key.startswith("DECNET_")},
            "DECNET_TTP_DATA_DIR": str(data_dir),
            **(environ or {}),
        }

    def run(self, *arguments: str | Path, check: bool = True) -> str:
        """Run a command; returns what it printed.

        Raises:
            RuntimeError: It failed, with what it said.
        """
        done = subprocess.run(
            [sys.executable, "-m", "decnet_ttp.cli.main", *map(str, arguments)],
            env=self._environ,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done.stdout

    def start(self, *arguments: str | Path) -> subprocess.Popen[bytes]:
        """Start a command in the background."""
        return subprocess.Popen(
            [sys.executable, "-m", "decnet_ttp.cli.main", *map(str, arguments)],
            env=self._environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def json(self, *arguments: str | Path) -> Any:
        """Run a reading command; returns its answer."""
        return json.loads(self.run(*arguments, "--json", check=arguments[0] != "status"))

    def pids(self) -> dict[str, int]:
        """Return the process ids of the supervisor and of the children that have one."""
        instance = load_instance(self.data_dir)
        children = {child.name: child.pid for child in instance.children if child.pid}
        return {"supervisor": instance.pid, **children}

    def up(self) -> float:
        """Start everything; returns how long it took until ready, in seconds."""
        began = time.monotonic()
        self.run("up", "--detach")
        return time.monotonic() - began

    def down(self) -> None:
        """Stop everything."""
        self.run("down")

    async def bus(self) -> Bus:
        """Connect to the installation's bus."""
        url = load_instance(self.data_dir).nats_url
        return await connect_bus(Settings(nats_url=url), name="observer")

    async def settle(self, within_s: float = 120.0) -> None:
        """Wait until all that was published is tagged, stored and announced.

        Raises:
            TimeoutError: It did not come to rest in time.
        """
        bus = await self.bus()
        try:
            async with asyncio.timeout(within_s):
                while True:
                    if await self._handled(bus) and await self._announced_all():
                        return
                    await asyncio.sleep(0.05)
        finally:
            await bus.close()

    async def _handled(self, bus: Bus) -> bool:
        """Whether ingest has acknowledged everything; False also while the bus is away."""
        try:
            lag = await read_lag(bus, DURABLE)
        except UnavailableError:
            return False
        return lag.pending == 0 and lag.unacknowledged == 0

    async def _announced_all(self) -> bool:
        """Whether the outbox is empty; False also while the database is away.

        A tag is committed with its row in the outbox before ingest acknowledges its message, and
        the row goes only when the bus has the announcement.
        """
        try:
            connection = await asyncpg.connect(
                load_instance(self.data_dir).database_url, server_settings={"search_path": SCHEMA}
            )
        except (asyncpg.PostgresError, OSError):
            return False
        try:
            return not await connection.fetchval("SELECT EXISTS (SELECT FROM outbox)")
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            return False
        finally:
            connection.terminate()

    async def announcements(self, subject: str = "ttp.tagged") -> dict[str, int]:
        """Return how often each upstream message was announced, by its origin id."""
        return Counter(payload["origin_id"] for payload in await self._announced(subject))

    async def announced_tags(self) -> dict[str, int]:
        """Return how often each tag was announced, by its id."""
        payloads = await self._announced("ttp.tagged")
        return Counter(tag for payload in payloads for tag in payload["tag_uuids"])

    async def _announced(self, subject: str) -> list[dict[str, Any]]:
        bus = await self.bus()
        payloads: list[dict[str, Any]] = []
        try:
            info = await bus.js.stream_info(TTP_STREAM, subjects_filter=subject)
            expected = (info.state.subjects or {}).get(subject, 0)
            feed = await bus.js.subscribe(subject, stream=TTP_STREAM, ordered_consumer=True)
            for _ in range(expected):
                message = await feed.next_msg(timeout=60)
                payloads.append(json.loads(message.data)["payload"])
        finally:
            await bus.close()
        return payloads
