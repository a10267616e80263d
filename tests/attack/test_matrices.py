# SPDX-License-Identifier: AGPL-3.0-or-later
"""Enterprise and ICS side by side: each technique with its own matrix, tactics and release."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from decnet_ttp.attack import (
    Catalogue,
    CatalogueInvalidError,
    ReleaseUnknownError,
    UnknownTacticError,
    UnknownTechniqueError,
    compiler,
    joined,
    load_catalogue,
)
from decnet_ttp.attack.catalogue_file import FormatError, encode
from decnet_ttp.attack.licence import packaged_licence


@pytest.fixture
def ics(both: Catalogue) -> Catalogue:
    """The ICS catalogue alone."""
    return both.matrices[1]


def test_the_package_brings_both_matrices(both: Catalogue) -> None:
    assert [each.attack_release for each in both.matrices] == ["enterprise-v17", "ics-v15.0"]
    assert both.attack_release == "enterprise-v17"


def test_the_ics_matrix_is_compiled_from_the_official_bundle(ics: Catalogue) -> None:
    from mitreattack import release_info  # noqa: PLC0415 - heavy, for this test only

    assert ics.provenance.source_sha256 == release_info.STIX20["ics"][ics.release]


def test_the_ics_matrix_has_the_published_counts(ics: Catalogue) -> None:
    counts = ics.counts
    assert (counts.tactics, counts.techniques, counts.sub_techniques) == (12, 83, 0)
    assert (counts.revoked, counts.deprecated) == (0, 12)
    assert sum(len(each.tactics) for each in ics.techniques.values() if not each.deprecated) == 94


def test_ics_ids_have_their_own_ranges(ics: Catalogue) -> None:
    assert all(re.fullmatch(r"T0[0-9]{3}", each) for each in ics.techniques)
    assert set(ics.tactics) == {f"TA{number:04}" for number in range(100, 112)}


def test_stix_ids_are_unique_over_both(both: Catalogue) -> None:
    ids = [each.stix_id for each in both.techniques.values()]
    ids += [each.stix_id for each in both.tactics.values()]
    uuid = re.compile(r"[a-z-]+--[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
    assert len(set(ids)) == len(ids)
    assert all(uuid.fullmatch(each) for each in ids)


def test_an_ics_technique_carries_mitres_own_facts(both: Catalogue) -> None:
    control = both.technique("T0831")
    assert control.name == "Manipulation of Control"
    assert control.tactics == ("TA0105",)
    assert control.stix_id == "attack-pattern--1af9e3fd-2bcc-414d-adbd-fe3b95c02ca1"
    assert control.link == "https://attack.mitre.org/techniques/T0831"
    assert both.tactic_name("TA0106") == "Impair Process Control"
    assert both.matrix_of("T0831").attack_release == "ics-v15.0"
    assert both.matrix_of("T1059.004").attack_release == "enterprise-v17"


def test_tactics_of_ics_follow_enterprises(both: Catalogue) -> None:
    order = list(both.tactics)
    assert order.index("TA0040") + 1 == order.index("TA0108")


def test_a_shared_short_name_is_enterprises_unless_a_technique_says_otherwise(
    both: Catalogue,
) -> None:
    assert both.tactic("discovery").id == "TA0007"
    assert both.resolve_tactic("T0846", "discovery").id == "TA0102"
    assert both.tactic("impair-process-control").id == "TA0106"


@pytest.mark.parametrize(
    ("technique_id", "tactic"),
    [("T0831", "TA0040"), ("T0831", "TA0112"), ("T1046", "TA0102"), ("T1485", "TA0105")],
)
def test_a_tactic_of_the_other_matrix_is_refused(
    both: Catalogue, technique_id: str, tactic: str
) -> None:
    with pytest.raises(UnknownTacticError):
        both.resolve_tactic(technique_id, tactic)


def test_a_tactic_that_moved_within_the_matrix_resolves(both: Catalogue) -> None:
    assert both.resolve_tactic("T0831", "TA0106").id == "TA0105"


def test_an_id_of_neither_matrix_is_refused(both: Catalogue) -> None:
    with pytest.raises(UnknownTechniqueError):
        both.matrix_of("T0999")


def test_matrices_with_ids_in_common_are_not_joined(both: Catalogue) -> None:
    with pytest.raises(ValueError, match="ids of another matrix"):
        joined(both.matrices[0], both.matrices[0])


def test_a_file_is_of_one_matrix(both: Catalogue, ics: Catalogue) -> None:
    with pytest.raises(FormatError, match="several matrices"):
        encode(both)
    path = ics.provenance.path
    assert path is not None
    assert encode(ics) == path.read_bytes()
    assert len(encode(ics)) < 12_000


def test_each_matrix_comes_from_the_cache_where_that_has_it(tmp_path: Path, ics: Catalogue) -> None:
    compiler.install(dataclasses.replace(ics, release="18.0"), tmp_path, packaged_licence())
    loaded = load_catalogue(cache_dir=tmp_path)
    assert [each.attack_release for each in loaded.matrices] == ["enterprise-v17", "ics-v18.0"]
    assert [each.provenance.origin for each in loaded.matrices] == ["packaged", "cache"]
    assert (tmp_path / "LICENSE.txt").is_file()


@pytest.mark.parametrize("named", [True, False])
def test_a_bundle_of_ics_is_known_by_its_matrix(
    make_bundle: Callable[[str], bytes],
    named: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """MITRE's older bundles give the matrix a number of its own; its page tells the domain."""
    bundle = json.loads(make_bundle("2.0"))
    for item in bundle["objects"]:
        for reference in item.get("external_references", ()):
            if reference["source_name"] == "mitre-attack":
                reference["source_name"] = "mitre-attack" if named else "mitre-ics-attack"
        if item["type"] == "x-mitre-matrix":
            reference = item["external_references"][-1]
            reference["external_id"] = "ics-attack" if named else "MA0010"
            reference["url"] = "https://attack.mitre.org/matrices/ics/"
    path = Path("ics-attack-98.7.json")
    built = compiler.build_from_stix(path, json.dumps(bundle).encode())
    assert built.attack_release == "ics-v98.7"
    assert built.technique("T9001").tactics == ("TA0002", "TA0040")
    with pytest.raises(ReleaseUnknownError):
        compiler.build_from_stix(Path("enterprise-attack-98.7.json"), json.dumps(bundle).encode())


def test_a_catalogue_of_the_other_domain_is_refused(tmp_path: Path, ics: Catalogue) -> None:
    (tmp_path / "LICENSE.txt").write_text(packaged_licence(), encoding="utf-8")
    bundle = tmp_path / "ics.json"
    bundle.write_bytes(encode(ics))
    with pytest.raises(CatalogueInvalidError, match="of the domain ics-attack"):
        load_catalogue(bundle=bundle, cache_dir=tmp_path / "c")
