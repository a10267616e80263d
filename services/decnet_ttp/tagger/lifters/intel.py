# SPDX-License-Identifier: AGPL-3.0-or-later
"""The intel lifter: what providers say of an address, as far as a mapping knows what it means.

What a mapping does not name means nothing: better silent than wrong. The aggregate verdict of
all providers makes no tag; it adjusts the confidence of others, which the tag-store does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import ClassVar, Final

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.tagger.fields import MAX_NAME
from decnet_ttp.tagger.lifter import Shift
from decnet_ttp.tagger.lifters.intel_mapping import (
    INTEL_FOLDER,
    Meaning,
    Signal,
    SignalMapping,
    read_mapping,
)
from decnet_ttp.tagger.parameters import ParameterFault
from decnet_ttp.tagger.predicate_lifter import Hit, Predicate, PredicateLifter, Test
from decnet_ttp.v1 import event_pb2, rule_pb2, tag_pb2

#: Members of one list that are read, and malware families that evidence shows, at most.
_MAX_MEMBERS: Final = 1_000
_MAX_FAMILIES: Final = 64

_HIGHEST_SCORE: Final = 100.0
_NOT_A_WORD: Final = re.compile(r"[^a-z0-9]+")
_MAPPING_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class Provider:
    """Parameters of the predicates.

    Attributes:
        mapping: Name of the file in `rules/intel/` without its suffix.
    """

    mapping: str

    def __post_init__(self) -> None:
        """Refuse names that would leave the folder."""
        if not _MAPPING_NAME.fullmatch(self.mapping):
            raise ValueError("`mapping` must be letters, digits and _, as in abuseipdb")


@dataclass(frozen=True, slots=True)
class Said:
    """What a provider says of an address.

    Attributes:
        signals: Ids of its signals.
        score: Its score, 0 to 100; None when it has none.
        families: Malware families it names.
    """

    signals: Iterable[str] = ()
    score: float | None = None
    families: Iterable[str] = field(default=())


def word(text: str) -> str:
    """Return a provider's label as a mapping writes it: ``Tor Exit Node`` as tor_exit_node."""
    return _NOT_A_WORD.sub("_", text[:MAX_NAME].lower()).strip("_")


def abuseipdb(payload: event_pb2.IntelPayload) -> Said:
    """Categories count only with a score."""
    if not payload.HasField("abuseipdb_score"):
        return Said()
    score = payload.abuseipdb_score
    # Comparing this way round leaves out what is no number.
    if not score > 0:
        return Said()
    return Said(
        [str(category) for category in payload.abuseipdb_categories[:_MAX_MEMBERS]],
        min(score, _HIGHEST_SCORE),
    )


def greynoise(payload: event_pb2.IntelPayload) -> Said:
    """Classification and tags."""
    return Said(
        [word(payload.greynoise_classification)]
        + [word(tag) for tag in payload.greynoise_tags[:_MAX_MEMBERS]]
    )


def feodo(payload: event_pb2.IntelPayload) -> Said:
    """Listed or not."""
    return Said(
        ["listed"] if payload.feodo_listed else [],
        families=filter(None, [payload.feodo_malware_family]),
    )


def threatfox(payload: event_pb2.IntelPayload) -> Said:
    """Threat types; the type of the indicator alone says nothing."""
    return Said(
        [word(each) for each in payload.threatfox_threat_types[:_MAX_MEMBERS]],
        families=payload.threatfox_malware_families,
    )


@dataclass(frozen=True, slots=True)
class _Choice:
    """The strongest reason for a technique so far, and all signals that lead to it."""

    factor: float
    strongest: Signal
    signals: tuple[str, ...]


def choose(mapping: SignalMapping, said: Said, bases: Mapping[str, float]) -> dict[str, _Choice]:
    """Return the techniques that follow from what a provider says.

    Several signals may lead to one technique; the strongest counts.

    Args:
        mapping: What the provider's signals mean.
        said: What it says.
        bases: Confidence of each technique in the rule, above 0.
    """
    present = set(said.signals)
    scale = 1.0 if said.score is None else said.score / _HIGHEST_SCORE
    chosen: dict[str, _Choice] = {}
    for signal in mapping.signals:
        if signal.id not in present:
            continue
        for meaning in signal.techniques:
            if not _passes(meaning, said.score):
                continue
            technique = meaning.deepest_id
            own = meaning.confidence
            factor = scale * signal.confidence_multiplier
            if own is not None:
                factor *= own / bases[technique]
            known = chosen.get(technique)
            if known is None:
                chosen[technique] = _Choice(factor, signal, (signal.id,))
            else:
                best = signal if factor > known.factor else known.strongest
                chosen[technique] = _Choice(
                    max(factor, known.factor), best, (*known.signals, signal.id)
                )
    return chosen


