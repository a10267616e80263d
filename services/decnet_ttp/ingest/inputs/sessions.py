# SPDX-License-Identifier: AGPL-3.0-or-later
"""attacker.session.ended and attacker.observed."""

from __future__ import annotations

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.ingest.aggregates import most_shared_password
from decnet_ttp.ingest.batch import Upstream
from decnet_ttp.ingest.fan_out import Sink, session_source_id, write_session
from decnet_ttp.ingest.fields import first_identifier, joined_id, text
from decnet_ttp.ingest.inputs.reading import SKIP, Input, itself, put, subject_of
from decnet_ttp.ingest.inputs.telling import tell_first_sight, tell_session

#: Accounts on which one password says something of an identity.
_FEWEST_ACCOUNTS = 2


def _write_ended(upstream: Upstream, sink: Sink) -> int:
    wrong = write_session(upstream.payload, upstream.origin_id, sink)
    if upstream.identity_uuid:
        _write_shared_password(upstream, sink)
    return wrong


def _write_shared_password(upstream: Upstream, sink: Sink) -> None:
    """Write that an identity tried one password on several accounts.

    As far as the session shows; what its producer says instead may span all of the attacker's.
    """
    payload = upstream.payload
    digest, accounts = most_shared_password(payload.get("auth_attempts"))
    told, count = text(payload.get("shared_password_hash")), payload.get("account_count")
    if told and isinstance(count, int) and not isinstance(count, bool):
        digest, accounts = told, count
    if accounts < _FEWEST_ACCOUNTS:
        return
    base = session_source_id(payload, upstream.origin_id)
    body = {"shared_password_hash": digest, "account_count": accounts}
    times = payload.get("started_at"), payload.get("ended_at"), payload.get("ts")
    put(sink, SourceKind.IDENTITY, body, joined_id(base, "#accounts"), *times)


def _write_observed(upstream: Upstream, sink: Sink) -> int:
    """Write the first sight of an attacker, which happens once, as a session without content."""
    payload = upstream.payload
    return put(
        sink,
        SourceKind.SESSION,
        payload,
        first_identifier(payload, "source_id", "session_id")
        or joined_id("observed:", subject_of(upstream)),
        payload.get("first_seen"),
        payload.get("ts"),
        skip=SKIP | {"first_seen"},
    )


SESSION_ENDED = Input(Upstream.read_anchor, itself, _write_ended, tell_session)
OBSERVED = Input(Upstream.read_anchor, itself, _write_observed, tell_first_sight)
