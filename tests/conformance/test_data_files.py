# SPDX-License-Identifier: AGPL-3.0-or-later
"""A file beside the rules is part of the rules that read it: an edit of it is an edit of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from decnet_ttp.v1 import rule_pb2
from rule_store.serving import Store, Watch, until, watching

RULES = Path(__file__).resolve().parents[2] / "rules"
FEODO = (RULES / "intel" / "feodo.yaml").read_text(encoding="utf-8")


def in_place(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def atomic_rename(path: Path, text: str) -> None:
    scratch = path.with_suffix(".tmp")
    scratch.write_text(text, encoding="utf-8")
    scratch.rename(path)


def renamed_away(path: Path, text: str) -> None:
    path.rename(path.with_suffix(".yaml~"))
    path.write_text(text, encoding="utf-8")


def upserted(watch: Watch) -> list[rule_pb2.Rule]:
    return [change.upserted for change in watch.changes]


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


@pytest.fixture
def folder(folder: Path) -> Path:
    """The rules with one that reads a mapping, and a mapping of the operator's own."""
    shutil.copy2(RULES / "ttp" / "R0056.yaml", folder)
    (folder.parent / "intel").mkdir()
    in_place(folder.parent / "intel" / "feodo.yaml", FEODO)
    return folder


@pytest.mark.parametrize("save", [in_place, atomic_rename, renamed_away])
async def test_an_edited_mapping_is_one_change_of_its_rule(
    store: Store, save: Callable[[Path, str], None]
) -> None:
    assert store.book.rule("R0056").data_sha256 == digest(FEODO)
    async with watching(store) as watch:
        for number in range(2):
            text = f"{FEODO}# {number}\n"
            save(store.folder.parent / "intel" / "feodo.yaml", text)
            await until(lambda n=number: len(watch.changes) == n + 1)  # type: ignore[misc] # bound now
            rule = upserted(watch)[-1]
            assert (rule.rule_id, rule.data_sha256, rule.load_error) == ("R0056", digest(text), "")


async def test_a_broken_mapping_is_told_and_mended(store: Store) -> None:
    """The rule stays as it was, with the reason beside it; so it does while a file is written."""
    path = store.folder.parent / "intel" / "feodo.yaml"
    async with watching(store) as watch:
        in_place(path, "provider: [")
        await until(lambda: len(watch.changes) == 1)
        (broken,) = upserted(watch)
        assert broken.data_sha256 == digest(FEODO)
        assert f"{path}:" in broken.load_error
        in_place(path, FEODO)
        await until(lambda: len(watch.changes) == 2)
        mended = upserted(watch)[1]
        assert (mended.data_sha256, mended.load_error) == (digest(FEODO), "")


async def test_without_a_mapping_of_its_own_the_programs_holds(store: Store) -> None:
    path = store.folder.parent / "intel" / "feodo.yaml"
    async with watching(store) as watch:
        in_place(path, FEODO + "# of our own")
        await until(lambda: len(watch.changes) == 1)
        path.unlink()
        await until(lambda: len(watch.changes) == 2)
        assert upserted(watch)[1].data_sha256 == digest(FEODO)
