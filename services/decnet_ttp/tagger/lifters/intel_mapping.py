# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the signals of an intel provider mean: the files of `rules/intel/`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from decnet_ttp.core.shipped import data_paths
from decnet_ttp.tagger.parameters import ParameterFault, read_parameters

#: Folder of the mappings within a rules directory.
INTEL_FOLDER: Final = "intel"

#: A mapping larger than this is none.
_MAX_BYTES: Final = 1024 * 1024

_TECHNIQUE: Final = re.compile(r"T\d{4}")
_SUB_TECHNIQUE: Final = re.compile(r"T\d{4}\.\d{3}")
_URL: Final = re.compile(r"https?://\S+")


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a provider says what a signal means.

    Attributes:
        source_name: The provider, for people.
        url: The page.
        external_id: The provider's own id of the signal.
    """

    source_name: str
    url: str
    external_id: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be opened."""
        if not _URL.fullmatch(self.url):
            raise ValueError("`url` must begin with https://")


@dataclass(frozen=True, slots=True)
class Meaning:
    """A technique that follows from a signal.

    Attributes:
        technique_id: Technique without sub-technique.
        sub_technique_id: Sub-technique in full; empty for none.
        confidence: Confidence in place of the rule's, before any scaling.
        high_score_threshold: Score of the provider below which it does not follow.
    """

    technique_id: str
    sub_technique_id: str = ""
    confidence: float | None = None
    high_score_threshold: float | None = None

    def __post_init__(self) -> None:
        """Refuse ids of the wrong form and figures out of range."""
        if not _TECHNIQUE.fullmatch(self.technique_id):
            raise ValueError("`technique_id` must be Tnnnn; write a sub-technique beside it")
        sub = self.sub_technique_id
        if sub and not (_SUB_TECHNIQUE.fullmatch(sub) and sub.startswith(self.technique_id)):
            raise ValueError(f"`sub_technique_id` must be {self.technique_id}.nnn")
        if self.confidence is not None and not 0 <= self.confidence <= 1:
            raise ValueError("`confidence` must be 0 to 1")

    @property
    def deepest_id(self) -> str:
        """The sub-technique where there is one, else the technique."""
        return self.sub_technique_id or self.technique_id


@dataclass(frozen=True, slots=True)
class Signal:
    """Something a provider says of an address.

    Attributes:
        id: As the lifter reads it.
        label: For people.
        external_reference: What the provider says it means.
        techniques: What follows.
        confidence_multiplier: What the confidence is multiplied by.
    """

    id: str
    label: str
    external_reference: Reference
    techniques: tuple[Meaning, ...]
    confidence_multiplier: float = 1.0

    def __post_init__(self) -> None:
        """Refuse signals that say nothing."""
        if not self.techniques:
            raise ValueError("`techniques` is empty; leave an unmapped signal out")
        if not 0 < self.confidence_multiplier <= 1:
            raise ValueError("`confidence_multiplier` must be above 0 and at most 1")


@dataclass(frozen=True, slots=True)
class SignalMapping:
    """The signals of one provider.

    Attributes:
        provider: Its name, which is the file's.
        mapping_version: Raised with every change of meaning.
        signals: The signals; all others mean nothing.
        attack_release: ATT&CK releases it was reviewed against.
    """

    provider: str
    mapping_version: int
    signals: tuple[Signal, ...]
    attack_release: str = ""

    def __post_init__(self) -> None:
        """Refuse a signal that stands twice."""
        ids = [signal.id for signal in self.signals]
        twice = sorted({each for each in ids if ids.count(each) > 1})
        if twice:
            raise ValueError(f"signal {twice[0]!r} stands twice; keep one")


def read_mapping(provider: str, rules_dir: Path | None) -> SignalMapping:
    """Return the mapping of a provider, the operator's where there is one.

    Args:
        provider: Name of the file without its suffix.
        rules_dir: The operator's rules directory; None for that of the program.

    Raises:
        ParameterFault: No file, or one that is wrong; the message names it and the line.
    """
    name = f"{provider}.yaml"
    paths = data_paths(INTEL_FOLDER, name, rules_dir)
    path = next((each for each in paths if each.is_file()), None)
    if path is None:
        raise ParameterFault(
            f"there is no mapping {INTEL_FOLDER}/{name}; write one or name another", "mapping"
        )
    with path.open("rb") as file:
        data = file.read(_MAX_BYTES)
    try:
        document: Any = yaml.safe_load(data)
        node = yaml.compose(data, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise ParameterFault(f"{path}:{line}: not YAML", "mapping") from error
    try:
        return _checked(document, provider)
    except ParameterFault as fault:
        line = _line(node, fault.path)
        raise ParameterFault(f"{path}:{line}: {fault}", "mapping") from fault


def _checked(document: Any, provider: str) -> SignalMapping:
    if not isinstance(document, Mapping):
        raise ParameterFault("a mapping is keys and values; begin with `provider:`")
    mapping = read_parameters(SignalMapping, document)
    if mapping.provider != provider:
        raise ParameterFault(f"`provider` must be {provider}, as the file's name", "provider")
    return mapping


def _line(node: Any, path: tuple[str | int, ...]) -> int:
    """Return the line that a path leads to, as deep as it goes."""
    line = 1 if node is None else node.start_mark.line + 1
    for step in path:
        below = None
        if isinstance(node, yaml.MappingNode):
            below = next((value for key, value in node.value if key.value == step), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            below = node.value[step]
        if below is None:
            break
        node = below
        line = node.start_mark.line + 1
    return line
