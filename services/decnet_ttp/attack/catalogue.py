# SPDX-License-Identifier: AGPL-3.0-or-later
"""The compiled ATT&CK catalogue and the questions it answers.

The official release is the only authority for names, tactics, parents, STIX ids, links
and group use; a `Catalogue` holds exactly those facts, immutable, in dictionaries.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from decnet_ttp.attack.errors import UnknownTacticError, UnknownTechniqueError
from decnet_ttp.attack.tactics import PUBLISHED

Origin = Literal["bundle", "cache", "packaged", "built"]
"""Where a catalogue came from: the configured bundle, the cache, the package, or just built."""


@dataclass(frozen=True, slots=True)
class Tactic:
    """One tactic of the matrix.

    Attributes:
        id: ``TAnnnn``.
        short_name: The kill-chain phase name, such as ``credential-access``.
        name: MITRE's name.
        stix_id: ``x-mitre-tactic--<uuid>``.
        link: Its page on attack.mitre.org.
    """

    id: str
    short_name: str
    name: str
    stix_id: str
    link: str


@dataclass(frozen=True, slots=True)
class Group:
    """One intrusion set.

    Attributes:
        id: ``Gnnnn``.
        name: MITRE's name.
        aliases: Other names, without ``name`` itself, in MITRE's order.
        stix_id: ``intrusion-set--<uuid>``.
        link: Its page on attack.mitre.org.
        revoked: True when another group took its place.
        deprecated: True when MITRE no longer keeps it.
    """

    id: str
    name: str
    aliases: tuple[str, ...]
    stix_id: str
    link: str
    revoked: bool
    deprecated: bool


@dataclass(frozen=True, slots=True)
class Technique:
    """One technique or sub-technique, also when revoked or deprecated.

    Attributes:
        id: ``Tnnnn`` or ``Tnnnn.nnn``.
        name: MITRE's own name; a sub-technique's without its parent's.
        tactics: Tactic ids in the order of the matrix.
        parent: The technique's id for a sub-technique, else None.
        stix_id: ``attack-pattern--<uuid>``.
        link: Its page on attack.mitre.org.
        revoked: True when the release withdrew the id.
        revoked_by: The id that took its place, one step on; None when not revoked, or when
            the release names none.
        deprecated: True when MITRE no longer keeps it but did not replace it.
        groups: Ids of the groups known to use it, without revoked and deprecated groups.
    """

    id: str
    name: str
    tactics: tuple[str, ...]
    parent: str | None
    stix_id: str
    link: str
    revoked: bool
    revoked_by: str | None
    deprecated: bool
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """How much a catalogue holds; revoked and deprecated entries are counted apart.

    Attributes:
        tactics: Tactics.
        techniques: Techniques in force that are no sub-techniques.
        sub_techniques: Sub-techniques in force.
        revoked: Revoked techniques and sub-techniques.
        deprecated: Deprecated techniques and sub-techniques.
        groups: Groups in force.
        uses: Pairs of technique in force and group known to use it.
    """

    tactics: int
    techniques: int
    sub_techniques: int
    revoked: int
    deprecated: int
    groups: int
    uses: int


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a catalogue was compiled from, and where it lies.

    Attributes:
        source: The source in words.
        source_sha256: sha256 of the source's bytes, uncompressed, lower-case hex.
        sha256: sha256 of the catalogue file itself; empty before it is written.
        origin: How it came to be loaded.
        path: The catalogue file; None before it is written.
        licence_path: MITRE's licence text beside it; None before it is written.
    """

    source: str
    source_sha256: str
    sha256: str = ""
    origin: Origin = "built"
    path: Path | None = None
    licence_path: Path | None = None


def technique_link(technique_id: str) -> str:
    """Return the page of a technique on attack.mitre.org (``T1059.004`` -> ``…/T1059/004``)."""
    return f"https://attack.mitre.org/techniques/{technique_id.replace('.', '/')}"


