# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every floor a user may install is the version that the tests run on."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[a-z,]+\])?(>=|==)([^;,\s]+)$")
LOCKED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[a-z,]+\])?==([^ ;\\]+)", re.MULTILINE)


def floors() -> dict[str, str]:
    """Return the lowest version of each direct dependency of the installed program."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = list(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        listed += extra
    found = {}
    for requirement in listed:
        match = REQUIREMENT.match(requirement)
        assert match, requirement
        found[match[1].lower()] = match[3]
    return found


def locked(name: str) -> dict[str, str]:
    """Return the versions of a lock file by distribution."""
    return {match[1].lower(): match[2] for match in LOCKED.finditer((ROOT / name).read_text())}


def test_floors_are_the_versions_that_are_tested() -> None:
    versions = locked("requirements.lock")
    assert len(floors()) > 15
    assert {name: versions[name] for name in floors()} == floors()


def test_locks_agree_with_each_other() -> None:
    tested = locked("requirements.lock")
    shared = locked("requirements-runtime.lock")
    assert {name: tested[name] for name in shared if name in tested} == {
        name: version for name, version in shared.items() if name in tested
    }


def test_locks_name_no_place_to_fetch_from() -> None:
    for path in ROOT.glob("requirements*.lock"):
        assert "://" not in path.read_text()
