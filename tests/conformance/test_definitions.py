# SPDX-License-Identifier: AGPL-3.0-or-later
"""What every backend does with definitions: edits of real files until they reach a real client."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest

from decnet_ttp.rule_store import directory as rule_directory
from decnet_ttp.v1 import rule_pb2
from decnet_ttp.v1 import rule_store_service_pb2 as pb
from rule_store.serving import Store, until, watching


def _raised(path: Path) -> str:
    """The rule's text with the next version."""
    text = path.read_text(encoding="utf-8")
    old = next(line for line in text.splitlines() if line.startswith("rule_version:"))
    return text.replace(old, f"rule_version: {int(old.split()[1]) + 1}")


def _in_place(path: Path) -> None:
    """In pieces, none of which makes what is there so far a rule: each ends in an open brace."""
    text = _raised(path)
    with path.open("w", encoding="utf-8") as file:
        for piece in re.split(r"(?<={)", text):
            file.write(piece)
            file.flush()


def _atomic_rename(path: Path) -> None:
    scratch = path.with_name("R0001.yaml.tmp")
    scratch.write_text(_raised(path), encoding="utf-8")
    scratch.rename(path)


def _vim(path: Path) -> None:
    """Vim with backupcopy=no: probe with 4913, move away, write anew, drop the backup."""
    text = _raised(path)
    (path.parent / ".R0001.yaml.swp").write_bytes(b"swap")
    (path.parent / "4913").touch()
    (path.parent / "4913").unlink()
    backup = path.with_name("R0001.yaml~")
    path.rename(backup)
    time.sleep(0.03)
    path.write_text(text, encoding="utf-8")
    backup.unlink()
    (path.parent / ".R0001.yaml.swp").unlink()


def _emacs(path: Path) -> None:
    text = _raised(path)
    lock = path.with_name(".#R0001.yaml")
    lock.symlink_to("user@host.1")
    shutil.copy2(path, path.with_name("R0001.yaml~"))
    path.write_text(text, encoding="utf-8")
    lock.unlink()


def _program(*command: str) -> Callable[[Path], None]:
    """Return the save of a real program, which raises the version of R0001 from 3 to 4."""

    def save(path: Path) -> None:
        if shutil.which(command[0]) is None:
            pytest.skip(f"{command[0]} is not installed")
        script = "1,$s/^rule_version: 3/rule_version: 4/\nw\nq\n"
        done = subprocess.run(
            [*command, str(path)],
            input=script if command[0] == "ed" else "",
            text=True,
            check=False,
            capture_output=True,
            cwd=path.parent,
            timeout=20,
        )
        assert "rule_version: 4" in path.read_text(encoding="utf-8"), done.stderr

    return save


def _real_vim(*options: str) -> Callable[[Path], None]:
    settings = [part for option in options for part in ("-c", f"set {option}")]
    quiet = ("vim", "-N", "-u", "NONE", "-i", "NONE", "-es", "-c", "set swapfile updatecount=1")
    edit = ("-c", "%s/^rule_version: 3/rule_version: 4/", "-c", "wq")
    return _program(*quiet, *settings, *edit)


STYLES = {
    "in_place": _in_place,
    "atomic_rename": _atomic_rename,
    "vim_steps": _vim,
    "emacs_steps": _emacs,
    "vim": _real_vim("nobackup writebackup", "backupcopy=auto"),
    "vim_renaming": _real_vim("nobackup writebackup", "backupcopy=no"),
    "vim_copying": _real_vim("nobackup writebackup", "backupcopy=yes"),
    "vim_keeping_a_backup": _real_vim("backup", "backupcopy=no"),
    "ed": _program("ed", "-s"),
    "sed_in_place": _program("sed", "-i", "s/^rule_version: 3/rule_version: 4/"),
    "sed_with_backup": _program("sed", "-i.bak", "s/^rule_version: 3/rule_version: 4/"),
    "perl_with_backup": _program("perl", "-i.orig", "-pe", "s/^rule_version: 3/rule_version: 4/"),
}


async def _settle(store: Store) -> None:
    """Wait until a later edit of another rule has arrived, so that nothing is still under way."""
    (store.folder / "R0002.yml").write_text(_raised(store.folder / "R0002.yml"), encoding="utf-8")
    version = store.book.rule("R0002").rule_version
    await until(lambda: store.book.rule("R0002").rule_version > version)


