# SPDX-License-Identifier: AGPL-3.0-or-later
"""campaign.>: which identities are at work together. They make no events."""

from __future__ import annotations

from decnet_ttp.ingest.batch import Upstream
from decnet_ttp.ingest.directory_update import DirectoryUpdate, moment_of
from decnet_ttp.ingest.fields import first_text, texts, uuid_text
from decnet_ttp.ingest.inputs.reading import Input, no_events, the_message

_TIMES = ("stated_at", "assigned_at", "formed_at", "merged_at", "observed_at", "ts")
_MAX_NAME = 512


def _identities(upstream: Upstream) -> list[str]:
    payload = upstream.payload
    named = [*texts(payload.get("identity_uuid")), *texts(payload.get("identity_uuids"))]
    return list(dict.fromkeys(filter(None, map(uuid_text, named))))


def _campaign(upstream: Upstream) -> str:
    return uuid_text(upstream.payload.get("campaign_uuid") or upstream.payload.get("campaign_id"))


def _read_membership(upstream: Upstream) -> bool:
    """A campaign may be told of before anybody belongs to it; nobody belongs to no campaign."""
    return bool(_campaign(upstream) or _identities(upstream))


def _tell_membership(upstream: Upstream, update: DirectoryUpdate) -> None:
    update.campaign(
        _campaign(upstream),
        first_text(upstream.payload, "name", "campaign_name")[:_MAX_NAME],
        _identities(upstream),
        moment_of(upstream, *_TIMES),
    )


def _loser(upstream: Upstream) -> str:
    return uuid_text(upstream.payload.get("loser_uuid"))


def _winner(upstream: Upstream) -> str:
    return uuid_text(upstream.payload.get("winner_uuid"))


def _read_merged(upstream: Upstream) -> bool:
    return bool(_loser(upstream) and _winner(upstream)) and _loser(upstream) != _winner(upstream)


def _tell_merged(upstream: Upstream, update: DirectoryUpdate) -> None:
    update.campaign_merge(_loser(upstream), _winner(upstream), moment_of(upstream, *_TIMES))


def _read_unmerged(upstream: Upstream) -> bool:
    return bool(_loser(upstream) or _campaign(upstream))


def _tell_unmerged(upstream: Upstream, update: DirectoryUpdate) -> None:
    loser = _loser(upstream) or _campaign(upstream)
    update.campaign_merge(loser, "", moment_of(upstream, *_TIMES))


CAMPAIGN_MEMBERS = Input(_read_membership, the_message, no_events, _tell_membership)
CAMPAIGN_MERGED = Input(_read_merged, the_message, no_events, _tell_merged)
CAMPAIGN_UNMERGED = Input(_read_unmerged, the_message, no_events, _tell_unmerged)
