# SPDX-License-Identifier: AGPL-3.0-or-later
"""Findings written as tags."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from decnet_ttp.tagger.lifter import Finding
from decnet_ttp.tagger.rule_set import LiveRule, Target
from decnet_ttp.v1 import event_pb2, rule_pb2, tag_pb2


def _targets(finding: Finding, live: LiveRule) -> Iterator[tuple[Target, float]]:
    """Yield what a finding means in the loaded release, with the factor of its confidence."""
    factors = finding.factors or itertools.repeat(1.0)
    for position, factor in zip(finding.emissions, factors, strict=False):
        target = live.targets[position]
        if target is not None:
            yield target, factor


def _fill(
    tag: tag_pb2.TagDraft,
    kind: str,
    finding: Finding,
    rule: rule_pb2.Rule,
    target: Target,
    confidence: float,
    release: str,
) -> None:
    tag.source_kind = kind
    tag.rule_id = rule.rule_id
    tag.rule_version = rule.rule_version
    tag.tactic = target.tactic
    tag.technique_id = target.technique_id
    tag.sub_technique_id = target.sub_technique_id
    tag.confidence = confidence
    tag.evidence.CopyFrom(finding.evidence)
    if finding.confidence_fixed:
        tag.confidence_fixed = True
    tag.attack_release = target.attack_release or release


def drafts_of(
    finding: Finding, live: LiveRule, kind: str, release: str
) -> tuple[tag_pb2.TagDraft, ...]:
    """Return the tags of a finding by a rule that nothing holds back, of no event yet.

    Args:
        finding: The finding.
        live: Its rule.
        kind: Kind of the events.
        release: Release that a tag carries whose matrix is the first.
    """
    drafts = []
    for target, factor in _targets(finding, live):
        tag = tag_pb2.TagDraft()
        _fill(tag, kind, finding, live.rule, target, min(target.confidence * factor, 1.0), release)
        drafts.append(tag)
    return tuple(drafts)


def write_tags(
    out: tag_pb2.TagGroup,
    event: event_pb2.Event,
    finding: Finding,
    live: LiveRule,
    *,
    ceiling: float,
    release: str,
) -> int:
    """Write the tags of a finding; returns how many.

    Args:
        out: Where to.
        event: The event it was found in.
        finding: The finding.
        live: Its rule.
        ceiling: Highest confidence that the rule's state lets them have.
        release: Release that a tag carries whose matrix is the first.
    """
    made = 0
    for target, factor in _targets(finding, live):
        made += 1
        tag = out.tags.add()
        confidence = min(target.confidence * factor, ceiling)
        _fill(tag, event.source_kind, finding, live.rule, target, confidence, release)
        tag.source_id = event.source_id
        if event.HasField("observe_time"):
            tag.observe_time.CopyFrom(event.observe_time)
    return made


def write_again(
    out: tag_pb2.TagGroup, event: event_pb2.Event, drafts: Iterable[tag_pb2.TagDraft]
) -> None:
    """Write tags that were made before, for another event."""
    source_id = event.source_id
    moment = event.observe_time if event.HasField("observe_time") else None
    for draft in drafts:
        tag = out.tags.add()
        tag.CopyFrom(draft)
        tag.source_id = source_id
        if moment is not None:
            tag.observe_time.CopyFrom(moment)


def write_shift(out: tag_pb2.TagGroup, event: event_pb2.Event, finding: Finding) -> None:
    """Write what a finding does to the confidence of its attacker's tags.

    Raises:
        TypeError: It does nothing to it.
    """
    shift, rule = finding.shift, finding.rule
    if shift is None:
        raise TypeError("a finding without shift")
    draft = out.adjustments.add(
        source_kind=event.source_kind,
        source_id=event.source_id,
        rule_id=rule.rule_id,
        rule_version=rule.rule_version,
        amount=shift.amount,
        reason=shift.reason,
    )
    if event.HasField("observe_time"):
        draft.observe_time.CopyFrom(event.observe_time)
