# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where the rules directory that came with the program lies."""

from __future__ import annotations

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
