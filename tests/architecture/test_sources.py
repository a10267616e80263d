# SPDX-License-Identifier: AGPL-3.0-or-later
"""What holds for every file: licence, size, names, and nothing that only its author knows."""

from __future__ import annotations

import re
from pathlib import Path

from architecture.tree import GENERATED, PACKAGE, ROOT, files, is_generated, name

_SOURCE_SUFFIXES = {".py", ".proto", ".sh", ".yaml", ".yml", ".toml"}
_SOURCE_NAMES = {"dev", "Dockerfile", "run"}
_TAG = "SPDX-License-Identifier" + ": AGPL-3.0-or-later"

_LINES = 400
_TEST_LINES = 600
#: Longer files, each with the reason why parts of it would be harder to read.
_LONGER: dict[str, str] = {}

_VAGUE = {"base", "common", "helper", "helpers", "impl", "manager", "misc", "util", "utils"}

#: Written by machines or by others, so not held to our words.
_FOREIGN = (
    "LICENSE",
    "examples/cowrie-sample.json",
    "requirements-cowrie.lock",
    "requirements-opencanary.lock",
    "requirements.lock",
    "services/decnet_ttp/attack/data/",
)

# Built from parts, so that this file does not find itself.
_FORBIDDEN = {
    "plan code": r"\b[A-Z]\." + r"\d+\.\d+",
    "section sign": chr(0xA7),
    "ticket": r"(?i)\b(?:issue|ticket|milestone|sprint)s?" + r" +#?\d+\b",
    "machine path": "/" + r"work/(?:main|shared)\b|" + re.escape(f"{ROOT}/"),
    "registry host": r"(?i)\b(?:" + r"py" + r"pi\.org|python" + r"hosted\.org|registry\.npm"
    r"js\.org|proxy\.go" + r"lang\.org)|artifact" + r"ory|--(?:extra-)?index" + "-url",
}


def _sources() -> list[Path]:
    return [
        path
        for path in files()
        if (path.suffix in _SOURCE_SUFFIXES or path.name in _SOURCE_NAMES)
        and not is_generated(path)
    ]


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def test_every_kind_of_source_was_visited() -> None:
    """An empty walk would let everything pass."""
    found = {path.suffix or path.name for path in _sources()}
    assert {".py", ".proto", ".yaml", ".toml", "dev"} <= found
    assert len(_sources()) > 200


def test_every_source_names_its_licence() -> None:
    """In the first line, or in the second below the program that reads the file."""
    assert [
        name(path)
        for path in _sources()
        if not any(line.endswith(_TAG) and line[0] in "#/" for line in _lines(path)[:2] if line)
    ] == []


def test_no_file_is_too_long() -> None:
    too_long = {
        name(path)
        for path in _sources()
        if path.suffix in {".py", ".proto", ".sh", ""}
        and len(_lines(path)) > (_TEST_LINES if path.is_relative_to(ROOT / "tests") else _LINES)
    }
    assert too_long == set(_LONGER)


def test_nine_in_ten_files_are_read_at_a_sitting() -> None:
    sizes = sorted(
        len(_lines(path))
        for path in _sources()
        if path.suffix == ".py" and path.is_relative_to(PACKAGE)
    )
    assert sizes[len(sizes) * 9 // 10] <= 300


def test_modules_are_named_for_what_they_hold() -> None:
    assert [
        name(path)
        for path in _sources()
        if path.suffix == ".py" and _VAGUE & {path.stem, path.parent.name}
    ] == []


def test_nothing_in_the_tree_needs_its_author_to_be_understood() -> None:
    """No codes of plans, no ticket numbers, no paths of a machine, no private hosts."""
    found = []
    for path in files():
        if name(path).startswith(_FOREIGN) or is_generated(path):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for kind, pattern in _FORBIDDEN.items():
            for match in re.finditer(pattern, text):
                line = text.count("\n", 0, match.start()) + 1
                found.append(f"{name(path)}:{line}: {kind}: {match.group()}")
    assert found == []


def test_forbidden_patterns_find_what_they_forbid() -> None:
    samples = {
        "plan code": "see E." + "3.17",
        "section sign": "see \N{SECTION SIGN}4",
        "ticket": "as issue" + " #12 says",
        "machine path": "/work" + "/shared/data",
        "registry host": "https://py" + "pi.org/simple",
    }
    assert samples.keys() == _FORBIDDEN.keys()
    for kind, sample in samples.items():
        assert re.search(_FORBIDDEN[kind], sample)
    assert not re.search(_FORBIDDEN["plan code"], "version 1.2.3, T1110.003, 203.0.113.7")


def test_generated_code_is_marked() -> None:
    """Reviewers skip it and linters leave it alone."""
    marked = (ROOT / ".gitattributes").read_text(encoding="utf-8")
    assert "services/decnet_ttp/v1/* linguist-generated=true" in marked.splitlines()
    for path in files():
        if is_generated(path) and path.suffix == ".py":
            assert any("DO NOT EDIT" in line for line in _lines(path)[:2]), name(path)


def test_generated_code_belongs_to_the_protos() -> None:
    protos = {path.stem for path in files() if path.suffix == ".proto"}
    expected = {
        f"{proto}{ending}" for proto in protos for ending in ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py")
    }
    found = {path.name for path in files() if path.parent == GENERATED} - {"__init__.py"}
    assert len(protos) > 10
    assert found == expected
