# SPDX-License-Identifier: AGPL-3.0-or-later
"""What messages about attackers tell the directory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from decnet_ttp.ingest.attacker_facts import facts_of
from decnet_ttp.ingest.batch import Upstream
from decnet_ttp.ingest.directory_update import DirectoryUpdate, moment_of
from decnet_ttp.ingest.fields import identifier, text

#: Fields that say when something happened, the best first.
_TIMES = ("observed_at", "seen_at", "received_at", "triggered_at", "occurred_at", "ts")
_MAX_COUNT = 2**53


def nothing(_upstream: Upstream, _update: DirectoryUpdate) -> None:
    """Tell nothing."""


def tell_attacker(upstream: Upstream, update: DirectoryUpdate, *, probe: str = "") -> None:
    """Tell that the attacker was seen, and what the payload says of it."""
    if not upstream.attacker_uuid:
        return
    at = moment_of(upstream, *_TIMES)
    update.seen(upstream, first=at, last=at)
    update.mention(upstream)
    for fact in facts_of(upstream.payload, probe=probe, ip=upstream.ip):
        update.fact(upstream.attacker_uuid, fact, first=at, last=at)


def tell_first_sight(upstream: Upstream, update: DirectoryUpdate) -> None:
    """Tell of an attacker that was seen for the first time."""
    if not upstream.attacker_uuid:
        return
    first = moment_of(upstream, "first_seen", *_TIMES)
    update.seen(upstream, first=first, last=first)
    update.mention(upstream)
    for fact in facts_of(upstream.payload, ip=upstream.ip):
        update.fact(upstream.attacker_uuid, fact, first=first, last=first)


def tell_session(upstream: Upstream, update: DirectoryUpdate) -> None:
    """Tell of a session, and what it says of its attacker."""
    if not upstream.attacker_uuid:
        return
    payload = upstream.payload
    last = moment_of(upstream, "ended_at", "ts", "started_at")
    first = moment_of(upstream, "started_at", "ended_at", "ts")
    if (first.seconds, first.nanos) > (last.seconds, last.nanos):
        # A sensor's clock may be set back in the middle of a session.
        first, last = last, first
    session_id = identifier(payload.get("session_id"))
    if upstream.names_attacker or not session_id:
        update.seen(upstream, first=first, last=last)
    update.mention(upstream)
    if session_id:
        update.sessions.add(
            session_id=session_id,
            attacker_uuid=upstream.attacker_uuid,
            decky_id=identifier(upstream.decky_id),
            service=text(payload.get("service"))[:128],
            start_time=first,
            end_time=last,
            command_count=_count(payload, "command_count", "commands"),
            request_count=_count(payload, "request_count", "http_requests"),
            auth_attempt_count=_count(payload, "auth_attempt_count", "auth_attempts"),
            file_count=_count(payload, "payload_count", "payloads"),
        )
    for fact in facts_of(payload, ip=upstream.ip):
        update.fact(upstream.attacker_uuid, fact, first=first, last=last)


def _count(payload: Mapping[str, Any], name: str, entries: str) -> int:
    sent = payload.get(name)
    listed = payload.get(entries)
    counted = len(listed) if isinstance(listed, list) else 0
    told = isinstance(sent, int) and not isinstance(sent, bool) and 0 <= sent < _MAX_COUNT
    return max(int(sent or 0), counted) if told else counted
