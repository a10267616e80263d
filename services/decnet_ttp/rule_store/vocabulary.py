# SPDX-License-Identifier: AGPL-3.0-or-later
"""Holds what a rule emits against ATT&CK."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from decnet_ttp.attack.catalogue import Catalogue, Technique
from decnet_ttp.attack.errors import UnknownTacticError, UnknownTechniqueError
from decnet_ttp.attack.tactics import DOMAIN_NAMES, ENTERPRISE_DOMAIN

_TECHNIQUE: Final = re.compile(r"T\d{4}")
_SUB_TECHNIQUE: Final = re.compile(r"(T\d{4})\.\d{3}")


class EmissionFault(ValueError):  # noqa: N818 - a finding about a file, not a failure of the program
    """An emission that ATT&CK does not have.

    Attributes:
        member: The member of the emission that is wrong.
    """

    def __init__(self, member: str, message: str) -> None:
        super().__init__(message)
        self.member = member


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The ATT&CK release in use, and the one that the pack was written against.

    Releases withdraw ids and move techniques between tactics. An emission that is right in
    the release it was written against, and resolves in the one in use, stays right.

    Attributes:
        loaded: The release in use.
        written_against: The release of the pack; None when it is the one in use.
    """

    loaded: Catalogue
    written_against: Catalogue | None = None

    def check(self, tactic: str, technique_id: str, sub_technique_id: str | None) -> None:
        """Accept an emission or say what is wrong with it.

        Raises:
            EmissionFault: A malformed, unknown or revoked id, a sub-technique of another
                technique, or a tactic that the technique does not serve.
        """
        _check_form(technique_id, sub_technique_id)
        try:
            _check_against(self.loaded, tactic, technique_id, sub_technique_id)
        except EmissionFault:
            older = self.written_against
            if older is None or _releases(older) == _releases(self.loaded):
                raise
            if self.loaded.unresolved((technique_id, sub_technique_id or technique_id)):
                raise
            try:
                _check_against(older, tactic, technique_id, sub_technique_id, may_move=False)
            except EmissionFault:
                # What is wrong in the release in use is what the reader can look up.
                pass
            else:
                return
            raise


def _releases(catalogue: Catalogue) -> list[str]:
    return [matrix.attack_release for matrix in catalogue.matrices]


def _called(matrix: Catalogue) -> str:
    """Return what a release is called: ``ATT&CK 17``, or ``ATT&CK for ICS 17.1``."""
    name = DOMAIN_NAMES[matrix.domain] if matrix.domain != ENTERPRISE_DOMAIN else "ATT&CK"
    return f"{name} {matrix.release}"


def _check_form(technique_id: str, sub_technique_id: str | None) -> None:
    if dotted := _SUB_TECHNIQUE.fullmatch(technique_id):
        raise EmissionFault(
            "technique_id",
            f"technique_id names a sub-technique; write technique_id: {dotted[1]} and "
            f"sub_technique_id: {technique_id}",
        )
    if not _TECHNIQUE.fullmatch(technique_id):
        raise EmissionFault(
            "technique_id", f"technique_id is {technique_id[:32]!r}; allowed: T and four digits"
        )
    if sub_technique_id is None:
        return
    form = _SUB_TECHNIQUE.fullmatch(sub_technique_id)
    if form is None:
        raise EmissionFault(
            "sub_technique_id",
            f"sub_technique_id is {sub_technique_id[:32]!r}; allowed: {technique_id} with a dot "
            "and three digits",
        )
    if form[1] != technique_id:
        raise EmissionFault(
            "sub_technique_id",
            f"{sub_technique_id} is no sub-technique of {technique_id}; "
            f"write technique_id: {form[1]} or a sub-technique of {technique_id}",
        )


def _check_against(
    catalogue: Catalogue,
    tactic: str,
    technique_id: str,
    sub_technique_id: str | None,
    *,
    may_move: bool = True,
) -> None:
    technique = _in_force(catalogue, "technique_id", technique_id)
    if sub_technique_id is not None:
        technique = _in_force(catalogue, "sub_technique_id", sub_technique_id)
    if tactic in technique.tactics:
        return
    own = ", ".join(f"{t} ({catalogue.tactic_name(t)})" for t in technique.tactics)
    if may_move and tactic not in catalogue.tactics:
        # A tactic that only other releases have was moved, not mistaken.
        try:
            catalogue.resolve_tactic(technique.id, tactic)
        except (UnknownTacticError, UnknownTechniqueError) as error:
            message = f"ATT&CK has no tactic {tactic}; allowed for {technique.id}: {own}"
            raise EmissionFault("tactic", message) from error
        return
    raise EmissionFault(
        "tactic",
        f"{technique.id} does not serve {tactic} ({catalogue.tactic_name(tactic)}) in "
        f"{_called(catalogue.matrix_of(technique.id))}; allowed: {own}",
    )


def _in_force(catalogue: Catalogue, member: str, technique_id: str) -> Technique:
    found = catalogue.techniques.get(technique_id)
    if found is None:
        raise EmissionFault(
            member,
            f"ATT&CK {catalogue.release} has no {technique_id}; look it up at "
            "https://attack.mitre.org/techniques/",
        )
    if found.revoked:
        release = _called(catalogue.matrix_of(technique_id))
        try:
            successor = catalogue.resolve(technique_id)
        except UnknownTechniqueError as error:
            message = f"{release} revoked {technique_id} without a successor"
            raise EmissionFault(member, f"{message}; emit another technique") from error
        raise EmissionFault(
            member,
            f"{release} revoked {technique_id}; write {successor.id} ({successor.name})",
        )
    return found
