# SPDX-License-Identifier: AGPL-3.0-or-later
"""The catalogue's file: one JSON object, one row a line, small enough to need no compression.

Plain JSON gives the same bytes on every machine (compressors differ), a readable diff
between two releases, and the quickest load. Whatever follows from an id (parent, link,
the prefix of a STIX id) is not stored; tactics and groups are referred to by position.
"""

import hashlib
from typing import Any, Final

import orjson

from decnet_ttp.attack.catalogue import Catalogue, Group, Provenance, Tactic, Technique
from decnet_ttp.attack.catalogue import technique_link as link_of

FORMAT_VERSION: Final = 1
HEADER: Final = b'{"format":"decnet-ttp-attack-catalogue","version":'
"""How every catalogue file begins, whatever its version."""

_REVOKED: Final = 1
_DEPRECATED: Final = 2


class FormatError(ValueError):
    """Bytes that are no catalogue of this version."""


def encode(catalogue: Catalogue) -> bytes:
    """Return the catalogue as a file's bytes; equal catalogues give equal bytes.

    Raises:
        FormatError: A technique names a tactic or group that the catalogue lacks, or several
            matrices are joined in it: a file is of one.
    """
    if catalogue.parts:
        raise FormatError("it is of several matrices")
    tactic_at = {tactic: index for index, tactic in enumerate(catalogue.tactics)}
    groups = [catalogue.groups[group] for group in sorted(catalogue.groups)]
    group_at = {group.id: index for index, group in enumerate(groups)}
    techniques = [catalogue.techniques[technique] for technique in sorted(catalogue.techniques)]
    head = {
        "domain": catalogue.domain,
        "release": catalogue.release,
        "source": catalogue.provenance.source,
        "source_sha256": catalogue.provenance.source_sha256,
    }
    try:
        parts = [
            HEADER + f"{FORMAT_VERSION},".encode() + orjson.dumps(head)[1:-1],
            _section("tactics", [_tactic_row(each) for each in catalogue.tactics.values()]),
            _section("groups", [_group_row(each) for each in groups]),
            _section("techniques", [_technique_row(t, tactic_at, group_at) for t in techniques]),
        ]
    except KeyError as error:
        raise FormatError(f"a technique refers to {error}, which the catalogue lacks") from error
    return b",\n".join(parts) + b"}\n"


def decode(data: bytes, provenance: Provenance) -> Catalogue:
    """Return the catalogue in a file's bytes.

    Args:
        data: The whole file.
        provenance: Where the bytes lie; source and digests are filled in from the bytes.

    Raises:
        FormatError: The bytes are no catalogue of this version, or are damaged.
    """
    try:
        document = orjson.loads(data)
        if document["format"] != "decnet-ttp-attack-catalogue":
            raise FormatError("it is no catalogue")
        if document["version"] != FORMAT_VERSION:
            raise FormatError(
                f"it has format version {document['version']}, this program reads {FORMAT_VERSION}"
            )
        return _catalogue(document, data, provenance)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"it is damaged ({type(error).__name__})") from error


def _section(name: str, rows: list[list[Any]]) -> bytes:
    return f'"{name}":[\n'.encode() + b",\n".join(map(orjson.dumps, rows)) + b"]"


def _tactic_row(tactic: Tactic) -> list[Any]:
    return [tactic.id, tactic.short_name, tactic.name, _uuid(tactic.stix_id)]


def _group_row(group: Group) -> list[Any]:
    flags = _REVOKED * group.revoked | _DEPRECATED * group.deprecated
    return [group.id, group.name, group.aliases, _uuid(group.stix_id), flags]


def _technique_row(
    technique: Technique, tactic_at: dict[str, int], group_at: dict[str, int]
) -> list[Any]:
    return [
        technique.id,
        technique.name,
        _uuid(technique.stix_id),
        [tactic_at[tactic] for tactic in technique.tactics],
        _REVOKED * technique.revoked | _DEPRECATED * technique.deprecated,
        technique.revoked_by,
        [group_at[group] for group in technique.groups],
    ]


def _uuid(stix_id: str) -> str:
    return stix_id.rpartition("--")[2]


def _catalogue(document: dict[str, Any], data: bytes, provenance: Provenance) -> Catalogue:
    site = "https://attack.mitre.org"
    tactics = [
        Tactic(id_, short, name, f"x-mitre-tactic--{uuid}", f"{site}/tactics/{id_}")
        for id_, short, name, uuid in document["tactics"]
    ]
    groups = [
        Group(
            id_,
            name,
            tuple(aliases),
            f"intrusion-set--{uuid}",
            f"{site}/groups/{id_}",
            bool(flags & _REVOKED),
            bool(flags & _DEPRECATED),
        )
        for id_, name, aliases, uuid, flags in document["groups"]
    ]
    tactic_ids = [tactic.id for tactic in tactics]
    group_ids = [group.id for group in groups]
    techniques = [
        Technique(
            id_,
            name,
            tuple([tactic_ids[at] for at in tactic_at]),
            id_.partition(".")[0] if "." in id_ else None,
            f"attack-pattern--{uuid}",
            link_of(id_),
            bool(flags & _REVOKED),
            revoked_by,
            bool(flags & _DEPRECATED),
            tuple([group_ids[at] for at in group_at]),
        )
        for id_, name, uuid, tactic_at, flags, revoked_by, group_at in document["techniques"]
    ]
    return Catalogue(
        domain=document["domain"],
        release=document["release"],
        provenance=Provenance(
            source=document["source"],
            source_sha256=document["source_sha256"],
            sha256=hashlib.sha256(data).hexdigest(),
            origin=provenance.origin,
            path=provenance.path,
            licence_path=provenance.licence_path,
        ),
        tactics={tactic.id: tactic for tactic in tactics},
        techniques={technique.id: technique for technique in techniques},
        groups={group.id: group for group in groups},
    )
