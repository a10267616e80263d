# SPDX-License-Identifier: AGPL-3.0-or-later
"""The shipped catalogue is what the MISP galaxy compiles to, with ATT&CK's own names."""

import re
import shutil
from pathlib import Path

import orjson
import pytest

from decnet_ttp.attack import Catalogue, CatalogueInvalidError, ReleaseUnknownError, misp_galaxy
from decnet_ttp.attack.catalogue_file import encode
from decnet_ttp.attack.errors import BuilderMissingError


@pytest.fixture
def clusters(tmp_path: Path) -> Path:
    """A copy of the two clusters that may be changed."""
    for name in (misp_galaxy.TECHNIQUES_FILE, misp_galaxy.GROUPS_FILE):
        shutil.copy(misp_galaxy.clusters_dir() / name, tmp_path / name)
    return tmp_path


def _change(folder: Path, name: str, key: str, value: object) -> None:
    document = orjson.loads((folder / name).read_bytes())
    (folder / name).write_bytes(orjson.dumps(document | {key: value}))


def test_the_shipped_catalogue_is_built_from_the_galaxy(packaged: Catalogue) -> None:
    built = misp_galaxy.catalogue_from_galaxy(misp_galaxy.clusters_dir())
    assert packaged.provenance.path is not None
    assert encode(built) == packaged.provenance.path.read_bytes()


def test_no_name_keeps_the_galaxys_suffix(packaged: Catalogue) -> None:
    names = [t.name for t in packaged.techniques.values()]
    names += [g.name for g in packaged.groups.values()]
    assert not [name for name in names if re.search(r" - [TG]\d{4}", name)]


def test_other_domains_are_left_out(packaged: Catalogue) -> None:
    assert "T1393" not in packaged.techniques  # PRE-ATT&CK
    assert "T1445" not in packaged.techniques  # Mobile
    assert "G1029" not in packaged.groups  # Mobile


def test_every_technique_has_a_tactic_and_every_sub_technique_a_parent(
    packaged: Catalogue,
) -> None:
    for technique in packaged.techniques.values():
        assert technique.tactics
        assert technique.parent is None or technique.parent in packaged.techniques


def test_an_unknown_galaxy_needs_the_release_said(clusters: Path) -> None:
    _change(clusters, misp_galaxy.TECHNIQUES_FILE, "version", 99)
    with pytest.raises(ReleaseUnknownError, match="version 99"):
        misp_galaxy.catalogue_from_galaxy(clusters)
    built = misp_galaxy.catalogue_from_galaxy(clusters, release="18.1")
    assert built.attack_release == "enterprise-v18.1"


@pytest.mark.parametrize("value", [None, {}, [{}], [{"meta": {}}], [5]])
def test_a_changed_cluster_is_refused(clusters: Path, value: object) -> None:
    _change(clusters, misp_galaxy.GROUPS_FILE, "values", value or None)
    with pytest.raises(CatalogueInvalidError):
        misp_galaxy.catalogue_from_galaxy(clusters)


def test_a_new_tactic_is_refused_rather_than_lost(clusters: Path) -> None:
    path = clusters / misp_galaxy.TECHNIQUES_FILE
    path.write_bytes(path.read_bytes().replace(b"attack-Linux:impact", b"attack-Linux:new-one"))
    with pytest.raises(CatalogueInvalidError, match="new-one"):
        misp_galaxy.catalogue_from_galaxy(clusters)


def test_an_absent_cluster_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogueInvalidError, match="No such file"):
        misp_galaxy.catalogue_from_galaxy(tmp_path)


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(misp_galaxy, "find_spec", lambda _name: None)
    with pytest.raises(BuilderMissingError, match="pymispgalaxies is not installed"):
        misp_galaxy.clusters_dir()
