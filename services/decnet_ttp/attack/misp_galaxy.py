# SPDX-License-Identifier: AGPL-3.0-or-later
"""Compiling the MISP galaxy's Enterprise clusters, for machines that reach only a package registry.

The galaxy carries MITRE's names, STIX ids, tactics, parents, revocations and direct group
use. What it lacks is supplied here: tactic ids (from `decnet_ttp.attack.tactics`), the
release, and which techniques and groups are deprecated or belong to another domain.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import orjson

from decnet_ttp.attack.catalogue import (
    Catalogue,
    Group,
    Provenance,
    Tactic,
    Technique,
    technique_link,
)
from decnet_ttp.attack.errors import (
    BuilderMissingError,
    CatalogueInvalidError,
    ReleaseUnknownError,
)
from decnet_ttp.attack.tactics import ENTERPRISE_DOMAIN, ENTERPRISE_TACTICS

TECHNIQUES_FILE: Final = "mitre-attack-pattern.json"
GROUPS_FILE: Final = "mitre-intrusion-set.json"

_RELEASE_OF_VERSION: Final[Mapping[int, str]] = {33: "17"}
"""ATT&CK release by the version of the technique cluster, which alone tells them apart."""

_ENTERPRISE_CHAIN: Final = "attack-"
"""Kill chains are named by platform: ``attack-Linux``; other domains put a word before it."""

_DEPRECATED: Final = re.compile(r"\**This (sub-)?technique (has been|is) deprecated\b")
"""How MITRE opens the description of what it deprecates; the galaxy drops the flag itself."""

_DEPRECATED_GROUPS: Final = frozenset(
    {"G0014", "G0015", "G0031", "G0072", "G0101", "G0104", "G0116", "G0132", "G0141"}
)
"""Groups whose deprecation the galaxy does not show; most became campaigns."""

_MOBILE_GROUPS: Final = frozenset({"G0097", "G1029"})
"""Groups that only the Mobile domain has; the galaxy mixes the domains' groups."""


def clusters_dir() -> Path:
    """Return the folder of the clusters that pymispgalaxies brings.

    Raises:
        BuilderMissingError: pymispgalaxies is not installed.
    """
    spec = find_spec("pymispgalaxies")
    if spec is None or spec.origin is None:
        raise BuilderMissingError("pymispgalaxies")
    return Path(spec.origin).parent / "data" / "misp-galaxy" / "clusters"


def catalogue_from_galaxy(folder: Path, *, release: str | None = None) -> Catalogue:
    """Compile the technique and group clusters of a folder.

    The source's sha256 is that of the two files' bytes, techniques first.

    Args:
        folder: The galaxy's ``clusters`` folder, see `clusters_dir`.
        release: The ATT&CK release; needed only for clusters not known here.

    Raises:
        CatalogueInvalidError: A cluster is absent or not as the galaxy writes it.
        ReleaseUnknownError: Clusters of an unknown version, and no ``release``.
    """
    parts = [_read(folder / name) for name in (TECHNIQUES_FILE, GROUPS_FILE)]
    try:
        techniques, groups = (orjson.loads(part) for part in parts)
        number = _RELEASE_OF_VERSION.get(techniques["version"], release)
        if number is None:
            raise ReleaseUnknownError(f"MISP galaxy cluster version {techniques['version']}")
        tactics = _tactics()
        return Catalogue(
            domain=ENTERPRISE_DOMAIN,
            release=number,
            provenance=Provenance(
                source=(
                    f"MISP galaxy, clusters mitre-attack-pattern {techniques['version']} "
                    f"and mitre-intrusion-set {groups['version']}"
                ),
                source_sha256=hashlib.sha256(b"".join(parts)).hexdigest(),
            ),
            tactics=tactics,
            techniques=_techniques(techniques["values"], groups["values"], tactics),
            groups={group.id: group for group in _groups(groups["values"])},
        )
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        reason = f"it is not as the galaxy writes it ({type(error).__name__}: {error})"
        raise CatalogueInvalidError(folder, reason) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CatalogueInvalidError(path, error.strerror or "unreadable") from error


def _tactics() -> dict[str, Tactic]:
    return {
        each.id: Tactic(
            id=each.id,
            short_name=each.short_name,
            name=each.name,
            stix_id=f"x-mitre-tactic--{each.uuid}",
            link=f"https://attack.mitre.org/tactics/{each.id}",
        )
        for each in ENTERPRISE_TACTICS
    }


def _name(value: Mapping[str, Any]) -> str:
    """Return MITRE's own name: the galaxy writes ``Unix Shell - T1059.004``."""
    name: str = value["value"]
    return name.removesuffix(f" - {value['meta']['external_id']}")


def _related(value: Mapping[str, Any], kind: str) -> Iterable[str]:
    return (each["dest-uuid"] for each in value.get("related", ()) if each["type"] == kind)


def _chains(value: Mapping[str, Any]) -> set[str]:
    """Return the Enterprise tactics' short names; empty for another domain's technique."""
    chains = value["meta"].get("kill_chain", ())
    return {each.partition(":")[2] for each in chains if each.startswith(_ENTERPRISE_CHAIN)}


def _groups(values: Iterable[Mapping[str, Any]]) -> Iterable[Group]:
    for value in values:
        id_, name = value["meta"]["external_id"], _name(value)
        if id_ in _MOBILE_GROUPS:
            continue
        yield Group(
            id=id_,
            name=name,
            aliases=tuple(each for each in value["meta"].get("synonyms", ()) if each != name),
            stix_id=f"intrusion-set--{value['uuid']}",
            link=f"https://attack.mitre.org/groups/{id_}",
            revoked=bool(value.get("revoked", False)),
            deprecated=id_ in _DEPRECATED_GROUPS,
        )


def _users(groups: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Map a technique's uuid to the ids of the groups in force that use it."""
    users: dict[str, list[str]] = {}
    left_out = _MOBILE_GROUPS | _DEPRECATED_GROUPS
    for value in groups:
        id_ = value["meta"]["external_id"]
        if value.get("revoked") or id_ in left_out:
            continue
        for uuid in _related(value, "uses"):
            users.setdefault(uuid, []).append(id_)
    return users


def _techniques(
    values: Iterable[Mapping[str, Any]],
    groups: Iterable[Mapping[str, Any]],
    tactics: Mapping[str, Tactic],
) -> dict[str, Technique]:
    enterprise = [value for value in values if _chains(value)]
    id_of = {value["uuid"]: value["meta"]["external_id"] for value in enterprise}
    users = _users(groups)
    techniques = {}
    for value in enterprise:
        id_ = value["meta"]["external_id"]
        names = _chains(value)
        parent = id_.partition(".")[0] if "." in id_ else None
        if any(id_of.get(uuid) != parent for uuid in _related(value, "subtechnique-of")):
            raise ValueError(f"{id_} is filed under another parent")
        if unknown := names - {tactic.short_name for tactic in tactics.values()}:
            raise ValueError(f"{id_} has unknown tactics {sorted(unknown)}")
        revoked = bool(value.get("revoked", False))
        techniques[id_] = Technique(
            id=id_,
            name=_name(value),
            tactics=tuple(each.id for each in tactics.values() if each.short_name in names),
            parent=parent,
            stix_id=f"attack-pattern--{value['uuid']}",
            link=technique_link(id_),
            revoked=revoked,
            revoked_by=next((id_of.get(uuid) for uuid in _related(value, "revoked-by")), None),
            deprecated=not revoked and _DEPRECATED.match(value["description"]) is not None,
            groups=tuple(sorted(set(users.get(value["uuid"], ())))),
        )
    return techniques
