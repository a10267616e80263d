# SPDX-License-Identifier: AGPL-3.0-or-later
"""Emissions against two small releases: in the later one an id was withdrawn and a tactic moved."""

import re

import pytest

from decnet_ttp.attack import packaged_catalogue
from decnet_ttp.attack.catalogue import Catalogue, Provenance, Tactic, Technique
from decnet_ttp.rule_store.vocabulary import EmissionFault, Vocabulary


def _tactic(tactic_id: str, name: str) -> Tactic:
    return Tactic(tactic_id, name.lower(), name, "", "")


def _technique(
    technique_id: str, *tactics: str, parent: str | None = None, revoked_by: str | None = None
) -> Technique:
    revoked = revoked_by is not None
    return Technique(
        technique_id,
        f"Name of {technique_id}",
        tactics,
        parent,
        "",
        "",
        revoked,
        revoked_by,
        deprecated=False,
        groups=(),
    )


def _catalogue(release: str, tactics: list[Tactic], *techniques: Technique) -> Catalogue:
    return Catalogue(
        domain="enterprise-attack",
        release=release,
        provenance=Provenance("test", ""),
        tactics={tactic.id: tactic for tactic in tactics},
        techniques={technique.id: technique for technique in techniques},
        groups={},
    )


EVASION, ACCESS, STEALTH = (
    _tactic("TA0005", "Evasion"),
    _tactic("TA0006", "Access"),
    _tactic("TA0112", "Stealth"),
)
OLD = _catalogue(
    "17",
    [EVASION, ACCESS],
    _technique("T1562", "TA0005"),
    _technique("T1562.004", "TA0005", parent="T1562"),
    _technique("T1003", "TA0006"),
)
NEW = _catalogue(
    "19",
    [ACCESS, STEALTH],
    _technique("T1562", "TA0112"),
    _technique("T1562.004", "TA0112", parent="T1562", revoked_by="T1686"),
    _technique("T1686", "TA0112"),
    _technique("T1003", "TA0006"),
)


def test_an_emission_of_the_release_in_use_is_accepted() -> None:
    Vocabulary(OLD).check("TA0005", "T1562", "T1562.004")


def test_a_tactic_that_moved_resolves() -> None:
    Vocabulary(NEW).check("TA0005", "T1562", None)


def test_an_id_withdrawn_later_stays_right_in_a_pack_written_before() -> None:
    Vocabulary(NEW, written_against=OLD).check("TA0005", "T1562", "T1562.004")


def test_a_withdrawn_id_names_its_successor() -> None:
    with pytest.raises(EmissionFault, match=r"19 revoked T1562\.004; write T1686") as caught:
        Vocabulary(NEW).check("TA0005", "T1562", "T1562.004")
    assert caught.value.member == "sub_technique_id"


def test_a_wrong_tactic_lists_the_right_ones() -> None:
    with pytest.raises(EmissionFault, match=r"T1003 does not serve TA0112 .*TA0006 \(Access\)"):
        Vocabulary(NEW, written_against=OLD).check("TA0112", "T1003", None)


@pytest.mark.parametrize(
    ("tactic", "technique_id", "fault"),
    [
        ("TA0106", "T0831", "T0831 does not serve TA0106 (Impair Process Control) in ATT&CK for "),
        ("TA0040", "T0831", "T0831 does not serve TA0040 (Impact) in ATT&CK for ICS 15.0; allowed"),
        ("TA0112", "T0831", "ATT&CK has no tactic TA0112; allowed for T0831: TA0105 (Impact)"),
        (
            "TA0102",
            "T1046",
            "T1046 does not serve TA0102 (Discovery) in ATT&CK 17; allowed",
        ),
    ],
)
def test_a_tactic_must_be_of_the_techniques_matrix(
    tactic: str, technique_id: str, fault: str
) -> None:
    with pytest.raises(EmissionFault, match=re.escape(fault)):
        Vocabulary(packaged_catalogue()).check(tactic, technique_id, None)


def test_an_ics_emission_is_accepted() -> None:
    Vocabulary(packaged_catalogue()).check("TA0105", "T0831", None)
