# SPDX-License-Identifier: AGPL-3.0-or-later
"""Figures over a session that rules read, counted from its own events where nobody sent them.

What a producer did send stands: it may see more than the session.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from itertools import pairwise
from statistics import fmean, pstdev
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from decnet_ttp.ingest.containers import container_of_request
from decnet_ttp.ingest.moments import read_moment
from decnet_ttp.ingest.shell_sessions import complete_from_shell
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
#: Requests that are looked at for containers.
_MOST_REQUESTS = 2_000

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


def most_shared_password(attempts: Any) -> tuple[str, int]:
    """Return the digest of the password that was tried on most accounts, and on how many.

    Args:
        attempts: The session's list of log-in attempts; wrong shapes are none.

    Returns:
        SHA-256 in hex and the number of different accounts; an empty text and 0 without any.
    """
    accounts: dict[str, set[str]] = {}
    for attempt in attempts if isinstance(attempts, list) else ():
        if not isinstance(attempt, dict):
            continue
        username, password = attempt.get("username"), attempt.get("password")
        if isinstance(username, str) and isinstance(password, str) and username and password:
            accounts.setdefault(password, set()).add(username.lower())
    if not accounts:
        return "", 0
    password, users = max(accounts.items(), key=lambda item: (len(item[1]), item[0]))
    return hashlib.sha256(password.encode("utf-8", "replace")).hexdigest(), len(users)


def complete_session(session: event_pb2.SessionPayload, payload: Mapping[str, Any]) -> None:
    """Fill in the figures that the producer of a session did not send.

    Args:
        session: What the producer sent is in it already.
        payload: The producer's JSON object with the lists of the session.
    """
    commands, files = _list(payload, "commands"), _list(payload, "payloads")
    attempts, requests = _list(payload, "auth_attempts"), _list(payload, "http_requests")
    if commands is not None:
        if not session.HasField("command_count"):
            session.command_count = len(commands)
        if not session.op_text and session.service.lower() in _WITHOUT_SHELL:
            session.op_text = _operations(commands)
    if session.service.lower() not in _WITHOUT_SHELL:
        complete_from_shell(session, commands or [], files or [])
    if attempts is not None and not session.HasField("auth_attempt_count"):
        session.auth_attempt_count = len(attempts)
    if session.service.lower() == "tftp" and not session.tftp_filename:
        session.tftp_filename = _first(files or [], "filename")
    if "llmnr:response" in session.signals and not session.HasField("llmnr_poison_count"):
        # Whoever answers for a name that the decoy made up answers for every name.
        session.llmnr_poison_count = 1
    if requests:
        _complete_requests(session, requests)
    for parts in filter(None, (commands, requests)):
        _complete_sums(session, parts)


def _list(payload: Mapping[str, Any], name: str) -> list[Any] | None:
    found = payload.get(name)
    return found if isinstance(found, list) else None


def _complete_requests(session: event_pb2.SessionPayload, requests: list[Any]) -> None:
    if not session.HasField("request_count"):
        session.request_count = len(requests)
    if not session.HasField("beacon_interval_s"):
        _complete_beacons(session, requests)
    for request in requests[:_MOST_REQUESTS]:
        if isinstance(request, dict):
            container_of_request(request, session)


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
