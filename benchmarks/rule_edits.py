# SPDX-License-Identifier: AGPL-3.0-or-later
"""From saving a rule to the first tag by its new version, in the ways editors save files.

Run with `./dev bench rule_edits` or `python -m benchmarks.rule_edits [EDITS]`. A real rule-store
watches a copy of the shipped rules, a real tagger follows it. The clock starts when the save is
done and stops with the first answer of the tagger that holds a tag by the new version. Then the
same with one edit after another among 2,000 synthetic rules.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import statistics
import string
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.rule_plane import RulePlane, rule_text

RULES = Path(__file__).resolve().parent.parent / "rules"
RULE_ID = "R9001"
LARGE_RULES = 2_000


def in_place(path: Path, text: str) -> None:
    """Truncate and write, as most programs do."""
    path.write_text(text, encoding="utf-8")


def atomic_rename(path: Path, text: str) -> None:
    """Write a new file beside it and rename it over the old one."""
    scratch = path.with_name(f".{path.name}.{random.randrange(10**6)}.tmp")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)


def vim_style(path: Path, text: str) -> None:
    """As vim with `backupcopy=no`: swap file, probe file, old one renamed away, new one written."""
    swap, probe = path.with_name(f".{path.name}.swp"), path.with_name("4913")
    backup = path.with_name(f"{path.name}~")
    swap.write_bytes(b"b0VIM")
    probe.touch()
    probe.unlink()
    path.rename(backup)
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    backup.unlink()
    swap.unlink()


def editor_backup(path: Path, text: str) -> None:
    """As nano and emacs with backups: a copy kept beside it, then written in place."""
    shutil.copy2(path, path.with_name(f"{path.name}~"))
    path.write_text(text, encoding="utf-8")


def _new_version(text: str) -> str:
    version = next(line for line in text.splitlines() if line.startswith("rule_version"))
    return f"s/^rule_version: .*/{version}/"


def sed_in_place(path: Path, text: str) -> None:
    """The real `sed -i`, which changes the line with the version."""
    subprocess.run(["sed", "-i", _new_version(text), path], check=True)


def vim_itself(path: Path, text: str) -> None:
    """The real vim, keeping a backup, which changes the line with the version."""
    subprocess.run(
        [
            "vim",
            "-Nu",
            "NONE",
            "-es",
            "-c",
            "set backup backupcopy=no",
            "-c",
            "%" + _new_version(text),
            "-c",
            "wq",
            path,
        ],
        check=True,
        stdin=subprocess.DEVNULL,
    )


STYLES: dict[str, Callable[[Path, str], None]] = {
    "in place": in_place,
    "atomic rename": atomic_rename,
    "as vim": vim_style,
    "editor with backup": editor_backup,
    "sed -i": sed_in_place,
    **({"vim": vim_itself} if shutil.which("vim") else {}),
}


async def first_tag(plane: RulePlane, save: Callable[[Path, str], None], version: int) -> float:
    """Save a version of the rule; return the seconds until every tagger tags by it."""
    path = plane.folder / f"{RULE_ID}.yaml"
    text = rule_text(RULE_ID, version)
    await asyncio.to_thread(save, path, text)
    return max(await plane.until("probe", lambda tags: tags.get(RULE_ID) == version))


def percentile(values: list[float], share: float) -> float:
    """Return the value below which a share of the others lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def measure(edits: int) -> dict[str, list[float]]:
    """Save as often in each style, in turn, at irregular moments; gives seconds by style."""
    chooser = random.Random(3)
    found: dict[str, list[float]] = {style: [] for style in STYLES}
    async with RulePlane(RULES) as plane:
        (plane.folder / f"{RULE_ID}.yaml").write_text(rule_text(RULE_ID, 1), encoding="utf-8")
        await plane.until("probe", lambda tags: RULE_ID in tags)
        version = 1
        for _ in range(edits):
            for style, save in STYLES.items():
                version += 1
                found[style].append(await first_tag(plane, save, version))
                await asyncio.sleep(chooser.uniform(0, 0.15))
    return found


async def measure_large(edits: int) -> tuple[float, list[float]]:
    """Edit one rule of a large pack; gives the start of both processes and each edit, in s."""
    chooser = random.Random(5)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "ttp"
        folder.mkdir()
        for number in range(LARGE_RULES):
            word = "".join(chooser.choices(string.ascii_lowercase, k=9))
            path = folder / f"S{number:04}.yaml"
            path.write_text(rule_text(path.stem, 1, word), encoding="utf-8")
        began = time.monotonic()
        async with RulePlane(Path(name)) as plane:
            ready_s = time.monotonic() - began
            in_place(plane.folder / f"{RULE_ID}.yaml", rule_text(RULE_ID, 1))
            await plane.until("probe", lambda tags: RULE_ID in tags)
            times = [
                await first_tag(plane, atomic_rename, version) for version in range(2, edits + 2)
            ]
    return ready_s, times


def main() -> None:
    """Print the figures."""
    edits = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    found = asyncio.run(measure(edits))
    print("from the save to the first tag by the new version, in ms")
    for style, times in [*found.items(), ("all", [t for each in found.values() for t in each])]:
        ms = [1e3 * t for t in times]
        print(
            f"  {style:<20}{len(ms):>5} edits  median {statistics.median(ms):6.0f}  "
            f"p99 {percentile(ms, 0.99):6.0f}  most {max(ms):6.0f}   (target 500)"
        )
    ready_s, times = asyncio.run(measure_large(edits))
    print(
        f"{LARGE_RULES:,} rules: store and tagger started and loaded in {ready_s:.1f} s, "
        f"an edit is live in {1e3 * statistics.median(times):.0f} ms, at most "
        f"{1e3 * max(times):.0f} ms (target 500)"
    )


if __name__ == "__main__":
    main()
