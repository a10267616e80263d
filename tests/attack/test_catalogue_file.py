# SPDX-License-Identifier: AGPL-3.0-or-later
"""The catalogue's file: the same facts, the same bytes, and nothing damaged gets through."""

import dataclasses
from pathlib import Path

import orjson
import pytest

from decnet_ttp.attack import Catalogue
from decnet_ttp.attack.catalogue_file import HEADER, FormatError, decode, encode


def test_writing_what_was_read_gives_the_same_bytes(packaged: Catalogue) -> None:
    path = packaged.provenance.path
    assert path is not None
    data = path.read_bytes()
    assert data.startswith(HEADER)
    assert encode(packaged) == data


def test_the_order_of_building_does_not_show(packaged: Catalogue) -> None:
    turned = dataclasses.replace(
        packaged,
        techniques=dict(reversed(packaged.techniques.items())),
        groups=dict(reversed(packaged.groups.items())),
    )
    assert encode(turned) == encode(packaged)


def test_the_file_stays_small(packaged: Catalogue) -> None:
    assert len(encode(packaged)) < 200_000


def test_a_dangling_reference_is_refused_at_writing(packaged: Catalogue) -> None:
    with pytest.raises(FormatError, match="refers to 'G0"):
        encode(dataclasses.replace(packaged, groups={}))


def test_another_version_is_named(packaged: Catalogue) -> None:
    newer = encode(packaged).replace(b'"version":1', b'"version":2', 1)
    with pytest.raises(FormatError, match="version 2, this program reads 1"):
        decode(newer, packaged.provenance)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"techniques": None},
        {"techniques": [["T1", "x"]]},
        {"techniques": [["T1", "x", "u", [99], 0, None, []]]},
        {"techniques": [["T1", "x", "u", [0], 0, None, [9999]]]},
        {"techniques": [["T1", "x", "u", [0], "a", None, []]]},
        {"groups": [7]},
        {"tactics": {}},
    ],
)
def test_damage_is_refused(packaged: Catalogue, change: dict[str, object]) -> None:
    document = orjson.loads(encode(packaged))
    with pytest.raises(FormatError):
        decode(orjson.dumps(document | change), packaged.provenance)


def test_a_truncated_file_is_refused(packaged: Catalogue) -> None:
    data = encode(packaged)
    for length in (0, 1, 100, len(data) // 2, len(data) - 3):
        with pytest.raises(FormatError):
            decode(data[:length], packaged.provenance)


def test_provenance_tells_the_files_own_digest(packaged: Catalogue) -> None:
    made = packaged.provenance
    assert made.origin == "packaged"
    assert made.licence_path == Path(str(made.path)).with_name("LICENSE.txt")
    assert len(made.sha256) == len(made.source_sha256) == 64
