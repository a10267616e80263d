# SPDX-License-Identifier: AGPL-3.0-or-later
"""Observations per second, time per batch and whether both stay flat as the history grows.

Usage: attribution.py [OBSERVATIONS [IDENTITIES]]; default 1 000 000 over 10 000.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from uuid import UUID

import psutil
import uvloop

from decnet_ttp.attribution.batch import Batch
from decnet_ttp.attribution.database import Database
from decnet_ttp.attribution.directory import NoDirectory
from decnet_ttp.attribution.observations import Observation, read_observation
from decnet_ttp.attribution.primitives import Primitive, Registry
from decnet_ttp.attribution.states import Kind
from decnet_ttp.attribution.store import Store
from decnet_ttp.embedded.postgres import PostgresServer
from decnet_ttp.runtime.bus import Envelope

BATCH = 500
TENTHS = 10
START_S = 1_700_000_000.0
KINDS = {
    "number.a": Primitive(Kind.NUMERIC),
    "number.b": Primitive(Kind.NUMERIC),
    "print.a": Primitive(Kind.HASH),
    "print.b": Primitive(Kind.HASH),
}
REGISTRY = Registry(KINDS)
PRIMITIVES = (*(f"category.{letter}" for letter in "abcdef"), *KINDS)


def message(rng: random.Random, place: int, identities: int) -> Envelope:
    """Return one observation as a sensor sends it: a recording gives one of each primitive."""
    recording, which = divmod(place, len(PRIMITIVES))
    primitive = PRIMITIVES[which]
    value = rng.gauss(100, 10) if primitive.startswith("number") else rng.choice("aaaaaaab")
    return Envelope(
        topic=f"attacker.observation.{primitive}",
        type=primitive,
        payload={
            "primitive": primitive,
            "value": value,
            "confidence": 0.8,
            "window": {"start_ts": START_S + recording - 60, "end_ts": START_S + recording},
            "source": "benchmark",
            "evidence_ref": f"shard:decky-7/ssh/2026-01-01.jsonl#{recording}",
            "attacker_uuid": str(UUID(int=recording * 7919 % identities)),
            "id": f"{place:032x}",
            "ts": START_S + place,
        },
    )


def read(envelope: Envelope) -> Observation:
    """Read it as the consumer does."""
    return read_observation(
        envelope.encode(), subject=envelope.topic, published_s=3e9, registry=REGISTRY
    )


def cpu_s(pid: int | None) -> float:
    """Return the processor time that PostgreSQL has used so far, in seconds."""
    postmaster = psutil.Process(pid)
    return sum(
        sum(process.cpu_times()[:2])
        for process in (postmaster, *postmaster.children(recursive=True))
    )


async def main(observations: int, identities: int) -> None:
    """Run and print a table."""
    rng = random.Random(1)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = PostgresServer(Path(folder) / "pg")
        database = Database(await server.start())
        await database.open()
        store, directory = Store(database, REGISTRY), NoDirectory()
        print(
            "part      observations/s    ms/batch p50    p99    CPU us each: service    PostgreSQL"
        )
        per_part = observations // TENTHS
        for part in range(TENTHS):
            times: list[float] = []
            own_cpu, server_cpu = 0.0, cpu_s(server.pid)
            for first in range(part * per_part, (part + 1) * per_part, BATCH):
                sent = [message(rng, place, identities) for place in range(first, first + BATCH)]
                begun, begun_cpu = time.perf_counter(), time.process_time()
                items = [read(item) for item in sent]
                unknown = await store.unknown_attackers(item.attacker for item in items)
                await store.record(Batch(items, await directory.resolve(unknown)))
                times.append(time.perf_counter() - begun)
                own_cpu += time.process_time() - begun_cpu
            rate = per_part / sum(times)
            cuts = statistics.quantiles(times, n=100)
            own_us, server_us = (
                cpu / per_part * 1e6 for cpu in (own_cpu, cpu_s(server.pid) - server_cpu)
            )
            print(
                f"{part + 1:>4}/10 {rate:>17,.0f} {cuts[49] * 1e3:>14.1f} {cuts[98] * 1e3:>7.1f}"
                f" {own_us:>20.0f} {server_us:>13.0f}",
                flush=True,
            )
            # The relay would have emptied it.
            async with database.connection() as connection:
                await connection.execute("TRUNCATE outbox")
        await database.close()
        await server.stop()


if __name__ == "__main__":
    uvloop.run(
        main(*(int(text) for text in (sys.argv[1:] + ["1000000", "10000"][len(sys.argv) - 1 :])))
    )
