# SPDX-License-Identifier: AGPL-3.0-or-later
"""Real Cowrie logs beside the repository, as often as a size asks for, with fresh session ids."""

from __future__ import annotations

import gzip
import os
import re
import sys
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

_SESSION = re.compile(rb'("session"\s*:\s*")([^"]+)"')


def real_logs() -> list[Path]:
    """Return the logs of public honeypots; ends the program where there are none."""
    root = Path(__file__).resolve().parent.parent
    folder = Path(os.environ.get("DECNET_TTP_SHARED", root.parent / "shared")) / "data" / "cowrie"
    logs = sorted(folder.glob("*.json.gz"))
    if not logs:
        sys.exit(f"no *.json.gz in {folder}; name the folder of real inputs in DECNET_TTP_SHARED")
    return logs


def lines_of(log: Path, copy: int) -> Iterator[bytes]:
    """Yield a log's lines; from the second copy on its sessions have other ids."""

    def fresh(match: re.Match[bytes]) -> bytes:
        name = blake2b(b"%d/%s" % (copy, match[2]), digest_size=6).hexdigest().encode()
        return match[1] + name + b'"'

    with gzip.open(log) as stream:
        for line in stream:
            yield _SESSION.sub(fresh, line) if copy else line


def repeat(folder: Path, total_bytes: int) -> int:
    """Write copies of the real logs, each into a folder of its own; returns their size in bytes."""
    written = copy = 0
    while written < total_bytes:
        for log in real_logs():
            path = folder / f"copy{copy}" / log.name.removesuffix(".gz")
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as out:
                for line in lines_of(log, copy):
                    written += out.write(line)
                    if written >= total_bytes:
                        return written
        copy += 1
    return written
