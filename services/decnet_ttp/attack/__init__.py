# SPDX-License-Identifier: AGPL-3.0-or-later
"""The ATT&CK catalogue: the compiled facts of one release, loaded in milliseconds.

`load_catalogue` finds and loads it, `Catalogue` answers. The modules that compile one
(`compiler`, `stix_bundle`, `misp_galaxy`, `official`) are imported only by who compiles.
"""

from decnet_ttp.attack.catalogue import Catalogue, Counts, Group, Provenance, Tactic, Technique
from decnet_ttp.attack.errors import (
    AttackError,
    BuilderMissingError,
    CatalogueInvalidError,
    DigestMismatchError,
    DownloadFailedError,
    LicenceMissingError,
    ReleaseUnknownError,
    UnknownTacticError,
    UnknownTechniqueError,
)
from decnet_ttp.attack.loader import default_cache_dir, load_catalogue

__all__ = [
    "AttackError",
    "BuilderMissingError",
    "Catalogue",
    "CatalogueInvalidError",
    "Counts",
    "DigestMismatchError",
    "DownloadFailedError",
    "Group",
    "LicenceMissingError",
    "Provenance",
    "ReleaseUnknownError",
    "Tactic",
    "Technique",
    "UnknownTacticError",
    "UnknownTechniqueError",
    "default_cache_dir",
    "load_catalogue",
]
