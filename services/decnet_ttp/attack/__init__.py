# SPDX-License-Identifier: AGPL-3.0-or-later
"""The ATT&CK catalogue: the compiled facts of Enterprise and ICS, loaded in milliseconds.

`load_catalogue` finds and loads it, `Catalogue` answers. The modules that compile one
(`compiler`, `stix_bundle`, `misp_galaxy`, `official`) are imported only by who compiles.
"""

from decnet_ttp.attack.catalogue import (
    Catalogue,
    Counts,
    Group,
    Provenance,
    Tactic,
    Technique,
    joined,
)
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
from decnet_ttp.attack.loader import default_cache_dir, load_catalogue, packaged_catalogue
from decnet_ttp.attack.tactics import DOMAIN_NAMES, ENTERPRISE_DOMAIN, ICS_DOMAIN

__all__ = [
    "DOMAIN_NAMES",
    "ENTERPRISE_DOMAIN",
    "ICS_DOMAIN",
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
    "joined",
    "load_catalogue",
    "packaged_catalogue",
]
