# SPDX-License-Identifier: AGPL-3.0-or-later
"""Anchors: who is behind an address, asked of the directory once a batch."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp

from decnet_ttp.core.errors import UnimplementedError
from decnet_ttp.ingest.batch import Upstream
from decnet_ttp.ingest.directory_update import DirectoryUpdate
from decnet_ttp.ingest.moments import read_moment
from decnet_ttp.runtime.clients import call
from decnet_ttp.v1 import directory_service_pb2, directory_service_pb2_grpc

#: Addresses of one call (the bound of ResolveAttackers).
_MAX_SIGHTINGS = 10_000
_CALL_TIMEOUT_S = 10.0
_UPDATE_TIMEOUT_S = 30.0

_log = logging.getLogger(__name__)

#: Fields that say when an attacker was seen.
_TIME_FIELDS = ("started_at", "ended_at", "first_seen", "observed_at", "ts")


@dataclass(slots=True)
class _Known:
    """What the directory said of an address, and the span of time it has been told of."""

    attacker_uuid: str
    identity_uuid: str
    first_s: float
    last_s: float
    expires_s: float


_NO_TIME = (float("inf"), float("-inf"))


def _key(upstream: Upstream) -> str:
    """Return what the directory is asked for: an attacker's identity, or who an address is."""
    if upstream.attacker_uuid:
        return "" if upstream.identity_uuid else upstream.attacker_uuid
    return upstream.ip


