# SPDX-License-Identifier: AGPL-3.0-or-later
"""The rule engine: evaluates every rule whose match is a condition on fields, or a timeline."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.matching import RulePack, kinds_read
from decnet_ttp.tagger.evidence import evidence_of
from decnet_ttp.tagger.lifter import PASSING_FIELDS, Evaluator, Finding
from decnet_ttp.v1 import event_pb2, rule_pb2, tag_pb2

_NOTHING = tag_pb2.Evidence()

#: Rules kept compiled alone, beside the pack; a large pack would need too much memory twice.
_MAX_ALONE = 256


class _Evaluator:
    """The compiled conditions."""

    def __init__(self, pack: RulePack) -> None:
        self.pack = pack
        self.source_kinds = pack.source_kinds
        self._alone: OrderedDict[str, RulePack] = OrderedDict()

    def lift(self, event: event_pb2.Event) -> Iterator[Finding]:
        """Yield the rules whose condition holds, and the steps that the event takes."""
        return _findings(self.pack, event)

    def rule_ids(self, source_kind: str) -> Sequence[str]:
        """Return the rules that read a kind."""
        return [
            rule_id
            for rule_id, compiled in self.pack.rules.items()
            if source_kind in kinds_read(compiled.rule)
        ]

    def unread_fields(self, source_kind: str) -> frozenset[str]:
        """Return which fields of `PASSING_FIELDS` no condition reads; no evidence shows any."""
        return PASSING_FIELDS.get(source_kind, frozenset()) - self.pack.fields_read(source_kind)

    def lift_rule(self, event: event_pb2.Event, rule_id: str) -> Iterator[Finding]:
        """Yield one rule if its condition holds."""
        pack = self._alone.get(rule_id)
        if pack is None:
            pack = self._alone[rule_id] = RulePack.compile(
                [self.pack.rules[rule_id].rule], self.pack
            )
            if len(self._alone) > _MAX_ALONE:
                self._alone.popitem(last=False)
        return _findings(pack, event)


def _findings(pack: RulePack, event: event_pb2.Event) -> Iterator[Finding]:
    for match in pack.matches(event):
        if match.step is not None:
            yield Finding(match.rule, _NOTHING, (), step=match.step)
            continue
        yield Finding(
            match.rule,
            evidence_of(event, list(match.spans())),
            range(len(match.rule.emissions)),
        )


class RuleEngine:
    """The lifter of rules that need no code."""

    name = "rule_engine"
    source_kinds: frozenset[str] = frozenset(
        {
            SourceKind.COMMAND,
            SourceKind.HTTP_REQUEST,
            SourceKind.AUTH_ATTEMPT,
            SourceKind.PAYLOAD,
        }
    )

    def __init__(self, rules_dir: Path | None = None) -> None:
        del rules_dir  # conditions need nothing but the rule

    def owns(self, rule: rule_pb2.Rule) -> bool:
        """Whether the rule's match is a condition or a timeline."""
        return rule.WhichOneof("match") in {"condition", "timeline"}

    def compile(self, rules: Sequence[rule_pb2.Rule], previous: Evaluator | None) -> _Evaluator:
        """Compile the conditions; unchanged ones are taken over.

        Raises:
            RuleInvalidError: A condition cannot be compiled.
        """
        older = previous.pack if isinstance(previous, _Evaluator) else None
        return _Evaluator(RulePack.compile(rules, older))
