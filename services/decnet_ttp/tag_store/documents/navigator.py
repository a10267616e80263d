# SPDX-License-Identifier: AGPL-3.0-or-later
"""Layers of the ATT&CK Navigator, in its layer format 4.5.

A layer is of one domain, so the techniques of a scope become one layer for each matrix they
belong to; several layers are one list, as the Navigator itself saves and opens them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from decnet_ttp.attack import Catalogue, UnknownTechniqueError
from decnet_ttp.v1.rollup_service_pb2 import TechniqueRow
from decnet_ttp.v1.scope_pb2 import Scope

_LAYER_FORMAT, _NAVIGATOR = "4.5", "5.1.0"
_COLOURS = ("#fff3e0ff", "#e65100ff")
_BY_SCORE_DESCENDING = 3


@dataclass(frozen=True, slots=True)
class Layers:
    """What became of the techniques of a scope.

    Attributes:
        layers: One layer for each matrix, in the order of the catalogue's matrices.
        unknown: Ids that the catalogue does not hold, sorted; they are in no layer.
    """

    layers: tuple[dict[str, Any], ...]
    unknown: tuple[str, ...]


def build_layers(rows: Iterable[TechniqueRow], catalogue: Catalogue, *, subject: str) -> Layers:
    """Return the layers of a scope's techniques; a technique's score is its number of tags.

    Args:
        rows: Techniques of the scope, in any order.
        catalogue: Tells each id's matrix, and with it domain and release.
        subject: Whom it is about, for the name and the description.
    """
    cells: dict[str, list[TechniqueRow]] = defaultdict(list)
    unknown = set()
    for row in rows:
        technique = row.sub_technique_id or row.technique_id
        try:
            cells[catalogue.matrix_of(technique).domain].append(row)
        except UnknownTechniqueError:
            unknown.add(technique)
    layers = tuple(
        _layer(cells[matrix.domain], matrix, subject)
        for matrix in catalogue.matrices
        if cells[matrix.domain]
    )
    return Layers(layers, tuple(sorted(unknown)))


def document(layers: Sequence[dict[str, Any]]) -> bytes:
    """Return a file for the Navigator: the layer, or the list of several, as ASCII JSON."""
    content = layers[0] if len(layers) == 1 else list(layers)
    return json.dumps(content, indent=2).encode() + b"\n"


def subject_of(scope: Scope) -> str:
    """Return what a layer calls a scope."""
    kind = scope.WhichOneof("scope")
    if kind is None or kind == "fleet":
        return "fleet"
    return f"{kind.partition('_')[0]} {getattr(scope, kind)}"


def _layer(rows: list[TechniqueRow], matrix: Catalogue, subject: str) -> dict[str, Any]:
    entries = {_place(row, matrix): _technique(row, matrix) for row in rows}
    for row in rows:
        if row.sub_technique_id:
            # A sub-technique is hidden until its technique says otherwise.
            tactic = _tactic(row, matrix)
            parent = entries.setdefault(
                (row.technique_id, tactic),
                {"techniqueID": row.technique_id, "tactic": tactic},
            )
            parent["showSubtechniques"] = True
    return {
        "name": f"{subject}, {matrix.attack_release}",
        "versions": {
            # The Navigator knows releases by their major number.
            "attack": matrix.release.partition(".")[0],
            "navigator": _NAVIGATOR,
            "layer": _LAYER_FORMAT,
        },
        "domain": matrix.domain,
        "description": f"Techniques seen of {subject} by decnet-ttp; a score is a number of tags.",
        "sorting": _BY_SCORE_DESCENDING,
        "techniques": [entries[place] for place in sorted(entries)],
        "gradient": {
            "colors": list(_COLOURS),
            "minValue": 0,
            "maxValue": max(row.count for row in rows),
        },
        "metadata": [{"name": "ATT&CK release", "value": matrix.attack_release}],
    }


def _place(row: TechniqueRow, matrix: Catalogue) -> tuple[str, str]:
    return row.sub_technique_id or row.technique_id, _tactic(row, matrix)


def _tactic(row: TechniqueRow, matrix: Catalogue) -> str:
    """Return the short name a layer knows a tactic by; empty when the release lacks the tactic."""
    found = matrix.tactics.get(row.tactic)
    return found.short_name if found else ""


def _technique(row: TechniqueRow, matrix: Catalogue) -> dict[str, Any]:
    technique, tactic = _place(row, matrix)
    facts = [("highest confidence", f"{row.confidence_max:.2f}")]
    if row.HasField("first_seen_time"):
        facts.append(("first seen", row.first_seen_time.ToJsonString()))
    if row.HasField("last_seen_time"):
        facts.append(("last seen", row.last_seen_time.ToJsonString()))
    if row.identity_count:
        facts.append(("identities", str(row.identity_count)))
    entry: dict[str, Any] = {"techniqueID": technique}
    if tactic:
        entry["tactic"] = tactic
    return entry | {
        "score": row.count,
        "enabled": True,
        "comment": f"{row.count} {'tag' if row.count == 1 else 'tags'}",
        "metadata": [{"name": name, "value": value} for name, value in facts],
    }
