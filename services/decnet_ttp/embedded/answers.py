# SPDX-License-Identifier: AGPL-3.0-or-later
"""Asking the parts of a running instance whether they answer, for `status`."""

import asyncio
from typing import Any

import asyncpg
import nats.errors
from nats.aio.client import Client

from decnet_ttp.embedded import health
from decnet_ttp.embedded.child import Probe
from decnet_ttp.embedded.errors import NotReady
from decnet_ttp.embedded.layout import ChildState, Instance

# Who waits for a start asks again and again.
_TIMEOUT_S = 2.0
# Asked once, a busy machine must not make a part that runs look dead.
_ONCE_TIMEOUT_S = 10.0
# allow_reconnect alone does not keep the client from trying a refused first connection again.
_ONE_TRY: dict[str, Any] = {
    "allow_reconnect": False,
    "max_reconnect_attempts": 1,
    "reconnect_time_wait": 0,
}


async def answering(instance: Instance) -> frozenset[str]:
    """Names of the children that say they are ready and also answer when asked now."""
    probes: dict[str, Probe] = {
        "postgres": postgres(instance.database_url, timeout_s=_ONCE_TIMEOUT_S),
        "nats": nats_server(instance.nats_url, timeout_s=_ONCE_TIMEOUT_S),
    }

    def probe(name: str) -> Probe:
        service = health.serving(instance.target(name), timeout_s=_ONCE_TIMEOUT_S)
        return probes.get(name, service)

    names = [child.name for child in instance.children if child.state is ChildState.READY]
    answers = await asyncio.gather(*(_answers(probe(name)) for name in names))
    return frozenset(name for name, answered in zip(names, answers, strict=True) if answered)


def postgres(url: str, *, timeout_s: float = _TIMEOUT_S) -> Probe:
    """Make a probe that passes when PostgreSQL runs a statement, each step within `timeout_s`."""

    async def probe(_pid: int) -> None:
        try:
            connection = await asyncpg.connect(url, timeout=timeout_s, ssl=False)
            try:
                await connection.execute("SELECT 1", timeout=timeout_s)
            finally:
                await connection.close(timeout=timeout_s)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise NotReady from error

    return probe


def nats_server(url: str, *, timeout_s: float = _TIMEOUT_S) -> Probe:
    """Make a probe that passes when NATS takes a client and JetStream answers it in time."""

    async def probe(_pid: int) -> None:
        client = Client()
        try:
            async with asyncio.timeout(timeout_s):
                await client.connect(url, error_cb=_ignore, **_ONE_TRY)
                await client.jetstream(timeout=timeout_s).account_info()
        except (OSError, TimeoutError, nats.errors.Error) as error:
            raise NotReady from error
        finally:
            await client.close()

    return probe


async def _answers(probe: Probe) -> bool:
    try:
        await probe(0)
    except NotReady:
        return False
    return True


async def _ignore(_error: Exception) -> None:
    """Drop what the client reports besides raising it: a server that starts is no fault."""