@pytest.mark.parametrize("style", STYLES)
async def test_a_save_of_any_style_is_one_change(
    store: Store, style: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A slow machine may hold an editor up for longer than the file has to be quiet.
    monkeypatch.setattr(rule_directory, "SETTLE_S", 5.0)
    async with watching(store) as watch:
        await asyncio.to_thread(STYLES[style], store.folder / "R0001.yaml")
        await until(lambda: bool(watch.changes))
        await _settle(store)
        await until(lambda: watch.changes[-1].rule_id == "R0002")
        first = [change for change in watch.changes if change.rule_id == "R0001"]
        assert [change.upserted.rule_version for change in first] == [4]
        assert [change.upserted.load_error for change in first] == [""]


async def test_a_new_rule_arrives_and_a_deleted_one_goes(store: Store) -> None:
    text = (store.folder / "R0001.yaml").read_text(encoding="utf-8")
    async with watching(store) as watch:
        (store.folder / "R0009.yaml").write_text(
            text.replace("rule_id: R0001", "rule_id: R0009"), encoding="utf-8"
        )
        await until(lambda: len(watch.changes) == 1)
        assert watch.changes[0].upserted.rule_id == "R0009"
        (store.folder / "R0009.yaml").unlink()
        await until(lambda: len(watch.changes) == 2)
        assert watch.changes[1].rule_id == "R0009"
        assert watch.changes[1].HasField("deleted")
        assert store.book.rule_ids == ["R0001", "R0002", "R0003"]


async def test_a_rule_that_is_renamed_away_is_gone(store: Store) -> None:
    async with watching(store) as watch:
        (store.folder / "R0001.yaml").rename(store.folder / "R0001.yaml.off")
        await until(lambda: len(watch.changes) == 1)
        assert watch.changes[0].HasField("deleted")


async def test_scratch_files_and_unchanged_saves_are_no_change(store: Store) -> None:
    async with watching(store) as watch:
        for name in (".R0001.yaml.swp", "R0001.yaml~", "R0001.yaml.bak", "4913", "notes.txt"):
            (store.folder / name).write_text("rule_id: [", encoding="utf-8")
        path = store.folder / "R0001.yaml"
        path.write_bytes(path.read_bytes())
        os.utime(path)
        await _settle(store)
        await until(lambda: bool(watch.changes))
        assert [change.rule_id for change in watch.changes] == ["R0002"]
        assert store.book.problems == ()


async def test_a_broken_edit_keeps_the_last_good_version_live(store: Store) -> None:
    path = store.folder / "R0001.yaml"
    good = path.read_text(encoding="utf-8")
    async with watching(store) as watch:
        path.write_text(good.replace("T1105", "T9999"), encoding="utf-8")
        await until(lambda: len(watch.changes) == 1)
        rule = watch.changes[0].upserted
        assert rule.rule_version == 3
        assert rule.emissions[0].technique_id == "T1105"
        assert rule.load_error.startswith(f"{path}:14:22: ATT&CK ")
        path.write_text(good, encoding="utf-8")
        await until(lambda: len(watch.changes) == 2)
        assert watch.changes[1].upserted.load_error == ""


async def test_a_broken_new_file_is_reported_and_costs_only_itself(store: Store) -> None:
    path = store.folder / "R0009.yaml"
    path.write_text("rule_id: R0009\nrule_version: one\n", encoding="utf-8")
    await until(lambda: bool(store.book.problems))
    assert store.book.problems[-1].location == f"{path}:2:15"
    assert store.book.rule_ids == ["R0001", "R0002", "R0003"]
    path.unlink()
    await until(lambda: not store.book.problems)


async def test_an_emptied_file_keeps_its_rule_live_and_says_so(store: Store) -> None:
    (store.folder / "R0001.yaml").write_bytes(b"")
    await until(lambda: "the file is empty" in store.book.rule("R0001").load_error)
    assert store.book.rule("R0001").rule_version == 3


async def test_two_files_of_one_rule_leave_the_first_live_until_it_goes(store: Store) -> None:
    text = (store.folder / "R0001.yaml").read_text(encoding="utf-8")
    second = store.folder / "R0001.yml"
    second.write_text(text.replace("rule_version: 3", "rule_version: 8"), encoding="utf-8")
    await until(lambda: bool(store.book.problems))
    assert "rule_id R0001 is taken by R0001.yaml" in store.book.problems[0].message
    assert store.book.rule("R0001").rule_version == 3
    (store.folder / "R0001.yaml").unlink()
    await until(lambda: store.book.rule("R0001").rule_version == 8)
    assert store.book.problems == ()


async def test_a_storm_of_two_hundred_files_ends_in_the_right_state(store: Store) -> None:
    text = (store.folder / "R0001.yaml").read_text(encoding="utf-8")
    ids = [f"R{number}" for number in range(1000, 1200)]
    async with watching(store) as watch:

        def storm() -> None:
            for version in (1, 2):
                for rule_id in ids:
                    own = text.replace("rule_id: R0001", f"rule_id: {rule_id}")
                    path = store.folder / f"{rule_id}.yaml"
                    path.write_text(
                        own.replace("rule_version: 3", f"rule_version: {version}"),
                        encoding="utf-8",
                    )
            for rule_id in ids[:50]:
                (store.folder / f"{rule_id}.yaml").unlink()

        await asyncio.to_thread(storm)
        expected = ["R0001", "R0002", "R0003", *ids[50:]]
        await until(lambda: store.book.rule_ids == expected and not store.book.problems)
        await until(lambda: all(store.book.rule(i).rule_version == 2 for i in ids[50:]))
        await until(lambda: watch.messages[-1].revision == store.log.revision)
        latest = {change.rule_id: change for change in watch.changes}
        present = {i for i in ids if i in latest and not latest[i].HasField("deleted")}
        assert present == set(ids[50:])
        assert {latest[i].upserted.rule_version for i in present} == {2}


async def test_a_folder_that_is_replaced_is_followed_on(store: Store) -> None:
    """A checkout that removes and recreates the folder neither drops rules nor ends the watch."""
    fresh = store.folder.with_name("fresh")
    shutil.copytree(store.folder, fresh)
    store.folder.rename(store.folder.with_name("old"))
    fresh.rename(store.folder)
    path = store.folder / "R0001.yaml"
    path.write_text(_raised(path), encoding="utf-8")
    await until(lambda: store.book.rule("R0001").rule_version == 4)
    _atomic_rename(path)
    await until(lambda: store.book.rule("R0001").rule_version == 5)


async def test_an_edit_reaches_the_stream_in_half_a_second(store: Store) -> None:
    """The median of ten saves; the machine may be busy for a single one."""
    path = store.folder / "R0001.yaml"
    took = []
    async with watching(store) as watch:
        for count in range(1, 11):
            begun = time.perf_counter()
            _atomic_rename(path)
            await until(lambda n=count: len(watch.changes) == n)  # type: ignore[misc] # bound now
            took.append(time.perf_counter() - begun)
    assert sorted(took)[len(took) // 2] <= 0.5


async def test_the_stream_ends_with_unavailable_when_the_store_stops(store: Store) -> None:
    async with watching(store) as watch:
        store.log.close()
        await until(lambda: watch.error is not None)
        assert watch.error is not None
        assert watch.error.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_state_outlives_edits_and_reverts_by_itself(store: Store) -> None:
    """Definition and state are two planes: neither touches the other."""
    path = store.folder / "R0001.yaml"
    request = pb.SetRuleStateRequest(
        rule_id="R0001", mode=rule_pb2.RULE_MODE_CLIPPED, confidence_max=0.4
    )
    async with watching(store) as watch:
        await store.stub.SetRuleState(request)
        await asyncio.to_thread(_atomic_rename, path)
        await until(lambda: store.book.rule("R0001").rule_version == 4)
        request.expire_time.FromDatetime(datetime.now(UTC) + timedelta(seconds=2))
        await store.stub.SetRuleState(request)
        await until(lambda: store.book.rule("R0001").state.mode == rule_pb2.RULE_MODE_ENABLED)
        await until(lambda: watch.messages[-1].revision == store.log.revision)
        seen = [(c.upserted.rule_version, c.upserted.state.mode) for c in watch.changes]
    assert seen == [
        (3, rule_pb2.RULE_MODE_CLIPPED),
        (4, rule_pb2.RULE_MODE_CLIPPED),
        (4, rule_pb2.RULE_MODE_CLIPPED),
        (4, rule_pb2.RULE_MODE_ENABLED),
    ]
    assert "state" not in path.read_text(encoding="utf-8")