def _passes(meaning: Meaning, score: float | None) -> bool:
    threshold = meaning.high_score_threshold
    return threshold is None or (score is not None and score >= threshold)


def _hits(mapping: SignalMapping, said: Said, bases: Mapping[str, float]) -> list[Hit]:
    """Return one hit for all techniques that share their evidence."""
    together: dict[tuple[tuple[str, ...], str], dict[str, float]] = {}
    for technique, choice in choose(mapping, said, bases).items():
        key = (choice.signals, choice.strongest.external_reference.url)
        together.setdefault(key, {})[technique] = choice.factor
    hits = []
    families = [family[:MAX_NAME] for family in islice(said.families, _MAX_FAMILIES)]
    for (signals, url), techniques in together.items():
        evidence = tag_pb2.Evidence()
        shown = evidence.intel
        shown.provider = mapping.provider
        shown.signals.extend(signals)
        if said.score is not None:
            shown.score = said.score
        shown.malware_families.extend(families)
        shown.reference_uri = url
        hits.append(Hit(evidence, techniques))
    return hits


def _check_against(mapping: SignalMapping, bases: Mapping[str, float]) -> None:
    """Hold what a mapping can choose against what its rule emits.

    Raises:
        ParameterFault: The rule does not emit a technique, or nothing leads to one it emits.
    """
    leads_to = {meaning.deepest_id for signal in mapping.signals for meaning in signal.techniques}
    for technique in sorted(leads_to - bases.keys()):
        raise ParameterFault(
            f"the mapping {mapping.provider} leads to {technique}, which the rule does not emit; "
            "add the emission or mend the mapping",
            "mapping",
        )
    for technique in sorted(bases.keys() - leads_to):
        raise ParameterFault(
            f"no signal of the mapping {mapping.provider} leads to {technique}, which the rule "
            "emits; mend the mapping or drop the emission",
            "mapping",
        )
    for technique, base in bases.items():
        if base <= 0:
            raise ParameterFault(f"{technique} has confidence 0; give it more", "mapping")


def provider(say: Callable[[event_pb2.IntelPayload], Said]) -> Predicate[Provider]:
    """Return the predicate of a provider.

    Args:
        say: Reads what it says from an event.
    """

    def bind(parameters: Provider, rule: rule_pb2.Rule, rules_dir: Path | None) -> Test:
        mapping = read_mapping(parameters.mapping, rules_dir)
        bases = {
            emission.sub_technique_id or emission.technique_id: emission.confidence
            for emission in rule.emissions
        }
        _check_against(mapping, bases)
        return lambda event: _hits(mapping, say(event.intel), bases)

    return Predicate(frozenset({SourceKind.INTEL}), Provider, bind, data=_mapping_file)


def _mapping_file(parameters: Provider) -> tuple[str, str]:
    return INTEL_FOLDER, f"{parameters.mapping}.yaml"


@dataclass(frozen=True, slots=True)
class VerdictAmounts:
    """Parameters of the aggregate verdict.

    Attributes:
        malicious: What a malicious verdict adds, above 0, at most 1.
        benign: What a benign one adds, below 0, at least -1.
    """

    malicious: float
    benign: float

    def __post_init__(self) -> None:
        """Refuse amounts that would turn a verdict round."""
        if not 0 < self.malicious <= 1:
            raise ValueError("`malicious` must be above 0 and at most 1")
        if not -1 <= self.benign < 0:
            raise ValueError("`benign` must be below 0 and at least -1")


def _aggregate(parameters: VerdictAmounts, rule: rule_pb2.Rule, rules_dir: Path | None) -> Test:
    """Bind the predicate of the aggregate verdict.

    A verdict that says neither takes back what an earlier one did; a word that is no verdict is
    none.
    """
    del rule, rules_dir
    amounts = {
        "malicious": parameters.malicious,
        "suspicious": 0.0,
        "benign": parameters.benign,
        "unknown": 0.0,
    }

    def run(event: event_pb2.Event) -> Iterable[Hit]:
        verdict = word(event.intel.aggregate_verdict)
        amount = amounts.get(verdict)
        if amount is None:
            return ()
        evidence = tag_pb2.Evidence(intel=tag_pb2.IntelEvidence(signals=[verdict]))
        return (Hit(evidence, shift=Shift(amount, f"aggregate verdict: {verdict}")),)

    return run


class IntelLifter(PredicateLifter):
    """Lifts verdicts of intel providers."""

    name: ClassVar[str] = "intel"
    owns_prefixes: ClassVar = ("intel_",)
    predicates: ClassVar = {
        "intel_abuseipdb": provider(abuseipdb),
        "intel_aggregate_bump": Predicate(
            frozenset({SourceKind.INTEL}), VerdictAmounts, _aggregate, adjusts=True
        ),
        "intel_feodo": provider(feodo),
        "intel_greynoise": provider(greynoise),
        "intel_threatfox": provider(threatfox),
    }