def _successors(techniques: Mapping[str, Technique]) -> dict[str, Technique]:
    """Map every id to the technique in force it ends at; ids that end nowhere are left out."""
    ends: dict[str, Technique] = {}
    for technique in techniques.values():
        seen: set[str] = set()
        current: Technique | None = technique
        while current is not None and current.revoked and current.id not in seen:
            seen.add(current.id)
            current = techniques.get(current.revoked_by or "")
        if current is not None and not current.revoked:
            ends[technique.id] = current
    return ends


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All facts of one ATT&CK release that the system needs; or of several matrices together.

    Attributes:
        domain: ATT&CK's domain, ``enterprise-attack``; the first matrix's of several.
        release: The release number as its source says it, such as ``19.1``; likewise.
        provenance: What it was compiled from and where it lies; likewise.
        tactics: Tactics by id, in the order of the matrix.
        techniques: Techniques and sub-techniques by id, revoked and deprecated included.
        groups: Groups by id.
        parts: The catalogues that were joined, see `joined`; empty for a single one.
    """

    domain: str
    release: str
    provenance: Provenance
    tactics: Mapping[str, Tactic]
    techniques: Mapping[str, Technique]
    groups: Mapping[str, Group]
    parts: tuple["Catalogue", ...] = field(default=(), repr=False, compare=False)
    _ends: Mapping[str, Technique] = field(init=False, repr=False, compare=False)
    _by_short_name: Mapping[str, Tactic] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("tactics", "techniques", "groups"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        object.__setattr__(self, "_ends", _successors(self.techniques))
        # Matrices share short names; the first one's stand for what is asked without a technique.
        short = {tactic.short_name: tactic for tactic in reversed(tuple(self.tactics.values()))}
        object.__setattr__(self, "_by_short_name", short)

    @property
    def attack_release(self) -> str:
        """The release as tags carry it, such as ``enterprise-v19.1``."""
        return f"{self.domain.removesuffix('-attack')}-v{self.release}"

    @property
    def matrices(self) -> tuple["Catalogue", ...]:
        """The catalogue of each matrix: itself alone unless several were joined."""
        return self.parts or (self,)

    def matrix_of(self, technique_id: str) -> "Catalogue":
        """Return the catalogue of the matrix that exactly this id belongs to.

        Raises:
            UnknownTechniqueError: No matrix has such an entry.
        """
        for matrix in self.matrices:
            if technique_id in matrix.techniques:
                return matrix
        raise UnknownTechniqueError(technique_id, self.release)

    @property
    def counts(self) -> Counts:
        """How much the catalogue holds."""
        every = self.techniques.values()
        live = [t for t in every if not (t.revoked or t.deprecated)]
        return Counts(
            tactics=len(self.tactics),
            techniques=sum(t.parent is None for t in live),
            sub_techniques=sum(t.parent is not None for t in live),
            revoked=sum(t.revoked for t in every),
            deprecated=sum(t.deprecated and not t.revoked for t in every),
            groups=sum(not (g.revoked or g.deprecated) for g in self.groups.values()),
            uses=sum(len(t.groups) for t in live),
        )

    def technique(self, technique_id: str) -> Technique:
        """Return the entry of exactly this id, be it revoked or not.

        Raises:
            UnknownTechniqueError: The release has no such entry.
        """
        found = self.techniques.get(technique_id)
        if found is None:
            raise UnknownTechniqueError(technique_id, self.release)
        return found

    def resolve(self, technique_id: str) -> Technique:
        """Return the technique that stands for this id in the loaded release.

        A revoked id leads to its successor, through as many steps as it takes; an id in
        force, deprecated ones included, leads to itself.

        Raises:
            UnknownTechniqueError: No such id, or revoked without a successor in force.
        """
        end = self._ends.get(technique_id)
        if end is None:
            revoked = technique_id in self.techniques
            raise UnknownTechniqueError(technique_id, self.release, revoked=revoked)
        return end

    def technique_name(self, technique_id: str) -> str | None:
        """Return MITRE's name for exactly this id, or None for an id the release lacks.

        None rather than an error: a stored tag may come from another release.
        """
        found = self.techniques.get(technique_id)
        return found.name if found else None

    def full_name(self, technique_id: str) -> str | None:
        """Return ``Parent: Child`` for a sub-technique, else the name; None when unknown."""
        found = self.techniques.get(technique_id)
        if found is None:
            return None
        parent = self.techniques.get(found.parent) if found.parent else None
        return f"{parent.name}: {found.name}" if parent else found.name

    def link(self, technique_id: str) -> str | None:
        """Return the page of exactly this id, or None for an id the release lacks."""
        found = self.techniques.get(technique_id)
        return found.link if found else None

    def tactic(self, tactic: str) -> Tactic:
        """Return a tactic by id or by short name.

        Raises:
            UnknownTacticError: The release has no such tactic.
        """
        found = self.tactics.get(tactic) or self._by_short_name.get(tactic)
        if found is None:
            raise UnknownTacticError(tactic, self.release)
        return found

    def tactic_name(self, tactic: str) -> str | None:
        """Return the name of a tactic given by id or short name; None when the release lacks it."""
        found = self.tactics.get(tactic) or self._by_short_name.get(tactic)
        return found.name if found else None

    def tactics_of(self, technique_id: str) -> tuple[Tactic, ...]:
        """Return the tactics of a technique (of its successor when revoked), in matrix order.

        Raises:
            UnknownTechniqueError: The id does not resolve.
        """
        return tuple(self.tactics[tactic] for tactic in self.resolve(technique_id).tactics)

    def resolve_tactic(self, technique_id: str, tactic: str) -> Tactic:
        """Return the tactic that a technique serves in the loaded release.

        The tactic asked for, when the resolved technique has it; otherwise the technique's
        own, the first in matrix order, because releases move techniques between tactics.
        A tactic of another matrix is no tactic of the technique in any release.

        Args:
            technique_id: A technique of any release that the loaded one resolves.
            tactic: An id or short name of any published release of the technique's matrix.

        Raises:
            UnknownTechniqueError: The technique does not resolve.
            UnknownTacticError: No release of the technique's matrix has such a tactic.
        """
        own = self.tactics_of(technique_id)
        for candidate in own:
            if tactic in (candidate.id, candidate.short_name):
                return candidate
        matrix = self.matrix_of(self.resolve(technique_id).id)
        known = tactic in PUBLISHED.get(matrix.domain, ()) or any(
            tactic in (each.id, each.short_name) for each in matrix.tactics.values()
        )
        if not known or not own:
            raise UnknownTacticError(tactic, self.release)
        return own[0]

    def groups_using(self, technique_id: str) -> tuple[Group, ...]:
        """Return the groups known to use a technique (its successor when revoked), by id.

        Use of a sub-technique is not counted for its parent, as in ATT&CK itself.

        Raises:
            UnknownTechniqueError: The id does not resolve.
        """
        return tuple(self.groups[group] for group in self.resolve(technique_id).groups)

    def unresolved(self, technique_ids: Iterable[str]) -> tuple[str, ...]:
        """Return those of the given ids that do not resolve, in order; empty when all do."""
        return tuple(each for each in technique_ids if each not in self._ends)


def joined(first: Catalogue, *others: Catalogue) -> Catalogue:
    """Return one catalogue that answers for several matrices.

    MITRE gives no id of a technique or tactic to two matrices, so an id alone tells whose it is.
    A group may be in several; the first matrix's facts of it are shown.

    Args:
        first: Whose domain, release and provenance the whole is called by.
        others: The further matrices, in the order in which their tactics are to follow.

    Raises:
        ValueError: Two matrices have an id in common.
    """
    parts = (first, *others)
    techniques: dict[str, Technique] = {}
    tactics: dict[str, Tactic] = {}
    groups: dict[str, Group] = {}
    for part in parts:
        common = (techniques.keys() & part.techniques) | (tactics.keys() & part.tactics)
        if common:
            raise ValueError(f"{part.domain} has ids of another matrix: {sorted(common)[:3]}")
        techniques.update(part.techniques)
        tactics.update(part.tactics)
        groups = {**part.groups, **groups}
    return Catalogue(
        domain=first.domain,
        release=first.release,
        provenance=first.provenance,
        tactics=tactics,
        techniques=techniques,
        groups=groups,
        parts=parts,
    )
