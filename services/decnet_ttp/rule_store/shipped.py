# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where the rules that came with the program lie."""

from __future__ import annotations

from pathlib import Path

from decnet_ttp.core.shipped import shipped_folders
from decnet_ttp.rule_store.loader import RULES_FOLDER, RulesDirectoryMissingError


def shipped_rules_dir() -> Path:
    """Return the rules directory within the installed package, or that of the checkout.

    Raises:
        RulesDirectoryMissingError: The installation holds no rules.
    """
    candidates = shipped_folders(RULES_FOLDER)
    for candidate in candidates:
        if candidate.is_dir():
            return candidate.parent
    raise RulesDirectoryMissingError(
        "this installation holds no rules; install it anew, or point DECNET_TTP_RULES_DIR at some",
        looked_in=", ".join(map(str, candidates)),
    )
