# SPDX-License-Identifier: AGPL-3.0-or-later
"""Who may import whom, read from the sources and held in a real process."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from architecture.tree import PACKAGE, files, is_generated, name

SHARED = {"core", "runtime", "attack", "matching", "v1"}
SERVICES = ("attribution", "ingest", "rule_store", "tag_store", "tagger")

#: What each package may import besides itself. A new package has to be named here.
ALLOWED: dict[str, set[str]] = {
    "core": set(),
    "runtime": {"core", "v1"},
    "v1": set(),
    "attack": {"core"},
    "matching": {"core", "v1"},
    "sources": {"core"},
    "embedded": {"core", "runtime"},
    **dict.fromkeys(SERVICES, SHARED),
    "cli": SHARED | {"embedded", "sources", *SERVICES},
}

#: Names in the top package that anybody may use.
_TOP = {"program_version"}

#: Reads settings, or hands an environment to child processes; nobody else looks at it.
_READ_ENVIRONMENT = {
    "services/decnet_ttp/runtime/config.py": "the one reader of settings",
    "services/decnet_ttp/attack/loader.py": "the user's cache directory, by its standard variable",
    "services/decnet_ttp/cli/backfill.py": "the user's state directory, by its standard variable",
    "services/decnet_ttp/embedded/daemon.py": "passed on to the child",
    "services/decnet_ttp/embedded/layout.py": "the user's data directory, by its standard variable",
    "services/decnet_ttp/embedded/services.py": "passed on to the child",
    "services/decnet_ttp/embedded/socket_dir.py": "the user's runtime directory, likewise",
}


def _sources() -> list[Path]:
    return [
        path
        for path in files()
        if path.suffix == ".py" and path.is_relative_to(PACKAGE) and not is_generated(path)
    ]


def _part(path: Path) -> str:
    inside = path.relative_to(PACKAGE)
    return inside.parts[0] if len(inside.parts) > 1 else ""


def _imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and absolute name of every import, also of those inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide who imports whom"
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def test_every_package_was_visited() -> None:
    """An empty walk would let everything pass."""
    parts = {_part(path) for path in _sources()} - {""}
    assert parts == set(ALLOWED)
    assert len(_sources()) > 100


def test_packages_import_only_what_they_may() -> None:
    wrong = []
    for path in _sources():
        part = _part(path)
        for line, imported in _imported(ast.parse(path.read_text(encoding="utf-8"))):
            first, _, rest = imported.partition(".")
            target = rest.partition(".")[0]
            if first != "decnet_ttp" or target in _TOP or target == part:
                continue
            if target not in ALLOWED.get(part, set()):
                wrong.append(f"{name(path)}:{line}: {part} imports {imported}")
    assert wrong == []


def test_only_settings_read_the_environment() -> None:
    """A switch that is read deep inside is one that nobody finds."""
    readers = set()
    for path in _sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}:
                readers.add(name(path))
    assert readers <= set(_READ_ENVIRONMENT)


def _swallows_everything(handler: ast.ExceptHandler) -> bool:
    """Whether a handler takes any error and does not pass it on unchanged."""
    last = handler.body[-1]
    if isinstance(last, ast.Raise) and last.exc is None:
        return False
    if handler.type is None:
        return True
    caught = {item.id for item in ast.walk(handler.type) if isinstance(item, ast.Name)}
    return bool(caught & {"Exception", "BaseException"})


def test_broad_handlers_stand_in_two_places() -> None:
    """The RPC boundary, and the wrapper that lets one lifter's failure cost its own tags only."""
    found = {
        name(path)
        for path in _sources()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler) and _swallows_everything(node)
    }
    assert found == {
        "services/decnet_ttp/runtime/boundary.py",
        "services/decnet_ttp/tagger/lifting.py",
    }


@pytest.mark.parametrize("service", SERVICES)
def test_service_starts_without_heavy_or_foreign_modules(service: str) -> None:
    """No STIX stack, no console, no supervisor and no other service is in a service's memory."""
    others = [f"decnet_ttp.{other}" for other in (*SERVICES, "cli", "embedded") if other != service]
    heavy = [*others, "stix2", "mitreattack", "pymispgalaxies", "rich", "click", "hypothesis"]
    program = (
        f"import sys, decnet_ttp.{service}.app; print(*sorted(set({heavy!r}) & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )
    assert done.stdout.split() == []
