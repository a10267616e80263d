# SPDX-License-Identifier: AGPL-3.0-or-later
"""Navigator layers: what stands in them, matrix by matrix, whatever the order of the rows."""

from __future__ import annotations

import json

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from mitreattack.navlayers import Layer

from decnet_ttp.attack import Catalogue, packaged_catalogue
from decnet_ttp.tag_store.documents.navigator import build_layers, document
from decnet_ttp.v1.rollup_service_pb2 import TechniqueRow

NOON = Timestamp(seconds=1_772_712_000)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """The packaged release."""
    return packaged_catalogue()


def row(tactic: str, technique: str, count: int, *, confidence: float = 0.9) -> TechniqueRow:
    """Return a cell that was seen at noon."""
    parent, _, child = technique.partition(".")
    return TechniqueRow(
        tactic=tactic,
        technique_id=parent,
        sub_technique_id=technique if child else "",
        count=count,
        first_seen_time=NOON,
        last_seen_time=NOON,
        confidence_max=confidence,
    )


def rows() -> list[TechniqueRow]:
    """Return cells of both matrices, a sub-technique with and one without its technique."""
    return [
        row("TA0002", "T1059.004", 7),
        row("TA0002", "T1059", 2),
        row("TA0003", "T1098.004", 1, confidence=0.655),
        row("TA0005", "T1078", 3),
        row("TA0001", "T1078", 4),
        row("TA0106", "T0855", 5),
        row("TA0105", "T0831", 6),
    ]


def test_a_layer_holds_dotted_ids_tactics_by_short_name_and_counts(catalogue: Catalogue) -> None:
    (layer,) = build_layers(rows()[:5], catalogue, subject="fleet").layers
    assert [
        (each["techniqueID"], each["tactic"], each.get("score"), each.get("showSubtechniques"))
        for each in layer["techniques"]
    ] == [
        ("T1059", "execution", 2, True),
        ("T1059.004", "execution", 7, None),
        ("T1078", "defense-evasion", 3, None),
        ("T1078", "initial-access", 4, None),
        ("T1098", "persistence", None, True),
        ("T1098.004", "persistence", 1, None),
    ]
    assert layer["techniques"][-1] == {
        "techniqueID": "T1098.004",
        "tactic": "persistence",
        "score": 1,
        "enabled": True,
        "comment": "1 tag",
        "metadata": [
            {"name": "highest confidence", "value": "0.66"},
            {"name": "first seen", "value": "2026-03-05T12:00:00Z"},
            {"name": "last seen", "value": "2026-03-05T12:00:00Z"},
        ],
    }
    assert layer["gradient"]["maxValue"] == 7


def test_each_matrix_has_a_layer_with_its_own_domain_and_release(catalogue: Catalogue) -> None:
    layers = build_layers(rows(), catalogue, subject="fleet").layers
    enterprise, ics = catalogue.matrices
    assert [(each["domain"], each["versions"], each["name"]) for each in layers] == [
        (
            "enterprise-attack",
            {
                "attack": enterprise.release.split(".")[0],
                "navigator": "5.1.0",
                "layer": "4.5",
            },
            f"fleet, {enterprise.attack_release}",
        ),
        (
            "ics-attack",
            {"attack": "15", "navigator": "5.1.0", "layer": "4.5"},
            "fleet, ics-v15.0",
        ),
    ]
    assert layers[1]["metadata"] == [{"name": "ATT&CK release", "value": ics.attack_release}]
    assert [(each["techniqueID"], each["tactic"]) for each in layers[1]["techniques"]] == [
        ("T0831", "impact"),
        ("T0855", "impair-process-control"),
    ]


def test_one_layer_is_an_object_and_several_are_a_list(catalogue: Catalogue) -> None:
    one = json.loads(document(build_layers(rows()[:1], catalogue, subject="fleet").layers))
    several = json.loads(document(build_layers(rows(), catalogue, subject="fleet").layers))
    assert one["domain"] == "enterprise-attack"
    assert [layer["domain"] for layer in several] == ["enterprise-attack", "ics-attack"]


def test_the_order_of_the_rows_does_not_matter(catalogue: Catalogue) -> None:
    first = document(build_layers(rows(), catalogue, subject="fleet").layers)
    backwards = build_layers(reversed(rows()), catalogue, subject="fleet").layers
    assert document(backwards) == first


def test_ids_that_no_matrix_has_are_named_and_left_out(catalogue: Catalogue) -> None:
    found = build_layers([row("TA0002", "T9999", 1)], catalogue, subject="fleet")
    assert (found.layers, found.unknown) == ((), ("T9999",))


def test_mitres_own_reader_accepts_the_layers(catalogue: Catalogue) -> None:
    for layer in build_layers(rows(), catalogue, subject="fleet").layers:
        read = Layer(layer, strict=True).to_dict()
        assert read["domain"] == layer["domain"]
        assert len(read["techniques"]) == len(layer["techniques"])
