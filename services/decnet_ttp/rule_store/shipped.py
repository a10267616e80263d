# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where the rules that came with the program lie."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Final

from decnet_ttp.rule_store.loader import RULES_FOLDER, RulesDirectoryMissingError

_PACKAGE: Final = "decnet_ttp"


def shipped_rules_dir() -> Path:
    """Return the rules directory within the installed package, or that of the checkout.

    Raises:
        RulesDirectoryMissingError: The installation holds no rules.
    """
    package = Path(str(files(_PACKAGE)))
    # A checkout keeps the rules at its root, two levels above the package.
    candidates = (package / "rules", package.parents[1] / "rules")
    for candidate in candidates:
        if (candidate / RULES_FOLDER).is_dir():
            return candidate
    raise RulesDirectoryMissingError(
        "this installation holds no rules; install it anew, or point DECNET_TTP_RULES_DIR at some",
        looked_in=", ".join(map(str, candidates)),
    )
