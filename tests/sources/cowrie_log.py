# SPDX-License-Identifier: AGPL-3.0-or-later
"""Writes small Cowrie logs for tests."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from decnet_ttp.sources.cowrie import CowrieSource

START = datetime(2024, 1, 1, tzinfo=UTC)


def at(second: float) -> str:
    """A time stamp, as Cowrie writes it, some seconds after the start of the log."""
    return (START + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def event(kind: str, session: str, second: float, **fields: Any) -> dict[str, Any]:
    """One event of the sensor `pot`; `fields` override and add."""
    return {
        "eventid": f"cowrie.{kind}",
        "sensor": "pot",
        "session": session,
        "src_ip": "198.51.100.7",
        "timestamp": at(second),
        **fields,
    }


def connect(session: str, second: float, **fields: Any) -> dict[str, Any]:
    ports = {"src_port": 40000, "dst_port": 2222, "protocol": "ssh"}
    return event("session.connect", session, second, **ports, **fields)


def closed(session: str, second: float, **fields: Any) -> dict[str, Any]:
    return event("session.closed", session, second, **fields)


def command(session: str, second: float, text: Any, **fields: Any) -> dict[str, Any]:
    return event("command.input", session, second, input=text, **fields)


def encode(events: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(orjson.dumps(item) + b"\n" for item in events)


def write(path: Path, events: Iterable[dict[str, Any]]) -> Path:
    path.write_bytes(encode(events))
    return path


def read(
    paths: Sequence[Path] | Path, source: CowrieSource | None = None
) -> tuple[list[dict[str, Any]], CowrieSource]:
    """The payloads of a reading, and the source with its tally."""
    source = source or CowrieSource()
    some = [paths] if isinstance(paths, Path) else paths
    messages = list(source.read([str(path) for path in some]))
    return [orjson.loads(message.payload) for message in messages], source
