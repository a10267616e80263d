# SPDX-License-Identifier: AGPL-3.0-or-later
"""deploy/Dockerfile and the lock of what it installs, read without Docker."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()


def pins(name: str) -> dict[str, str]:
    """Package -> version of a lock."""
    found = re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", (ROOT / name).read_text(), re.MULTILINE)
    return dict(found)


def normalized(requirement: str) -> str:
    """The name within a requirement, as locks write it."""
    return re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def test_runtime_lock_holds_what_is_tested() -> None:
    """The same versions as the locked environment of the tests, and nothing else."""
    assert pins("requirements-runtime.lock").items() <= pins("requirements.lock").items()


def test_runtime_lock_has_every_dependency_and_no_more() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    runtime = pins("requirements-runtime.lock").keys()
    assert {normalized(item) for item in project["dependencies"]} <= runtime
    for extra in project["optional-dependencies"].values():
        assert not {normalized(item) for item in extra} & runtime
    assert not {"pytest", "mypy", "ruff", "hatchling", "grpcio-tools"} & runtime


def test_runtime_lock_is_hashed_and_names_no_registry() -> None:
    text = (ROOT / "requirements-runtime.lock").read_text()
    assert "://" not in text
    assert not text.startswith("-")
    for entry in re.split(r"\n(?=[a-z])", text.strip()):
        assert "--hash=sha256:" in entry, entry.splitlines()[0]


def test_image_runs_as_an_ordinary_user_and_installs_by_hash() -> None:
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER 10001$", last_stage, re.MULTILINE)
    assert 'ENTRYPOINT ["decnet-ttp"]' in last_stage
    assert "--require-hashes -r requirements-runtime.lock" in DOCKERFILE
    assert "://" not in DOCKERFILE


def test_bases_name_their_version() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert set(bases) == {"${PYTHON_IMAGE}"}
    assert "\nARG PYTHON_IMAGE=python:3.12-slim\n" in DOCKERFILE


def test_image_says_what_it_is_and_what_is_inside() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    labels = dict(re.findall(r'org\.opencontainers\.image\.([a-z.]+)="([^"]*)"', DOCKERFILE))
    assert labels["version"] == version
    assert labels.keys() >= {"title", "description", "licenses", "revision", "base.name"}
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    assert "\nCOPY requirements-runtime.lock /opt/decnet-ttp/\n" in last_stage


def test_nothing_is_built_in_the_stage_that_runs() -> None:
    """Compilers and caches stay in the first stage; the second only copies."""
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    assert not re.search(r"pip|apt-get|wheel", last_stage)


def test_build_sees_only_what_it_copies() -> None:
    """A data directory, a key or an .env must not reach an image."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
        for source in line.split()
    }
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied
