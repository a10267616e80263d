# SPDX-License-Identifier: AGPL-3.0-or-later
"""A small ATT&CK of our own making, as STIX 2.0 and 2.1, and the shared real one."""

import json
import os
import random
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from decnet_ttp.attack import Catalogue, load_catalogue, packaged_catalogue
from decnet_ttp.attack.licence import packaged_licence

BundleMaker = Callable[[str], bytes]


@pytest.fixture(scope="session")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """The Enterprise catalogue that comes with the package."""
    return load_catalogue(cache_dir=tmp_path_factory.mktemp("no-cache")).matrices[0]


@pytest.fixture(scope="session")
def both() -> Catalogue:
    """The catalogues that come with the package, joined."""
    return packaged_catalogue()


@pytest.fixture(scope="session")
def shared_attack() -> Path:
    """The folder of the real 18.1 bundle; its tests skip where it is absent."""
    root = os.environ.get("DECNET_TTP_SHARED") or Path(__file__).parents[3] / "shared"
    folder = Path(root) / "data" / "attack"
    if not folder.is_dir():
        pytest.skip("the shared data folder is not here")
    return folder


@pytest.fixture
def licensed(tmp_path: Path) -> Path:
    """A folder that holds MITRE's licence text and nothing else."""
    folder = tmp_path / "licensed"
    folder.mkdir()
    (folder / "LICENSE.txt").write_text(packaged_licence(), encoding="utf-8")
    return folder


class _Bundle:
    """Writes STIX objects with stable ids and the fields each version demands."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._ids = random.Random(7)  # noqa: S311 - ids that stay the same
        self.objects: list[dict[str, Any]] = []

    def add(self, kind: str, external_id: str = "", **fields: Any) -> str:
        number = uuid.UUID(int=self._ids.getrandbits(128), version=4)
        item: dict[str, Any] = {
            "type": kind,
            "id": f"{kind}--{number}",
            "created": "2020-01-01T00:00:00.000Z",
            "modified": "2020-01-01T00:00:00.000Z",
            **fields,
        }
        if external_id:
            item["external_references"] = [
                {"source_name": "some report", "description": "not the id"},
                {"source_name": "mitre-attack", "external_id": external_id},
            ]
        if self._version == "2.1":
            item["spec_version"] = "2.1"
        self.objects.append(item)
        return str(item["id"])

    def relate(self, source: str, kind: str, target: str, **fields: Any) -> None:
        self.add(
            "relationship", relationship_type=kind, source_ref=source, target_ref=target, **fields
        )


def _phases(*names: str) -> list[dict[str, str]]:
    return [{"kill_chain_name": "mitre-attack", "phase_name": name} for name in names]


def _bundle(version: str) -> bytes:
    made = _Bundle(version)
    impact = made.add(
        "x-mitre-tactic", "TA0040", name="Impact", x_mitre_shortname="impact", description="x"
    )
    execution = made.add(
        "x-mitre-tactic", "TA0002", name="Execution", x_mitre_shortname="execution", description="x"
    )
    made.add(
        "x-mitre-matrix",
        "enterprise-attack",
        name="Enterprise",
        description="x",
        tactic_refs=[execution, impact],
    )
    parent = made.add(
        "attack-pattern",
        "T9001",
        name="Stirring",
        kill_chain_phases=_phases("impact", "execution"),
    )
    child = made.add(
        "attack-pattern",
        "T9001.001",
        name="With a Spoon",
        kill_chain_phases=_phases("execution"),
        x_mitre_is_subtechnique=True,
    )
    made.relate(child, "subtechnique-of", parent)
    older = made.add("attack-pattern", "T8002", name="Shaking", revoked=True)
    oldest = made.add("attack-pattern", "T8001", name="Rattling", revoked=True)
    made.relate(oldest, "revoked-by", older)
    made.relate(older, "revoked-by", child)
    made.add(
        "attack-pattern",
        "T9002",
        name="Given Up",
        kill_chain_phases=_phases("impact"),
        x_mitre_deprecated=True,
    )
    cooks = made.add("intrusion-set", "G9001", name="Cooks", aliases=["Cooks", "The Kitchen"])
    gone = made.add("intrusion-set", "G9002", name="Gone", aliases=["Gone"], revoked=True)
    diners = made.add("intrusion-set", "G9003", name="Diners")
    supper = made.add(
        "campaign",
        "C9001",
        name="Supper",
        description="x",
        aliases=["Supper"],
        first_seen="2020-01-01T00:00:00Z",
        last_seen="2020-01-02T00:00:00Z",
    )
    made.relate(cooks, "uses", child)
    made.relate(gone, "uses", child)
    made.relate(supper, "attributed-to", diners)
    made.relate(supper, "uses", child)
    made.relate(cooks, "uses", parent, x_mitre_deprecated=True)
    bundle: dict[str, Any] = {"type": "bundle", "id": f"bundle--{uuid.UUID(int=1, version=4)}"}
    if version == "2.1":
        made.add("x-mitre-collection", name="Enterprise", x_mitre_version="99.1")
    else:
        bundle["spec_version"] = "2.0"
    return json.dumps(bundle | {"objects": made.objects}).encode()


@pytest.fixture(scope="session")
def make_bundle() -> BundleMaker:
    """Write the small ATT&CK as STIX "2.0" or "2.1"; only 2.1 says its release, 99.1."""
    return _bundle
