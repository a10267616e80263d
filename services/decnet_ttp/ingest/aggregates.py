# SPDX-License-Identifier: AGPL-3.0-or-later
"""Figures over a session that rules read, counted from its own events where nobody sent them.

What a producer did send stands: it may see more than the session.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from statistics import fmean, pstdev
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from decnet_ttp.ingest.moments import read_moment
from decnet_ttp.v1 import event_pb2

#: Services whose commands are operations of their protocol, not lines of a shell: data stores, file
#: transfer, mailboxes, directories, telephones, and controllers.
_WITHOUT_SHELL = frozenset(
    {"redis", "mysql", "mariadb", "postgres", "postgresql", "mongodb", "mssql", "elasticsearch"}
    | {
        "ftp",
        "ftpd",
        "ftps",
        "tftp",
        "tftpd",
        "smb",
        "smbd",
        "cifs",
        "imap",
        "imaps",
        "pop3",
        "pop3s",
    }
    | {"ldap", "ldaps", "snmp", "snmpd", "sip", "sips", "asterisk", "mqtt", "mqtts", "mosquitto"}
    | {"modbus", "mbtcp", "conpot", "s7", "s7comm", "enip", "bacnet"}
)
#: Most text that the operations of a session make together, in characters.
_MAX_OPERATIONS = 64 * 1024

#: Fewest requests whose distances say anything about a rhythm, and most that are looked at.
_FEWEST_BEACONS = 6
_MOST_BEACONS = 1_000

#: Fields of single events that add up to a figure of the session.
_SUMS = ("bytes_out", "bytes_read", "rows_read")
_LARGEST_FIGURE = 2**53


class AttemptCounts:
    """Counts log-in attempts in the order in which a session holds them."""

    def __init__(self) -> None:
        self._failures = 0
        self._failures_before = 0
        self._passwords: dict[str, set[str]] = {}
        self._tried = 0

    def count(self, attempt: Mapping[str, Any]) -> None:
        """Take the next attempt."""
        self._failures_before = self._failures
        if attempt.get("result") == "failure":
            self._failures += 1
        username, password = attempt.get("username"), attempt.get("password")
        self._tried = 0
        if isinstance(username, str) and isinstance(password, str):
            tried = self._passwords.setdefault(username, set())
            tried.add(password)
            self._tried = len(tried)

    def complete(self, payload: event_pb2.AuthAttemptPayload) -> None:
        """Fill in what the producer did not send for the attempt counted last."""
        if not payload.HasField("fail_count"):
            payload.fail_count = self._failures
        if self._tried and not payload.HasField("password_count"):
            payload.password_count = self._tried
        if not payload.HasField("prior_brute"):
            payload.prior_brute = self._failures_before > 0


def complete_session(session: event_pb2.SessionPayload, payload: Mapping[str, Any]) -> None:
    """Fill in the figures that the producer of a session did not send.

    Args:
        session: What the producer sent is in it already.
        payload: The producer's JSON object with the lists of the session.
    """
    commands = payload.get("commands")
    if isinstance(commands, list):
        if not session.HasField("command_count"):
            session.command_count = len(commands)
        if not session.op_text and session.service.lower() in _WITHOUT_SHELL:
            session.op_text = _operations(commands)
    attempts = payload.get("auth_attempts")
    if isinstance(attempts, list) and not session.HasField("auth_attempt_count"):
        session.auth_attempt_count = len(attempts)
    files = payload.get("payloads")
    if session.service.lower() == "tftp" and not session.tftp_filename and isinstance(files, list):
        session.tftp_filename = _first(files, "filename")
    requests = payload.get("http_requests")
    if isinstance(requests, list) and requests:
        _complete_requests(session, requests)
    for parts in (commands, requests):
        if isinstance(parts, list) and parts:
            _complete_sums(session, parts)


def _complete_requests(session: event_pb2.SessionPayload, requests: list[Any]) -> None:
    if not session.HasField("request_count"):
        session.request_count = len(requests)
    if not session.HasField("beacon_interval_s"):
        _complete_beacons(session, requests)


def _first(entries: list[Any], name: str) -> str:
    for entry in entries:
        if isinstance(entry, dict) and isinstance(found := entry.get(name), str) and found:
            return found
    return ""


def _operations(commands: list[Any]) -> str:
    lines: list[str] = []
    left = _MAX_OPERATIONS
    for command in commands:
        line = command.get("command_text") if isinstance(command, dict) else command
        if isinstance(line, str):
            lines.append(line[:left])
            left -= len(line) + 1
            if left <= 0:
                break
    return "\n".join(lines)


def _complete_sums(session: event_pb2.SessionPayload, parts: list[Any]) -> None:
    for name in _SUMS:
        if session.HasField(name):
            continue
        found = [
            value
            for part in parts
            if isinstance(part, dict)
            and isinstance(value := part.get(name), int | float)
            and not isinstance(value, bool)
            and 0 <= value < _LARGEST_FIGURE
        ]
        if found:
            total = min(sum(found), _LARGEST_FIGURE)
            setattr(session, name, int(total) if name == "rows_read" else float(total))


def _complete_beacons(session: event_pb2.SessionPayload, requests: list[Any]) -> None:
    """Set mean distance and jitter (deviation over mean) of requests that came with their times."""
    moments: list[float] = []
    stamp = Timestamp()
    for request in requests[:_MOST_BEACONS]:
        if not isinstance(request, dict) or not read_moment(request.get("ts"), stamp):
            return
        moments.append(stamp.seconds + stamp.nanos / 1e9)
    if len(moments) < _FEWEST_BEACONS:
        return
    moments.sort()
    distances = [late - early for early, late in pairwise(moments)]
    mean = fmean(distances)
    if mean > 0:
        session.beacon_interval_s = mean
        session.beacon_jitter_pct = pstdev(distances, mean) / mean
