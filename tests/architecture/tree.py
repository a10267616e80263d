# SPDX-License-Identifier: AGPL-3.0-or-later
"""The files of the project: those git tracks, or all of an unpacked source distribution."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "services" / "decnet_ttp"
GENERATED = PACKAGE / "v1"

_NOT_OURS = {
    ".git",
    ".venv",
    ".tools",
    ".hypothesis",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    "__pycache__",
    "build",
    "dist",
}


@cache
def files() -> tuple[Path, ...]:
    """Return every file of the project that is there."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
        )
        found = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        found = list(ROOT.rglob("*"))
    return tuple(
        sorted(
            path
            for path in found
            if path.is_file() and not _NOT_OURS & set(path.relative_to(ROOT).parts)
        )
    )


def is_generated(path: Path) -> bool:
    """Whether protoc wrote it."""
    return path.parent == GENERATED and "_pb2" in path.name


def name(path: Path) -> str:
    """Return the path as people write it."""
    return path.relative_to(ROOT).as_posix()
