# SPDX-License-Identifier: AGPL-3.0-or-later
"""email.received: a mail as the decoy's mail server took it."""

from __future__ import annotations

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.ingest.batch import Upstream
from decnet_ttp.ingest.fan_out import Sink
from decnet_ttp.ingest.fields import first_identifier
from decnet_ttp.ingest.inputs.reading import SKIP, Input, itself, put
from decnet_ttp.ingest.inputs.telling import tell_attacker


def _write(upstream: Upstream, sink: Sink) -> int:
    payload = upstream.payload
    return put(
        sink,
        SourceKind.EMAIL,
        payload,
        first_identifier(payload, "source_id", "stored_as", "id", "uuid") or upstream.origin_id,
        payload.get("observed_at"),
        payload.get("received_at"),
        payload.get("ts"),
        skip=SKIP | {"received_at"},
    )


EMAIL_RECEIVED = Input(Upstream.read_anchor, itself, _write, tell_attacker)
