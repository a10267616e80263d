# SPDX-License-Identifier: AGPL-3.0-or-later
"""Compiling an official STIX bundle, of Enterprise or ICS, 2.0 or 2.1, by mitreattack-python."""

import hashlib
import re
from collections.abc import Iterable, Mapping
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
from decnet_ttp.attack.tactics import DOMAIN_NAMES, ICS_DOMAIN

RELEASE_NUMBER: Final = re.compile(r"\d{1,3}(\.\d{1,3})?")
"""What a release number looks like: ``17`` or ``19.1``."""

# The rest of a bundle (software, mitigations, analytics, most relationships) is nine
# tenths of it; leaving it out before the STIX library sees it saves most of the time.
_OBJECTS: Final = frozenset(
    {"attack-pattern", "x-mitre-tactic", "x-mitre-matrix", "intrusion-set", "campaign"}
)
_RELATIONS: Final = frozenset(
    {
        ("attack-pattern", "revoked-by", "attack-pattern"),
        ("attack-pattern", "subtechnique-of", "attack-pattern"),
        ("intrusion-set", "uses", "attack-pattern"),
        ("campaign", "uses", "attack-pattern"),
        ("campaign", "attributed-to", "intrusion-set"),
    }
)
_TECHNIQUE_ID: Final = re.compile(r"T\d{4}(\.\d{3})?")
_OFFICIAL_NAME: Final = re.compile(r"(enterprise-attack|ics-attack)-(\d+\.\d+)\b")
# ATT&CK for ICS kept a source name of its own until it moved to MITRE's common site.
_SOURCE_NAMES: Final = frozenset({"mitre-attack", "mitre-ics-attack"})


