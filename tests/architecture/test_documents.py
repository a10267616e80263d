# SPDX-License-Identifier: AGPL-3.0-or-later
"""Documents say what is there: links lead somewhere, generated tables are current."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from architecture.tree import ROOT, files, name

_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+\s+(.*)$", re.MULTILINE)

DOCUMENTS = [path for path in files() if path.suffix == ".md"]


def _text(path: Path) -> str:
    return _FENCE.sub("", path.read_text(encoding="utf-8"))


def _anchors(path: Path) -> set[str]:
    """Return the anchors that code hosts make of headings."""
    found: set[str] = set()
    for heading in _HEADING.findall(_text(path)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return found


def test_documents_were_visited() -> None:
    assert {"CONTRIBUTING.md", "CHANGELOG.md", "docs/architecture.md", "docs/settings.md"} <= {
        name(path) for path in DOCUMENTS
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_relative_links_lead_somewhere(document: Path) -> None:
    broken = []
    for groups in _LINK.findall(_text(document)):
        link = unquote("".join(groups))
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue
        target, _, anchor = link.partition("#")
        path = (document.parent / target).resolve() if target else document
        if (
            not path.exists()
            or not path.is_relative_to(ROOT)
            or (anchor and path.suffix == ".md" and anchor not in _anchors(path))
        ):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_modules_that_documents_name_exist(document: Path) -> None:
    """A path in backticks that looks like a file of ours is one."""
    if document.name == "CHANGELOG.md":
        pytest.skip("a changelog names what has gone")
    named = re.findall(
        r"`((?:services|protos|tests|docs|rules|deploy|benchmarks)/[\w./-]+)`", _text(document)
    )
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(
    ("script", "written"),
    [("generate_settings.py", "settings.md"), ("generate_rule_table.py", "rule-table.md")],
)
def test_a_document_made_from_code_is_current(script: str, written: str) -> None:
    """Made of the settings or the rules themselves, and of nothing else."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / script)], capture_output=True, check=True, text=True
    )
    current = (ROOT / "docs" / written).read_text(encoding="utf-8")
    assert done.stdout == current, f"docs/{written} is out of date: run `./dev tables` and commit"


def test_decisions_are_numbered_without_gaps_and_listed() -> None:
    folder = ROOT / "docs" / "adr"
    numbered = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert [int(item[:4]) for item in numbered] == list(range(1, len(numbered) + 1))
    for item in numbered:
        text = (folder / item).read_text(encoding="utf-8")
        for heading in ("## Context", "## Options", "## Decision", "## Consequences"):
            assert heading in text, f"{item} lacks {heading}"
        assert f"adr/{item}" in (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
