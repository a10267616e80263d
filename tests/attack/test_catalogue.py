# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the catalogue answers, on the packaged release and on one that moved ids."""

import dataclasses

import pytest

from decnet_ttp.attack import Catalogue, Tactic, UnknownTacticError, UnknownTechniqueError


@pytest.fixture
def moved(packaged: Catalogue) -> Catalogue:
    """Release 19 in miniature: a technique revoked twice over, and a tactic that split."""
    old = packaged.technique("T1562.004")
    impairment = Tactic("TA0112", "defense-impairment", "Defense Impairment", "s", "l")
    techniques = dict(packaged.techniques)
    techniques["T1562.004"] = dataclasses.replace(old, revoked=True, revoked_by="T1999")
    techniques["T1999"] = dataclasses.replace(old, id="T1999", revoked=True, revoked_by="T1686")
    techniques["T1686"] = dataclasses.replace(
        old, id="T1686", name="Firewall", parent=None, tactics=("TA0112",)
    )
    techniques["T1001"] = dataclasses.replace(
        packaged.technique("T1001"), revoked=True, revoked_by=None
    )
    loop = dataclasses.replace(packaged.technique("T1002"), revoked=True)
    techniques["T1002"] = dataclasses.replace(loop, revoked_by="T1003")
    techniques["T1003"] = dataclasses.replace(loop, id="T1003", revoked_by="T1002")
    return dataclasses.replace(
        packaged,
        release="19.1",
        techniques=techniques,
        tactics=dict(packaged.tactics) | {"TA0112": impairment},
    )


def test_the_packaged_release_has_the_published_counts(packaged: Catalogue) -> None:
    counts = packaged.counts
    assert packaged.attack_release == "enterprise-v17"
    assert (counts.tactics, counts.techniques, counts.sub_techniques) == (14, 211, 468)
    assert (counts.revoked, counts.deprecated) == (132, 12)


def test_a_technique_carries_mitres_own_facts(packaged: Catalogue) -> None:
    shell = packaged.technique("T1059.004")
    assert shell.name == "Unix Shell"
    assert shell.tactics == ("TA0002",)
    assert shell.parent == "T1059"
    assert shell.stix_id == "attack-pattern--a9d4b653-6915-42af-98b2-5758c4ceee56"
    assert shell.link == "https://attack.mitre.org/techniques/T1059/004"
    assert packaged.technique_name("T1059.004") == "Unix Shell"
    assert packaged.full_name("T1059.004") == "Command and Scripting Interpreter: Unix Shell"
    assert packaged.full_name("T1059") == "Command and Scripting Interpreter"
    assert packaged.link("T1059") == "https://attack.mitre.org/techniques/T1059"


def test_tactics_are_found_by_id_and_by_short_name(packaged: Catalogue) -> None:
    tactic = packaged.tactic("TA0006")
    assert tactic == packaged.tactic("credential-access")
    assert tactic.name == packaged.tactic_name("TA0006") == "Credential Access"
    assert tactic.stix_id == "x-mitre-tactic--2558fd61-8c75-4730-94c4-11926db2a263"


def test_tactics_of_a_technique_stand_in_matrix_order(packaged: Catalogue) -> None:
    found = [tactic.short_name for tactic in packaged.tactics_of("T1078")]
    assert found == ["initial-access", "persistence", "privilege-escalation", "defense-evasion"]


def test_groups_using_a_technique_are_named(packaged: Catalogue) -> None:
    names = {group.name for group in packaged.groups_using("T1059.004")}
    assert {"Rocke", "TeamTNT"} <= names
    assert not any(group.revoked for group in packaged.groups_using("T1059.004"))


@pytest.mark.parametrize("technique_id", ["T9999", "t1059", "T1059.4", "", "TA0002"])
def test_an_unknown_id_is_refused_with_its_release(packaged: Catalogue, technique_id: str) -> None:
    with pytest.raises(UnknownTechniqueError) as caught:
        packaged.resolve(technique_id)
    assert caught.value.technique_id == technique_id
    assert caught.value.release == "17"
    assert not caught.value.revoked
    assert caught.value.code == "NOT_FOUND"


def test_names_of_ids_from_another_release_are_none(packaged: Catalogue) -> None:
    assert packaged.technique_name("T1686") is None
    assert packaged.full_name("T1686") is None
    assert packaged.link("T1686") is None
    assert packaged.tactic_name("TA0112") is None


def test_every_revoked_id_resolves_to_one_in_force(packaged: Catalogue) -> None:
    assert packaged.unresolved(packaged.techniques) == ()
    revoked = [t.id for t in packaged.techniques.values() if t.revoked]
    assert len(revoked) == 132
    assert not any(packaged.resolve(each).revoked for each in revoked)
    assert packaged.resolve("T1064").deprecated


def test_revocation_is_followed_through_every_step(moved: Catalogue) -> None:
    assert moved.resolve("T1562.004").id == "T1686"
    assert moved.groups_using("T1562.004") == moved.groups_using("T1686")


@pytest.mark.parametrize("technique_id", ["T1001", "T1002", "T1003"])
def test_a_revocation_that_leads_nowhere_is_refused(moved: Catalogue, technique_id: str) -> None:
    with pytest.raises(UnknownTechniqueError, match="without a successor") as caught:
        moved.resolve(technique_id)
    assert caught.value.revoked
    assert moved.unresolved(["T1059", technique_id]) == (technique_id,)


@pytest.mark.parametrize("tactic", ["TA0005", "defense-evasion", "stealth", "TA0112"])
def test_a_moved_tactic_resolves_to_the_techniques_own(moved: Catalogue, tactic: str) -> None:
    assert moved.resolve_tactic("T1562.004", tactic).id == "TA0112"


def test_a_tactic_the_technique_has_is_kept(packaged: Catalogue) -> None:
    assert packaged.resolve_tactic("T1078", "TA0003").id == "TA0003"
    assert packaged.resolve_tactic("T1078", "privilege-escalation").id == "TA0004"


def test_a_tactic_newer_than_the_release_resolves_to_the_techniques_own(
    packaged: Catalogue,
) -> None:
    assert packaged.resolve_tactic("T1562.004", "TA0112").id == "TA0005"


@pytest.mark.parametrize("tactic", ["TA9999", "ta0005", "defence-evasion", ""])
def test_a_misspelt_tactic_is_refused(packaged: Catalogue, tactic: str) -> None:
    with pytest.raises(UnknownTacticError) as caught:
        packaged.resolve_tactic("T1059", tactic)
    assert (caught.value.tactic, caught.value.release) == (tactic, "17")
    with pytest.raises(UnknownTacticError):
        packaged.tactic(tactic)


def test_a_catalogue_cannot_be_changed(packaged: Catalogue) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        packaged.release = "18"  # type: ignore[misc] # the refusal is what is tested
    with pytest.raises(TypeError):
        packaged.techniques["T1"] = packaged.technique("T1059")  # type: ignore[index] # likewise