def catalogue_from_stix(data: bytes, path: Path, *, release: str | None = None) -> Catalogue:
    """Compile a bundle's JSON.

    Group use follows ATT&CK's own pages: a group also uses what a campaign attributed to
    it used. The release is taken from the bundle's collection object (2.1), from the
    table of official digests, from ``release``, or from MITRE's way of naming the file,
    in that order.

    Args:
        data: The JSON, uncompressed.
        path: Where it came from.
        release: The release, when the bundle does not say it.

    Raises:
        CatalogueInvalidError: It is no bundle of Enterprise or ICS, or contradicts itself.
        ReleaseUnknownError: Nothing says the release.
        BuilderMissingError: mitreattack-python is not installed.
    """
    try:
        # Both are heavy and optional: no service imports them.
        import stix2  # noqa: PLC0415 - optional, heavy
        from mitreattack.stix20 import MitreAttackData  # noqa: PLC0415 - optional, heavy
    except ImportError as error:
        raise BuilderMissingError("mitreattack-python") from error
    digest = hashlib.sha256(data).hexdigest()
    try:
        objects = _objects(data, path)
        domain = _domain(objects, path)
        number = _release(objects, digest, path, domain, release)
        store = stix2.MemoryStore(stix_data=[dict(each) for each in objects if _wanted(each)])
        attack = MitreAttackData(src=store)
        tactics = _tactics(attack)
        return Catalogue(
            domain=domain,
            release=number,
            provenance=Provenance(source=f"STIX bundle {path.name}", source_sha256=digest),
            tactics=tactics,
            techniques=_techniques(attack, tactics, path),
            groups=_groups(attack),
        )
    except (
        stix2.exceptions.STIXError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:
        raise CatalogueInvalidError(
            path, f"its STIX is invalid ({type(error).__name__})"
        ) from error


def _objects(data: bytes, path: Path) -> list[dict[str, Any]]:
    try:
        bundle = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise CatalogueInvalidError(path, "it is not JSON") from error
    if not isinstance(bundle, dict) or bundle.get("type") != "bundle":
        raise CatalogueInvalidError(path, "it is neither a STIX bundle nor a catalogue")
    objects = bundle.get("objects")
    if not isinstance(objects, list) or not all(isinstance(each, dict) for each in objects):
        raise CatalogueInvalidError(path, "its objects are no list of objects")
    return objects


def _domain(objects: Iterable[Mapping[str, Any]], path: Path) -> str:
    """Return the domain of the bundle's matrix, which MITRE names by id or only by its page."""
    for item in objects:
        if item.get("type") != "x-mitre-matrix":
            continue
        if (named := _external_id(item)) in DOMAIN_NAMES:
            return str(named)
        pages = [str(each.get("url")) for each in item.get("external_references") or ()]
        if any(page.rstrip("/").endswith("/matrices/ics") for page in pages):
            return ICS_DOMAIN
    names = " nor of ".join(DOMAIN_NAMES.values())
    raise CatalogueInvalidError(path, f"it lacks the matrix of {names}")


def _external_id(item: Mapping[str, Any]) -> str | None:
    for reference in item.get("external_references") or ():
        if reference.get("source_name") in _SOURCE_NAMES:
            return str(reference.get("external_id"))
    return None


def _release(
    objects: Iterable[Mapping[str, Any]], digest: str, path: Path, domain: str, given: str | None
) -> str:
    stated = _collection_release(objects) or _official_release(digest, domain)
    if stated and given and stated != given:
        raise CatalogueInvalidError(path, f"it holds release {stated}, not {given}")
    named = _OFFICIAL_NAME.match(path.name)
    number = stated or given or (named and named[1] == domain and named[2])
    if not number:
        raise ReleaseUnknownError(str(path))
    return number


def _collection_release(objects: Iterable[Mapping[str, Any]]) -> str | None:
    for item in objects:
        if item.get("type") == "x-mitre-collection":
            version = str(item.get("x_mitre_version"))
            return version if RELEASE_NUMBER.fullmatch(version) else None
    return None


def _official_release(digest: str, domain: str) -> str | None:
    from mitreattack import release_info  # noqa: PLC0415 - optional, heavy dependency

    for table in (release_info.STIX21, release_info.STIX20):
        for number, known in table[domain.removesuffix("-attack")].items():
            if known == digest:
                return str(number)
    return None


def _wanted(item: Mapping[str, Any]) -> bool:
    if item.get("type") != "relationship":
        return item.get("type") in _OBJECTS
    source = str(item.get("source_ref")).partition("--")[0]
    target = str(item.get("target_ref")).partition("--")[0]
    return (source, str(item.get("relationship_type")), target) in _RELATIONS


def _tactics(attack: Any) -> dict[str, Tactic]:
    order = [ref for matrix in attack.get_matrices() for ref in matrix["tactic_refs"]]
    by_stix_id = {each["id"]: each for each in attack.get_tactics(remove_revoked_deprecated=True)}
    tactics = {}
    for ref in order:
        item = by_stix_id.get(ref)
        if item is not None and (id_ := _external_id(item)) is not None:
            link = f"https://attack.mitre.org/tactics/{id_}"
            tactics[id_] = Tactic(id_, item["x_mitre_shortname"], item["name"], ref, link)
    return tactics


def _groups(attack: Any) -> dict[str, Group]:
    groups = {}
    for item in attack.get_groups():
        id_ = _external_id(item)
        if id_ is not None:
            groups[id_] = Group(
                id=id_,
                name=item["name"],
                aliases=tuple(alias for alias in item.get("aliases", ()) if alias != item["name"]),
                stix_id=item["id"],
                link=f"https://attack.mitre.org/groups/{id_}",
                revoked=bool(item.get("revoked", False)),
                deprecated=bool(item.get("x_mitre_deprecated", False)),
            )
    return groups


def _techniques(attack: Any, tactics: Mapping[str, Tactic], path: Path) -> dict[str, Technique]:
    phases = {tactic.short_name: (at, tactic.id) for at, tactic in enumerate(tactics.values())}
    items = attack.get_techniques()
    id_of = {item["id"]: _external_id(item) for item in items}
    users = attack.get_all_groups_using_all_techniques()
    parents = attack.get_all_parent_techniques_of_all_subtechniques()
    techniques: dict[str, Technique] = {}
    for item in items:
        id_ = id_of[item["id"]] or ""
        if not _TECHNIQUE_ID.fullmatch(id_):
            raise CatalogueInvalidError(path, f"{item['id']} has no technique id")
        parent = id_.partition(".")[0] if "." in id_ else None
        for entry in parents.get(item["id"], ()):
            if _external_id(entry["object"]) != parent:
                raise CatalogueInvalidError(path, f"{id_} is filed under another parent")
        revoked = bool(item.get("revoked", False))
        if id_ in techniques and revoked:
            continue  # an id used again: the entry in force wins
        technique = Technique(
            id=id_,
            name=item["name"],
            tactics=_tactic_ids(item, phases),
            parent=parent,
            stix_id=item["id"],
            link=technique_link(id_),
            revoked=revoked,
            revoked_by=_successor(attack, item["id"], id_of) if revoked else None,
            deprecated=bool(item.get("x_mitre_deprecated", False)),
            groups=_group_ids(users.get(item["id"], ())),
        )
        if id_ not in techniques or not revoked:
            techniques[id_] = technique
    return techniques


def _tactic_ids(item: Mapping[str, Any], phases: Mapping[str, tuple[int, str]]) -> tuple[str, ...]:
    names = {phase["phase_name"] for phase in item.get("kill_chain_phases", ())}
    return tuple(id_ for _, id_ in sorted(phases[name] for name in names if name in phases))


def _group_ids(entries: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    ids = {_external_id(entry["object"]) for entry in entries}
    return tuple(sorted(id_ for id_ in ids if id_ is not None))


def _successor(attack: Any, stix_id: str, id_of: Mapping[str, str | None]) -> str | None:
    successor = attack.get_revoking_object(stix_id)
    return id_of.get(successor["id"]) if successor else None
