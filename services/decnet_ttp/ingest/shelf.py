# SPDX-License-Identifier: AGPL-3.0-or-later
"""Waiting messages in a stream whose server sends each one when its time has come."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import orjson
from nats.js.errors import APIError, NotFoundError

from decnet_ttp.runtime.bus import Bus
from decnet_ttp.runtime.config import SettingsError
from decnet_ttp.runtime.streams import PARKED_STREAM

#: A waiting message stands on the first subject; when it is due, NATS puts it on the second.
_WAITING = "parked.ttp.wait."
_DUE = "parked.ttp.due."
#: What the consumer of messages that are due reads.
DUE_SUBJECTS = (f"{_DUE}>",)

_SCHEDULE = "Nats-Schedule"
_TARGET = "Nats-Schedule-Target"
_EXPECTED = "Nats-Expected-Last-Subject-Sequence"
#: The first release of NATS that keeps schedules.
OLDEST_NATS = (2, 12)

_TIMEOUT_S = 10.0


class NatsShelf:
    """The stream of messages that wait.

    Args:
        bus: Connection to NATS.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def check_server(self) -> None:
        """Make sure that the server keeps schedules; an older one would keep messages for ever.

        Raises:
            SettingsError: It is too old.
        """
        version = self._bus.nc.connected_server_version
        if (version.major, version.minor) < OLDEST_NATS:
            raise SettingsError(
                f"NATS {version.major}.{version.minor} cannot schedule messages; use "
                f"{'.'.join(map(str, OLDEST_NATS))} or newer"
            )

    async def put(self, key: str, content: bytes, headers: dict[str, str], due: datetime) -> None:
        """Keep a message until it is due; one under the same key is replaced.

        Raises:
            nats.errors.Error: It was not kept.
        """
        moment = due.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        await self._bus.js.publish(
            f"{_WAITING}{key}",
            content,
            headers={**headers, _SCHEDULE: f"@at {moment}", _TARGET: f"{_DUE}{key}"},
            timeout=_TIMEOUT_S,
        )

    async def keys(self, what: str) -> list[str]:
        """Return the keys of messages that wait, those below one token.

        Raises:
            nats.errors.Error: The bus is away.
        """
        found: list[str] = []
        while True:
            # The client library asks for the first page of subjects only.
            answer = await self._bus.nc.request(
                f"$JS.API.STREAM.INFO.{PARKED_STREAM}",
                orjson.dumps({"subjects_filter": f"{_WAITING}{what}.>", "offset": len(found)}),
                timeout=_TIMEOUT_S,
            )
            body = orjson.loads(answer.data)
            if "error" in body:
                raise APIError.from_error(body["error"])
            subjects = body["state"].get("subjects") or {}
            found += [subject.removeprefix(_WAITING) for subject in subjects]
            if not subjects or len(found) >= body.get("total", 0):
                return found

    async def release(self, keys: Iterable[str]) -> int:
        """Make messages due at once; returns how many.

        One that another replica let go, or put off again meanwhile, stays as it is now.

        Raises:
            nats.errors.Error: The bus is away.
        """
        released = 0
        for key in keys:
            try:
                message = await self._bus.js.get_msg(PARKED_STREAM, subject=f"{_WAITING}{key}")
            except NotFoundError:
                continue
            headers = {
                name: value
                for name, value in (message.headers or {}).items()
                if not name.startswith("Nats-")
            }
            headers[_EXPECTED] = str(message.seq)
            try:
                await self.put(key, message.data or b"", headers, datetime.now(UTC))
            except APIError:
                continue
            released += 1
        return released

    async def hand_in(self, key: str, content: bytes, headers: dict[str, str]) -> None:
        """Make a message due that did not wait here before.

        Raises:
            nats.errors.Error: It was not taken.
        """
        await self.put(key, content, headers, datetime.now(UTC))
