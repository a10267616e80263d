# SPDX-License-Identifier: AGPL-3.0-or-later
"""identity.>: who belongs together. What is known of the identity is looked at again."""

from __future__ import annotations

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.ingest.batch import Upstream
from decnet_ttp.ingest.directory_update import DirectoryUpdate, moment_of
from decnet_ttp.ingest.fan_out import Sink
from decnet_ttp.ingest.fields import first_identifier, joined_id, texts, uuid_text
from decnet_ttp.ingest.inputs.reading import SKIP, Input, itself, no_events, put, the_message

_TIMES = ("stated_at", "formed_at", "linked_at", "merged_at", "observed_at", "ts")


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


def _members(upstream: Upstream) -> list[str]:
    """Return the attackers a message names; producers call an attacker of an identity otherwise."""
    payload = upstream.payload
    named = [
        item
        for name in ("observation_uuids", "observation_uuid", "attacker_uuids", "attacker_uuid")
        for item in texts(payload.get(name))
    ]
    return list(dict.fromkeys(filter(None, map(uuid_text, named))))


def _tell_members(upstream: Upstream, update: DirectoryUpdate) -> None:
    stated = moment_of(upstream, *_TIMES)
    update.identity(upstream.identity_uuid, _members(upstream), stated)
    campaign = uuid_text(upstream.payload.get("campaign_uuid"))
    if campaign:
        update.campaign(campaign, "", [upstream.identity_uuid], stated)


def _read_linked(upstream: Upstream) -> bool:
    _read_formed(upstream)
    return bool(upstream.identity_uuid and _members(upstream))


def _loser(upstream: Upstream) -> str:
    return uuid_text(upstream.payload.get("loser_uuid"))


def _tell_merged(upstream: Upstream, update: DirectoryUpdate) -> None:
    loser, winner = _loser(upstream), upstream.identity_uuid
    if loser and winner and loser != winner:
        update.identity_merge(loser, winner, moment_of(upstream, *_TIMES))


def _read_unmerged(upstream: Upstream) -> bool:
    """Whoever stands by itself again is named as it was when it was merged, or alone."""
    payload = upstream.payload
    names = ("loser_uuid", "unmerged_uuid", "resurrected_uuid", "identity_uuid")
    found = (uuid_text(payload.get(name)) for name in names)
    upstream.identity_uuid = next(filter(None, found), "")
    return bool(upstream.identity_uuid)


def _tell_unmerged(upstream: Upstream, update: DirectoryUpdate) -> None:
    update.identity_merge(upstream.identity_uuid, "", moment_of(upstream, *_TIMES))


IDENTITY_FORMED = Input(_read_formed, itself, _write_formed, _tell_members)
OBSERVATION_LINKED = Input(_read_linked, the_message, no_events, _tell_members)
IDENTITY_MERGED = Input(_read_merged, itself, _write_merged, _tell_merged)
IDENTITY_UNMERGED = Input(_read_unmerged, the_message, no_events, _tell_unmerged)