class Directory:
    """Resolves the addresses of a batch in one call, with a bounded cache in front.

    An address is asked again when its entry is older than its lifetime, or when the batch saw it
    earlier or later than the directory has been told, so that first and last seen stay true.

    Args:
        stub: The directory.
        create_missing: Whether an unknown address becomes an attacker.
        clock: Monotonic seconds.
        limit: Addresses the cache holds at most.
        lifetime_s: How long an answer is believed, in seconds.
        unknown_s: How long an address that nobody knew is not asked for again, in seconds.
    """

    def __init__(
        self,
        stub: directory_service_pb2_grpc.DirectoryServiceStub,
        *,
        create_missing: bool,
        clock: Callable[[], float],
        limit: int = 100_000,
        lifetime_s: float = 60.0,
        unknown_s: float = 5.0,
    ) -> None:
        self._stub = stub
        self._create_missing = create_missing
        self._clock = clock
        self._limit = limit
        self._lifetime_s = lifetime_s
        self._unknown_s = unknown_s
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._told_too_old = False

    async def resolve(self, upstreams: Sequence[Upstream], *, attempts_s: float) -> None:
        """Fill in attacker and identity of every message that names less.

        Args:
            upstreams: The messages of a batch; those still without anchor afterwards have no
                attacker in the directory.
            attempts_s: How long an absent directory is waited for, in seconds.

        Raises:
            DecnetError: The directory is away or refuses.
        """
        spans = self._spans(upstreams)
        insisted = {upstream.ip for upstream in upstreams if upstream.insist}
        asked = [
            ip
            for ip, (first_s, last_s) in spans.items()
            if self._stale(ip, first_s, last_s) and (ip in insisted or not self._is_unknown(ip))
        ]
        for start in range(0, len(asked), _MAX_SIGHTINGS):
            await self._ask(asked[start : start + _MAX_SIGHTINGS], spans, attempts_s)
        for upstream in upstreams:
            known = self._known.get(_key(upstream))
            if known is not None:
                upstream.attacker_uuid = upstream.attacker_uuid or known.attacker_uuid
                upstream.identity_uuid = upstream.identity_uuid or known.identity_uuid
        for cache in (self._known, self._unknown):
            while len(cache) > self._limit:
                cache.popitem(last=False)

    async def update(self, update: DirectoryUpdate, *, attempts_s: float) -> None:
        """Tell the directory what a batch says.

        Raises:
            DecnetError: The directory is away or refuses.
        """
        for request in update.requests():
            try:
                await call(
                    self._stub.UpdateDirectory,
                    request,
                    timeout_s=_UPDATE_TIMEOUT_S,
                    attempts_s=attempts_s,
                )
            except UnimplementedError:
                # A tag-store of the release before; backfill brings what it did not keep.
                if not self._told_too_old:
                    self._told_too_old = True
                    _log.warning("the tag-store keeps no sessions yet; upgrade it, then backfill")
                return

    def forget(self, attackers: Collection[str]) -> None:
        """Ask again for some attackers, because their identity has changed.

        An identity is told by its own UUID; this process may have cached any of its members.
        """
        for ip, known in list(self._known.items()):
            if known.attacker_uuid in attackers or known.identity_uuid in attackers:
                del self._known[ip]

    async def who_appeared(self, addresses: Sequence[str]) -> list[str]:
        """Return those of some addresses that the directory knows by now.

        Raises:
            DecnetError: The directory is away or refuses.
        """
        found = []
        for start in range(0, len(addresses), _MAX_SIGHTINGS):
            asked = addresses[start : start + _MAX_SIGHTINGS]
            request = directory_service_pb2.ResolveAttackersRequest()
            for ip in asked:
                request.sightings.add(ip=ip)
            answer = await call(self._stub.ResolveAttackers, request, timeout_s=_CALL_TIMEOUT_S)
            found += [
                ip for ip, who in zip(asked, answer.attackers, strict=True) if who.attacker_uuid
            ]
        for ip in found:
            self._unknown.pop(ip, None)
        return found

    @staticmethod
    def _spans(upstreams: Sequence[Upstream]) -> dict[str, tuple[float, float]]:
        """Return first and last sighting by address; infinite where a message has no time."""
        spans: dict[str, tuple[float, float]] = {}
        stamp = Timestamp()
        for upstream in upstreams:
            if not (key := _key(upstream)):
                continue
            if upstream.attacker_uuid:
                spans[key] = _NO_TIME
                continue
            payload = upstream.payload
            times = [
                stamp.seconds + stamp.nanos / 1e9
                for field in _TIME_FIELDS
                if field in payload and read_moment(payload[field], stamp)
            ]
            low, high = spans.get(key, _NO_TIME)
            spans[key] = (min([low, *times]), max([high, *times]))
        return spans

    def _is_unknown(self, ip: str) -> bool:
        return self._unknown.get(ip, 0.0) > self._clock()

    def _stale(self, ip: str, first_s: float, last_s: float) -> bool:
        known = self._known.get(ip)
        return (
            known is None
            or known.expires_s < self._clock()
            or first_s < known.first_s
            or last_s > known.last_s
        )

    async def _ask(
        self, ips: Sequence[str], spans: dict[str, tuple[float, float]], attempts_s: float
    ) -> None:
        request = directory_service_pb2.ResolveAttackersRequest(create_missing=self._create_missing)
        for ip in ips:
            sighting = request.sightings.add()
            if "-" in ip:  # which no address has, and every UUID
                sighting.attacker_uuid = ip
            else:
                sighting.ip = ip
            first_s, last_s = spans[ip]
            if first_s <= last_s:
                sighting.first_seen_time.FromNanoseconds(int(first_s * 1e6) * 1_000)
                sighting.last_seen_time.FromNanoseconds(int(last_s * 1e6) * 1_000)
        response = await call(
            self._stub.ResolveAttackers, request, timeout_s=_CALL_TIMEOUT_S, attempts_s=attempts_s
        )
        expires_s = self._clock() + self._lifetime_s
        for ip, answer in zip(ips, response.attackers, strict=True):
            if not answer.attacker_uuid:
                self._known.pop(ip, None)
                self._unknown[ip] = self._clock() + self._unknown_s
                continue
            first_s, last_s = spans[ip]
            known = self._known.pop(ip, None)
            if known is not None:
                first_s, last_s = min(first_s, known.first_s), max(last_s, known.last_s)
            self._known[ip] = _Known(
                answer.attacker_uuid, answer.identity_uuid, first_s, last_s, expires_s
            )
