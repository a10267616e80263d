# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a batch of messages tells the directory of attackers, sessions and whoever they belong to.

A fact or mention that several messages of a batch repeat goes out once, its times widened.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from decnet_ttp.ingest.attacker_facts import Fact
from decnet_ttp.ingest.batch import Upstream
from decnet_ttp.ingest.fields import identifier
from decnet_ttp.ingest.moments import read_moment
from decnet_ttp.v1 import attacker_fact_pb2, directory_update_pb2

#: Entries of one list in one request; the directory takes twice as many.
_MAX_ENTRIES = 5_000
#: Names of one message; nobody states more at once.
MOST_NAMED = 1_000

_Request = directory_update_pb2.UpdateDirectoryRequest
_Stamp = tuple[int, int]


def moment_of(upstream: Upstream, *names: str) -> Timestamp:
    """Return the first of some fields that is a time, else that of the envelope."""
    stamp = Timestamp()
    payload = upstream.payload
    for name in names:
        if name in payload and read_moment(payload[name], stamp):
            return stamp
    if not read_moment(upstream.sent_s, stamp):
        stamp.GetCurrentTime()
    return stamp


class DirectoryUpdate:
    """Collects what a batch says; `requests` sends it."""

    def __init__(self) -> None:
        self._whole = _Request()
        self._facts: dict[tuple[str, int, str], attacker_fact_pb2.AttackerFact] = {}
        self._mentions: set[tuple[str, str]] = set()

    def seen(self, upstream: Upstream, *, first: Timestamp, last: Timestamp) -> None:
        """Tell that the attacker of a message was seen, where the message adds something.

        Whoever was found by address is known with it; a message that names its attacker by UUID
        may be the only one that knows the address.
        """
        decky = identifier(upstream.decky_id)
        if not upstream.attacker_uuid or not (upstream.names_attacker or decky):
            return
        entry = self._whole.attackers.add(attacker_uuid=upstream.attacker_uuid, decky_id=decky)
        if upstream.names_attacker:
            entry.ip = upstream.ip
        entry.first_seen_time.CopyFrom(first)
        entry.last_seen_time.CopyFrom(last)

    def mention(self, upstream: Upstream) -> None:
        """Tell that a message names an attacker and an identity, which may belong together."""
        if upstream.attacker_uuid and upstream.names_identity:
            key = (upstream.attacker_uuid, upstream.identity_uuid)
            if key not in self._mentions:
                self._mentions.add(key)
                self._whole.memberships.add(attacker_uuid=key[0], identity_uuid=key[1])

    def fact(self, attacker: str, fact: Fact, *, first: Timestamp, last: Timestamp) -> None:
        """Tell a fact about an attacker."""
        key = (attacker, fact.kind, fact.value)
        known = self._facts.get(key)
        if known is None:
            known = self._facts[key] = attacker_fact_pb2.AttackerFact(
                attacker_uuid=attacker,
                kind=fact.kind,
                value=fact.value,
                count=fact.sightings,
                first_seen_time=first,
                last_seen_time=last,
                attributes=fact.attributes,
            )
            return
        known.count = max(known.count, fact.sightings)
        if _order(first) < _order(known.first_seen_time):
            known.first_seen_time.CopyFrom(first)
        if _order(last) >= _order(known.last_seen_time):
            known.last_seen_time.CopyFrom(last)
            if fact.attributes:
                known.ClearField("attributes")
                known.attributes.update(fact.attributes)

    @property
    def sessions(self) -> Any:
        """Where sessions are added."""
        return self._whole.sessions

    @property
    def intel_records(self) -> Any:
        """Where records of providers are added."""
        return self._whole.intel_records

    def identity(self, identity: str, members: Sequence[str], stated: Timestamp) -> None:
        """Tell that there is an identity, and who belongs to it."""
        self._whole.identity_uuids.append(identity)
        for attacker in members[:MOST_NAMED]:
            self._whole.memberships.add(
                attacker_uuid=attacker, identity_uuid=identity, state_time=stated
            )

    def identity_merge(self, loser: str, winner: str, stated: Timestamp) -> None:
        """Tell that an identity joined another one, or stands by itself (no winner)."""
        self._whole.identity_merges.add(loser_uuid=loser, winner_uuid=winner, state_time=stated)

    def campaign(
        self, campaign: str, name: str, identities: Sequence[str], stated: Timestamp
    ) -> None:
        """Tell of a campaign, and which identities belong to it; no campaign: to none."""
        for identity in identities[:MOST_NAMED] or [""]:
            self._whole.campaign_memberships.add(
                identity_uuid=identity, campaign_uuid=campaign, name=name, state_time=stated
            )

    def campaign_merge(self, loser: str, winner: str, stated: Timestamp) -> None:
        """Tell that a campaign joined another one, or stands by itself (no winner)."""
        self._whole.campaign_merges.add(loser_uuid=loser, winner_uuid=winner, state_time=stated)

    def requests(self) -> list[_Request]:
        """Return what was told, in requests that the directory takes."""
        self._whole.facts.extend(self._facts.values())
        self._facts.clear()
        lists = self._whole.ListFields()
        if all(len(entries) <= _MAX_ENTRIES for _, entries in lists):
            return [self._whole] if lists else []
        requests: list[_Request] = []
        for field, entries in lists:
            for number, share in enumerate(_shares(entries)):
                if number == len(requests):
                    requests.append(_Request())
                getattr(requests[number], field.name).extend(share)
        return requests


def _shares(entries: Any) -> Iterable[Any]:
    return (entries[at : at + _MAX_ENTRIES] for at in range(0, len(entries), _MAX_ENTRIES))


def _order(stamp: Timestamp) -> _Stamp:
    return (stamp.seconds, stamp.nanos)
