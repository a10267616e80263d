# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a lifter is: a plug-in that turns events into findings, and nothing else.

A lifter is a class named by an entry point in the group `decnet_ttp.lifters`, made with the
operator's rules directory (or None). It says which kinds of events it reads and which rules it
owns, and compiles its rules to an evaluator. Everything around it (batches, rule states, tolerance,
confidence, tag messages) is done by the tagger.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

from decnet_ttp.core.errors import NotFoundError
from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.matching import StepOf
from decnet_ttp.v1 import event_pb2, rule_pb2, tag_pb2

ENTRY_POINT_GROUP = "decnet_ttp.lifters"


#: Fields that set the events of a kind apart although hardly a rule reads them, by kind.
PASSING_FIELDS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        SourceKind.SESSION: frozenset(
            {"duration_s", "command_count", "extra.src_port", "extra.dst_port"}
        )
    }
)


class UnknownLifterError(NotFoundError):
    """No installed lifter has that name."""

    reason = "LIFTER_UNKNOWN"


@dataclass(frozen=True, slots=True)
class Shift:
    """What a verdict does to the confidence of all tags of the attacker it is about.

    Attributes:
        amount: What is added, -1 to 1; 0 takes back what an earlier verdict added.
        reason: Why, in words of the lifter, never of the event.
    """

    amount: float
    reason: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that fired on an event.

    Attributes:
        rule: The rule.
        evidence: Why it fired.
        emissions: Positions within `rule.emissions` of what it emits.
        factors: What the confidence of each of these is multiplied by; empty for 1.
        identity_only: Whether its tags are about the identity alone, not about the attacker.
        continued: Whether the same firing already gave a finding, with other evidence.
        step: The step of the rule's timeline that the event takes: the rule may fire once the
            whole session was seen. Evidence and emissions are empty then.
        confidence_fixed: Whether verdicts leave the confidence of its tags alone.
        shift: What a rule that makes no tags does instead. The state of the rule is not the
            tagger's to apply then: the tag-store does, where the adjustment takes effect.
    """

    rule: rule_pb2.Rule
    evidence: tag_pb2.Evidence
    emissions: Sequence[int]
    factors: Sequence[float] = ()
    identity_only: bool = False
    continued: bool = False
    step: StepOf | None = None
    confidence_fixed: bool = False
    shift: Shift | None = None


class Evaluator(Protocol):
    """The compiled rules of one lifter; immutable.

    Attributes:
        source_kinds: Kinds of events that its rules read.
    """

    source_kinds: frozenset[str]

    def lift(self, event: event_pb2.Event) -> Iterable[Finding]:
        """Return what fires on an event. Pure: same event, same findings; no input or output."""
        ...

    def rule_ids(self, source_kind: str) -> Sequence[str]:
        """Return the rules that read a kind, in order of their ids."""
        ...

    def lift_rule(self, event: event_pb2.Event, rule_id: str) -> Iterable[Finding]:
        """Return what one rule gives on an event; asked when `lift` failed on it."""
        ...


class Lifter(Protocol):
    """A plug-in.

    Attributes:
        name: Its name, as in the entry point.
        source_kinds: Kinds of events it reads.
    """

    name: str
    source_kinds: frozenset[str]

    def owns(self, rule: rule_pb2.Rule) -> bool:
        """Whether this lifter evaluates a rule; each rule has at most one owner."""
        ...

    def compile(self, rules: Sequence[rule_pb2.Rule], previous: Evaluator | None) -> Evaluator:
        """Compile rules this lifter owns; one rule alone is how the rule-store checks it.

        Args:
            rules: The rules.
            previous: The evaluator before the change, to take over what stays the same.

        Raises:
            RuleInvalidError: A rule cannot be compiled; its `path` says where the fault lies.
        """
        ...


def unread_fields(evaluator: Evaluator, source_kind: str) -> frozenset[str] | None:
    """Return which of a kind's `PASSING_FIELDS` an evaluator does not read.

    An evaluator tells by a method of this name. Its findings then follow from the payload and the
    extra fields of an event, without those fields, and from nothing else: they are made once for
    many events, from an event that has only these. None when they may follow from more.
    """
    tell = getattr(evaluator, "unread_fields", None)
    return None if tell is None else tell(source_kind)


def reads_messages(lifter: Lifter) -> bool:
    """Whether a lifter looks into stored mails, as its attribute of that name says."""
    return bool(getattr(lifter, "reads_messages", False))


def waits_for_messages(lifter: Lifter) -> bool:
    """Whether a mail whose message cannot be read yet is to be tried again for a lifter.

    One of which few rules look into mails says `waits_for_messages = False`: it may run where no
    mails are, without holding any up.
    """
    return reads_messages(lifter) and bool(getattr(lifter, "waits_for_messages", True))


def load_lifters(names: Sequence[str], rules_dir: Path | None = None) -> list[Lifter]:
    """Return the lifters with these names, or all that are installed.

    Args:
        names: As in the entry points.
        rules_dir: The operator's rules directory; None for that of the program.

    Raises:
        UnknownLifterError: A name is not installed.
    """
    found = {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}
    for name in names:
        if name not in found:
            raise UnknownLifterError(
                f"no lifter {name!r}; installed are {', '.join(sorted(found))}", lifter=name
            )
    return [found[name].load()(rules_dir) for name in (names or sorted(found))]
