# SPDX-License-Identifier: AGPL-3.0-or-later
"""Tags of a batch as requests to the tag-store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from decnet_ttp.v1 import tag_pb2, tag_store_service_pb2

#: Bounds of one request that holds several messages.
MAX_TAGS = 20_000
MAX_REQUEST_BYTES = 16 * 1024 * 1024

#: Bounds of one request that holds one message: what the tag-store and the wire take.
MAX_TAGS_OF_ONE = 50_000
MAX_BYTES_OF_ONE = 48 * 1024 * 1024

_Request = tag_store_service_pb2.InsertTagsRequest


def insert_requests(
    groups: Iterable[tag_pb2.TagGroup], *, silent: bool = False, count_origins: bool = False
) -> list[_Request]:
    """Return the requests that store some groups, in the order in which they must be sent.

    All tags of one message stay in one request, since what is announced is what one transaction
    made new. A message with more tags than a request may hold is stored by several, all but the
    last in silence: it is announced once, with a share of its tags that holds every rule and
    technique it fired.

    Args:
        groups: Tags of messages, as the taggers gave them.
        silent: Whether nothing is announced.
        count_origins: Whether the answers tell the counts of each message.
    """
    by_origin: dict[str, list[tag_pb2.TagGroup]] = {}
    for group in groups:
        if group.tags or group.adjustments:
            by_origin.setdefault(group.origin_id, []).append(group)
    requests: list[_Request] = []
    tags = size = 0
    for members in by_origin.values():
        whole = _by_anchor(members)
        count = sum(len(member.tags) for member in whole)
        weight = sum(member.ByteSize() for member in whole)
        if count > MAX_TAGS_OF_ONE or weight > MAX_BYTES_OF_ONE:
            requests += _shares(whole, silent=silent, count_origins=count_origins)
            tags = MAX_TAGS
            continue
        if not requests or tags + count > MAX_TAGS or size + weight > MAX_REQUEST_BYTES:
            requests.append(_Request(silent=silent, count_origins=count_origins))
            tags = size = 0
        tags += count
        size += weight
        requests[-1].groups.extend(whole)
    return requests


def _by_anchor(members: list[tag_pb2.TagGroup]) -> list[tag_pb2.TagGroup]:
    """Return the groups of one message joined, one for each anchor."""
    if len(members) == 1:
        return members
    joined: dict[tuple[str, str], tag_pb2.TagGroup] = {}
    for member in members:
        key = (member.anchor.attacker_uuid, member.anchor.identity_uuid)
        into = joined.get(key)
        if into is None:
            into = joined[key] = tag_pb2.TagGroup()
            into.CopyFrom(member)
        else:
            into.tags.extend(member.tags)
            into.adjustments.extend(member.adjustments)
    return list(joined.values())


def _shares(
    members: list[tag_pb2.TagGroup], *, silent: bool, count_origins: bool
) -> Iterator[_Request]:
    """Yield the requests for one message that is too large for one; the last is announced."""
    for member in members:
        firsts: list[tag_pb2.TagDraft] = []
        others: list[tag_pb2.TagDraft] = []
        seen: set[tuple[str, str, str, str]] = set()
        for tag in member.tags:
            key = (tag.rule_id, tag.tactic, tag.technique_id, tag.sub_technique_id)
            if key in seen:
                others.append(tag)
            else:
                seen.add(key)
                firsts.append(tag)
        shares = [*_cut(others), firsts]
        for number, share in enumerate(shares, 1):
            request = _Request(silent=silent or number < len(shares), count_origins=count_origins)
            group = request.groups.add(
                origin_id=member.origin_id,
                session_id=member.session_id,
                decky_id=member.decky_id,
            )
            group.anchor.CopyFrom(member.anchor)
            group.tags.extend(share)
            if number == len(shares):
                group.adjustments.extend(member.adjustments)
            yield request


def _cut(tags: list[tag_pb2.TagDraft]) -> Iterator[list[tag_pb2.TagDraft]]:
    share: list[tag_pb2.TagDraft] = []
    size = 0
    for tag in tags:
        weight = tag.ByteSize()
        if share and (len(share) >= MAX_TAGS or size + weight > MAX_REQUEST_BYTES):
            yield share
            share, size = [], 0
        share.append(tag)
        size += weight
    if share:
        yield share
