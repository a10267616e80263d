# SPDX-License-Identifier: AGPL-3.0-or-later
"""Cowrie logs of any size, made from a seed: what benchmarks and fault tests import.

The commands are our own recording's; only ids, addresses and times are made up.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import orjson

SAMPLE = Path(__file__).resolve().parent.parent / "examples" / "cowrie-sample.json"

_START = datetime(2026, 1, 1, tzinfo=UTC)
#: Benchmarking network of RFC 2544: never a real attacker's.
_NETWORK = int(IPv4Address("198.18.0.0"))
_ADDRESSES = 2_000
_SENSOR = "synthetic"
_PASSWORDS = ("123456", "admin", "root", "password", "1234", "qwerty", "raspberry")


def sample_commands() -> list[str]:
    """Return every command of the recorded sample, in order."""
    rows = (orjson.loads(line) for line in SAMPLE.read_bytes().splitlines())
    return [row["input"] for row in rows if row["eventid"] == "cowrie.command.input"]


class _Session:
    """The lines of one session, with a clock of its own."""

    def __init__(self, chance: random.Random, number: int) -> None:
        self._id = f"{chance.getrandbits(48):012x}"
        self._ip = str(IPv4Address(_NETWORK + chance.randrange(_ADDRESSES)))
        self._now = _START + timedelta(seconds=number)

    def line(self, event: str, **fields: Any) -> bytes:
        self._now += timedelta(milliseconds=137)
        return orjson.dumps(
            {
                "eventid": f"cowrie.{event}",
                "session": self._id,
                "src_ip": self._ip,
                "sensor": _SENSOR,
                "timestamp": self._now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                **fields,
            }
        )

    def opening(self) -> Iterator[bytes]:
        yield self.line("session.connect", src_port=40000, dst_port=2222, protocol="ssh")
        yield self.line("client.version", version="SSH-2.0-Go")

    def closing(self) -> bytes:
        return self.line("session.closed", duration=3.1)


def brute_force(sessions: int, *, seed: int = 1) -> Iterator[bytes]:
    """Yield the lines of sessions that only guess passwords, three guesses each."""
    chance = random.Random(seed)
    for number in range(sessions):
        session = _Session(chance, number)
        yield from session.opening()
        for _ in range(3):
            yield session.line("login.failed", username="root", password=chance.choice(_PASSWORDS))
        yield session.closing()


def command_heavy(sessions: int, commands: int, *, seed: int = 2) -> Iterator[bytes]:
    """Yield the lines of sessions that log in and run commands of the recorded sample."""
    chance = random.Random(seed)
    known = sample_commands()
    for number in range(sessions):
        session = _Session(chance, number)
        yield from session.opening()
        yield session.line("login.success", username="root", password=_PASSWORDS[0])
        for _ in range(commands):
            yield session.line("command.input", input=chance.choice(known))
        yield session.closing()


def write(path: Path, lines: Iterator[bytes]) -> Path:
    """Write a log; returns its path."""
    with path.open("wb") as out:
        out.writelines(line + b"\n" for line in lines)
    return path
