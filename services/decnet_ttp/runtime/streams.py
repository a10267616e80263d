# SPDX-License-Identifier: AGPL-3.0-or-later
"""The streams of NATS: their names and bounds, and that they are there."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import nats.errors
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import APIError, BadRequestError, NotFoundError, ServerError
from tenacity import retry, retry_if_exception, stop_after_delay, wait_fixed

from decnet_ttp.runtime.config import Settings
from decnet_ttp.runtime.pacing import pause

EVENTS_STREAM = "DECNET_EVENTS"
TTP_STREAM = "DECNET_TTP"
DLQ_STREAM = "DECNET_TTP_DLQ"
PARKED_STREAM = "DECNET_TTP_PARKED"
INTEL_STREAM = "DECNET_TTP_INTEL"

EVENTS_SUBJECTS = ("attacker.>", "identity.>", "credential.>", "campaign.>", "email.>", "canary.>")
TTP_SUBJECTS = ("ttp.>", "attribution.>")
DLQ_SUBJECTS = ("dlq.ttp.>",)
PARKED_SUBJECTS = ("parked.ttp.>",)
#: Durable consumer of the input stream that all replicas of ingest share.
INGEST_DURABLE = "decnet-ttp-ingest"
#: Subject of an attacker's last intel record, before its UUID.
INTEL_PREFIX = "intel.ttp."

#: Largest message the bus carries, in bytes; the server's max_payload must be at least this.
MAX_PAYLOAD_BYTES = 8 * 1024 * 1024

#: Within this time a second publish of the same Nats-Msg-Id is dropped by the server, in seconds.
DUPLICATE_WINDOW_S = 120.0

_DAY_S = 86_400.0

#: NATS reserves the bound of each stream and refuses one beyond its disk with this code.
_INSUFFICIENT_STORAGE = 10047
#: What it answers when it cannot make a stream's files, be it because it is still clearing away
#: those of a deleted stream of that name.
_STORE_FAILED = 10049
#: How long that is waited for, in seconds.
_CLEARING_S = 10.0
_SMALLEST_STREAM_BYTES = 16 * 1024 * 1024
#: Most that the intel records take, in bytes.
_INTEL_BYTES = 256 * 1024 * 1024

#: How often a stream that somebody deleted is looked for, in seconds.
_LOOK_S = 5.0

_log = logging.getLogger(__name__)


def stream_configs(settings: Settings) -> list[StreamConfig]:
    """Return the streams.

    What came in and what went out is dropped by age and size. What could not be tagged never is:
    a full stream refuses more, and the messages stay where they were. What waits has no bound of
    its own, since NATS would drop the oldest for it: a share of the input of some days.
    """
    limits: dict[str, Any] = {
        "retention": RetentionPolicy.LIMITS,
        "storage": StorageType.FILE,
        "duplicate_window": DUPLICATE_WINDOW_S,
    }
    age_s = settings.events_max_age_days * _DAY_S
    size = settings.events_max_bytes
    return [
        StreamConfig(
            name=EVENTS_STREAM,
            subjects=list(EVENTS_SUBJECTS),
            max_age=age_s,
            max_bytes=size,
            max_msg_size=MAX_PAYLOAD_BYTES,
            **limits,
        ),
        StreamConfig(
            name=TTP_STREAM,
            subjects=list(TTP_SUBJECTS),
            max_age=age_s,
            max_bytes=size,
            # Announcements come in batches; a thousand of them are flushed to disk once.
            allow_atomic=True,
            **limits,
        ),
        StreamConfig(
            name=DLQ_STREAM,
            subjects=list(DLQ_SUBJECTS),
            max_bytes=size,
            discard=DiscardPolicy.NEW,
            **limits,
        ),
        StreamConfig(
            name=PARKED_STREAM,
            subjects=list(PARKED_SUBJECTS),
            allow_msg_schedules=True,
            **{**limits, "retention": RetentionPolicy.WORK_QUEUE},
        ),
        StreamConfig(
            name=INTEL_STREAM,
            subjects=[f"{INTEL_PREFIX}*"],
            max_bytes=min(size, _INTEL_BYTES),
            max_msgs_per_subject=1,
            **limits,
        ),
    ]


def _is_clearing(error: BaseException) -> bool:
    return isinstance(error, ServerError) and error.err_code == _STORE_FAILED


@retry(
    retry=retry_if_exception(_is_clearing),
    stop=stop_after_delay(_CLEARING_S),
    wait=wait_fixed(0.1),
    reraise=True,
)
async def _create(js: JetStreamContext, config: StreamConfig) -> None:
    await js.add_stream(config)


async def _add_stream(js: JetStreamContext, config: StreamConfig) -> None:
    """Create a stream; a disk too small for its bound gets a smaller bound, down to 16 MiB.

    The smaller bound is half of what there is room for, so that the streams after it find some.
    """
    wanted = config.max_bytes
    while True:
        try:
            await _create(js, config)
        except ServerError as error:
            size = config.max_bytes or 0
            if error.err_code != _INSUFFICIENT_STORAGE or size < 2 * _SMALLEST_STREAM_BYTES:
                raise
            config = config.evolve(max_bytes=size // 2)
        else:
            if config.max_bytes != wanted:
                config = config.evolve(max_bytes=(config.max_bytes or 0) // 2)
                await js.update_stream(config)
            _log.info(
                "stream created", extra={"stream": config.name, "max_bytes": config.max_bytes}
            )
            return


async def ensure_streams(js: JetStreamContext, settings: Settings | None = None) -> list[str]:
    """Create the streams that are missing; those that stand are left as their operator set them.

    Returns:
        The names of those that were missing.

    Raises:
        nats.errors.Error: NATS is away or has no JetStream.
    """
    missing = []
    for config in stream_configs(settings or Settings()):
        name = config.name or ""
        try:
            await js.stream_info(name)
        except NotFoundError:
            missing.append(name)
            try:
                await _add_stream(js, config)
            except BadRequestError:
                # Another process made it in between; what it made is what counts.
                await js.stream_info(name)
    return missing


async def ensure_streams_until_done(
    js: JetStreamContext, settings: Settings, stop: asyncio.Event | None = None
) -> None:
    """As ensure_streams, waiting for a NATS that is still starting."""
    while stop is None or not stop.is_set():
        try:
            await ensure_streams(js, settings)
        except (nats.errors.Error, OSError) as error:
            _log.info("bus not ready yet", extra={"error": type(error).__name__})
            await asyncio.sleep(0.2)
        else:
            return


async def keep_streams(
    js: JetStreamContext, settings: Settings, stop: asyncio.Event, there: asyncio.Event
) -> None:
    """Create streams again that somebody deleted, until the stop; what they held is lost.

    Args:
        js: JetStream.
        settings: Bounds of the streams.
        stop: Ends it.
        there: Cleared while a stream is missing and cannot be created.
    """
    while not stop.is_set():
        try:
            missing = await ensure_streams(js, settings)
        except APIError as error:
            if there.is_set():
                _log.warning(
                    "a stream is missing and cannot be created; see the log of NATS",
                    extra={"status": error.code, "code": error.err_code},
                )
            there.clear()
        except (nats.errors.Error, OSError) as error:
            _log.debug("streams not looked for", extra={"error": type(error).__name__})
        else:
            there.set()
            if missing:
                _log.warning(
                    "streams were deleted and are created again, empty", extra={"streams": missing}
                )
        await pause(stop, _LOOK_S)
