# SPDX-License-Identifier: AGPL-3.0-or-later
"""MITRE's terms, which every copy of ATT&CK data must carry.

The terms allow copying and commercial use on one condition: each copy reproduces the
copyright designation and the licence. So data and text travel together, always.
"""

from pathlib import Path
from typing import Final

from decnet_ttp.attack.errors import LicenceMissingError

LICENCE_FILE: Final = "LICENSE.txt"
"""The name of the licence text beside any ATT&CK data."""

PACKAGED_DIR: Final = Path(__file__).parent / "data"
"""The folder of the catalogue and licence text that come with the package."""

_MARKS: Final = ("The MITRE Corporation", "license to use ATT&CK")


def licence_beside(data_file: Path) -> Path:
    """Return the path of MITRE's licence text beside a data file.

    Raises:
        LicenceMissingError: There is no such file, or it is another text.
    """
    path = data_file.parent / LICENCE_FILE
    licence_text(path)
    return path


def licence_text(path: Path) -> str:
    """Return the licence text at a path.

    Raises:
        LicenceMissingError: There is no such file, or it is another text.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LicenceMissingError(path) from error
    if not is_licence(text):
        raise LicenceMissingError(path)
    return text


def is_licence(text: str) -> bool:
    """Tell whether a text carries MITRE's copyright designation and grant."""
    return all(mark in text for mark in _MARKS)


def packaged_licence() -> str:
    """Return the licence text that came with the package.

    Raises:
        LicenceMissingError: The installation lost it.
    """
    return licence_text(PACKAGED_DIR / LICENCE_FILE)
