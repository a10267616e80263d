# SPDX-License-Identifier: AGPL-3.0-or-later
"""Official bundles of both STIX versions become the same facts."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from decnet_ttp.attack import (
    BuilderMissingError,
    Catalogue,
    CatalogueInvalidError,
    ReleaseUnknownError,
)
from decnet_ttp.attack.catalogue_file import encode
from decnet_ttp.attack.compiler import build_from_stix
from decnet_ttp.attack.stix_bundle import catalogue_from_stix

BundleMaker = Callable[[str], bytes]


@pytest.fixture(params=["2.0", "2.1"])
def small(request: pytest.FixtureRequest, make_bundle: BundleMaker) -> Catalogue:
    return catalogue_from_stix(make_bundle(request.param), Path("small.json"), release="99.1")


def test_tactics_stand_in_the_order_of_the_matrix(small: Catalogue) -> None:
    assert list(small.tactics) == ["TA0002", "TA0040"]
    assert small.technique("T9001").tactics == ("TA0002", "TA0040")


def test_a_sub_technique_names_its_parent_and_its_page(small: Catalogue) -> None:
    child = small.technique("T9001.001")
    assert child.parent == "T9001"
    assert child.name == "With a Spoon"
    assert small.full_name("T9001.001") == "Stirring: With a Spoon"
    assert child.link == "https://attack.mitre.org/techniques/T9001/001"
    assert child.stix_id.startswith("attack-pattern--")


def test_revocations_lead_on_through_every_step(small: Catalogue) -> None:
    assert small.technique("T8001").revoked_by == "T8002"
    assert small.resolve("T8001").id == "T9001.001"


def test_a_deprecated_technique_stays_itself(small: Catalogue) -> None:
    assert small.resolve("T9002").deprecated


def test_group_use_counts_campaigns_and_leaves_out_what_is_withdrawn(small: Catalogue) -> None:
    assert small.technique("T9001.001").groups == ("G9001", "G9003")
    assert small.technique("T9001").groups == ()
    assert small.groups["G9001"].aliases == ("The Kitchen",)
    assert small.groups["G9002"].revoked


def test_the_same_bundle_gives_the_same_bytes(make_bundle: BundleMaker) -> None:
    first, second = (
        encode(catalogue_from_stix(make_bundle("2.1"), Path("small.json"))) for _ in range(2)
    )
    assert first == second


def test_the_collection_says_the_release(make_bundle: BundleMaker) -> None:
    built = catalogue_from_stix(make_bundle("2.1"), Path("small.json"))
    assert built.attack_release == "enterprise-v99.1"


def test_a_contradicting_release_is_refused(make_bundle: BundleMaker) -> None:
    with pytest.raises(CatalogueInvalidError, match=r"holds release 99\.1, not 17"):
        catalogue_from_stix(make_bundle("2.1"), Path("small.json"), release="17")


def test_the_official_file_name_says_the_release_when_nothing_else_does(
    make_bundle: BundleMaker,
) -> None:
    named = Path("enterprise-attack-98.7.json.xz")
    assert catalogue_from_stix(make_bundle("2.0"), named).release == "98.7"


def test_a_bundle_of_unknown_release_is_refused(make_bundle: BundleMaker) -> None:
    with pytest.raises(ReleaseUnknownError, match="--release NUMBER"):
        catalogue_from_stix(make_bundle("2.0"), Path("small.json"))


@pytest.mark.parametrize(
    "data",
    [
        b"not json",
        b"[]",
        b'{"type":"bundle"}',
        b'{"type":"bundle","objects":[1]}',
        b'{"type":"bundle","objects":[]}',
        b'{"type":"bundle","objects":[{"external_references":[1]}]}',
    ],
)
def test_what_is_no_enterprise_bundle_is_refused(data: bytes) -> None:
    with pytest.raises(CatalogueInvalidError):
        catalogue_from_stix(data, Path("small.json"), release="17")


def test_every_damaged_object_is_refused_in_one_line(make_bundle: BundleMaker) -> None:
    whole = json.loads(make_bundle("2.1"))
    for at, item in enumerate(whole["objects"]):
        for key in ("id", "name", "external_references", "x_mitre_shortname", "tactic_refs"):
            if key in item:
                damaged = json.loads(json.dumps(whole))
                damaged["objects"][at][key] = 5
                try:
                    catalogue_from_stix(json.dumps(damaged).encode(), Path("x.json"))
                except CatalogueInvalidError as error:
                    assert "\n" not in str(error)  # noqa: PT017 - damage that does no harm is fine


def test_without_the_extra_the_error_names_it(
    make_bundle: BundleMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mitreattack.stix20", None)
    with pytest.raises(BuilderMissingError, match=r"pip install 'decnet-ttp\[attack\]'"):
        catalogue_from_stix(make_bundle("2.1"), Path("small.json"))


@pytest.fixture(scope="module")
def real(shared_attack: Path) -> Catalogue:
    path = shared_attack / "enterprise-attack-18.1.stix20-rebuilt.json.xz"
    return build_from_stix(path, path.read_bytes())


@pytest.mark.shared
def test_the_real_release_has_the_published_counts(real: Catalogue) -> None:
    assert real.attack_release == "enterprise-v18.1"
    assert (real.counts.tactics, real.counts.techniques) == (14, 216)
    assert (real.counts.sub_techniques, real.counts.groups) == (475, 172)


@pytest.mark.shared
def test_every_id_of_the_real_release_resolves(real: Catalogue, shared_attack: Path) -> None:
    assert real.unresolved(real.techniques) == ()
    later = json.loads((shared_attack / "revoked-18.1-to-19.0.json").read_text())
    assert all(not real.technique(each).revoked for each in later)


@pytest.mark.shared
def test_both_sources_agree_on_what_both_hold(real: Catalogue, packaged: Catalogue) -> None:
    renamed = {"T1497.003", "T1552.003"}
    for technique in packaged.techniques.values():
        later = real.technique(technique.id)
        assert technique.stix_id == later.stix_id
        assert technique.tactics == later.tactics
        assert (technique.revoked_by, technique.deprecated) == (later.revoked_by, later.deprecated)
        assert technique.name == later.name or technique.id in renamed
    assert packaged.tactics == real.tactics
