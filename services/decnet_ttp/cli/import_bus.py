# SPDX-License-Identifier: AGPL-3.0-or-later
"""The bus as an import uses it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from decnet_ttp.runtime.bus import Bus
    from decnet_ttp.runtime.config import Settings


class BusUnreachableError(Exception):
    """NATS did not answer in time."""


@asynccontextmanager
async def open_bus(settings: Settings, deadline_s: float) -> AsyncIterator[Bus]:
    """Connect, see that the streams are there, and close at the end.

    Raises:
        BusUnreachableError: NATS cannot be used within `deadline_s` seconds.
    """
    bus = await _open(settings, deadline_s)
    try:
        yield bus
    finally:
        # Everything was acknowledged or given up: there is nothing to drain, and a bus that is
        # away would make draining wait. Closing on purpose is no disconnection worth a warning.
        logging.getLogger("decnet_ttp.runtime.bus").setLevel(logging.ERROR)
        await bus.leave()


async def _open(settings: Settings, deadline_s: float) -> Bus:
    import nats.errors

    from decnet_ttp.runtime.bus import BusRefusedError, connect_bus
    from decnet_ttp.runtime.streams import ensure_streams_until_done

    bus = None
    try:
        async with asyncio.timeout(deadline_s):
            bus = await connect_bus(settings, name="decnet-ttp import", once_refused_give_up=True)
            await ensure_streams_until_done(bus.js, settings)
    except BusRefusedError as error:
        raise BusUnreachableError(str(error)) from error
    except (TimeoutError, OSError, nats.errors.Error) as error:
        if bus is not None:
            await bus.leave()
        place = urlsplit(settings.nats_url)
        raise BusUnreachableError(
            f"NATS at {place.hostname}:{place.port} cannot be used within {deadline_s:g} s "
            f"({type(error).__name__}); start it, or name another with --nats-url"
        ) from error
    return bus
