# SPDX-License-Identifier: AGPL-3.0-or-later
"""canary.<token>.triggered: somebody touched a canary token."""

from __future__ import annotations

from typing import Any

from decnet_ttp.core.addresses import canonical_ip
from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.ingest.batch import Upstream
from decnet_ttp.ingest.fan_out import Sink
from decnet_ttp.ingest.fields import first_identifier, text
from decnet_ttp.ingest.inputs.reading import SKIP, Input, itself, put
from decnet_ttp.ingest.inputs.telling import tell_attacker

#: Where producers put what the browser told, beside the fields themselves.
_NESTED = ("fingerprint", "fingerprint_data", "signals")


def _read(upstream: Upstream) -> bool:
    """The source is named src_ip; a trigger without one may still name its attacker."""
    upstream.read_anchor()
    if not upstream.ip:
        upstream.ip = canonical_ip(text(upstream.payload.get("src_ip"))) or ""
    return upstream.named


def _write(upstream: Upstream, sink: Sink) -> int:
    """Write the call-back; the trigger identifies it, since a token may be touched often."""
    payload = upstream.payload
    body: dict[str, Any] = {}
    for name in _NESTED:
        nested = payload.get(name)
        if isinstance(nested, dict):
            body.update(nested)
    body.update({key: value for key, value in payload.items() if value is not None})
    # The token is a part of the subject, whatever the payload says.
    body["token_id"] = upstream.topic.split(".")[1]
    return put(
        sink,
        SourceKind.CANARY_FINGERPRINT,
        body,
        first_identifier(payload, "source_id", "trigger_id", "id", "uuid") or upstream.origin_id,
        payload.get("triggered_at"),
        payload.get("occurred_at"),
        payload.get("observed_at"),
        payload.get("ts"),
        skip=SKIP | {*_NESTED, "triggered_at", "occurred_at"},
    )


CANARY_TRIGGERED = Input(_read, itself, _write, tell_attacker)
