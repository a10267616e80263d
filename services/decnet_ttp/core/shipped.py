# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where the rules directory that came with the program lies, and what lies beside the rules."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import file_digest
from importlib.resources import files
from pathlib import Path
from typing import Final

_PACKAGE: Final = "decnet_ttp"


def shipped_folders(folder: str) -> tuple[Path, ...]:
    """Return where a folder of the shipped rules may lie: in the package, or in the checkout.

    Args:
        folder: Name of the folder within the rules directory.
    """
    package = Path(str(files(_PACKAGE)))
    # A checkout keeps the rules at its root, two levels above the package.
    return (package / "rules" / folder, package.parents[1] / "rules" / folder)


def data_paths(folder: str, name: str, rules_dir: Path | None) -> tuple[Path, ...]:
    """Return where a file beside the rules may lie, the operator's first; the first there counts.

    Args:
        folder: Name of the folder within a rules directory.
        name: Name of the file.
        rules_dir: The operator's rules directory; None for that of the program.
    """
    folders = shipped_folders(folder)
    own = () if rules_dir is None else (rules_dir / folder,)
    return tuple(each / name for each in (*own, *folders))


def data_digest(paths: Iterable[Path]) -> str:
    """Return the SHA-256, in hex, of the first file that can be read; empty where there is none."""
    for path in paths:
        try:
            with path.open("rb") as file:
                return file_digest(file, "sha256").hexdigest()
        except OSError:
            continue
    return ""
