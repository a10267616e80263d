# SPDX-License-Identifier: AGPL-3.0-or-later
"""identity.formed and identity.merged: what is known of an identity is looked at again."""

from __future__ import annotations

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.ingest.batch import Upstream
from decnet_ttp.ingest.fan_out import Sink
from decnet_ttp.ingest.fields import first_identifier, joined_id, uuid_text
from decnet_ttp.ingest.inputs.reading import SKIP, Input, itself, put


def _read_formed(upstream: Upstream) -> bool:
    upstream.identity_uuid = uuid_text(upstream.payload.get("identity_uuid"))
    return upstream.named


def _write_formed(upstream: Upstream, sink: Sink) -> int:
    payload = upstream.payload
    return put(
        sink,
        SourceKind.IDENTITY,
        payload,
        first_identifier(payload, "source_id") or upstream.identity_uuid,
        payload.get("observed_at"),
        payload.get("ts"),
    )


def _read_merged(upstream: Upstream) -> bool:
    """The winner is whom the message is about; the loser is no more."""
    payload = upstream.payload
    winner = uuid_text(payload.get("winner_uuid"))
    upstream.identity_uuid = winner or uuid_text(payload.get("identity_uuid"))
    return upstream.named


def _write_merged(upstream: Upstream, sink: Sink) -> int:
    payload = upstream.payload
    loser = uuid_text(payload.get("loser_uuid"))
    return put(
        sink,
        SourceKind.IDENTITY,
        payload,
        first_identifier(payload, "source_id")
        or joined_id(f"merged:{upstream.identity_uuid}", f":{loser or upstream.origin_id[:128]}"),
        payload.get("observed_at"),
        payload.get("ts"),
        skip=SKIP,
    )


IDENTITY_FORMED = Input(_read_formed, itself, _write_formed)
IDENTITY_MERGED = Input(_read_merged, itself, _write_merged)
