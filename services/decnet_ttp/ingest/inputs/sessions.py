# SPDX-License-Identifier: AGPL-3.0-or-later
"""attacker.session.ended and attacker.observed."""

from __future__ import annotations

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.ingest.batch import Upstream
from decnet_ttp.ingest.fan_out import Sink, write_session
from decnet_ttp.ingest.fields import first_identifier, joined_id
from decnet_ttp.ingest.inputs.reading import SKIP, Input, itself, put, subject_of
from decnet_ttp.ingest.inputs.telling import tell_first_sight, tell_session


def _write_ended(upstream: Upstream, sink: Sink) -> int:
    return write_session(upstream.payload, upstream.origin_id, sink)


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
