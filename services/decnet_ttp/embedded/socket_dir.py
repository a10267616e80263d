# SPDX-License-Identifier: AGPL-3.0-or-later
"""A directory for Unix sockets whose paths fit into the system's 108 bytes."""

import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from decnet_ttp.embedded.errors import EmbeddedError
from decnet_ttp.embedded.remains import instance_id

# sockaddr_un holds 108 bytes including the closing NUL.
_MAX_PATH_BYTES = 107
# What a gRPC target and a database URL carry without any quoting.
_PLAIN = re.compile(r"[A-Za-z0-9/._+-]+")
_PRIVATE = 0o700


def fits(directory: Path, longest_name: str) -> bool:
    """Say whether a socket of this name in this directory has an address that works everywhere."""
    path = str(directory / longest_name)
    return len(os.fsencode(path)) <= _MAX_PATH_BYTES and _PLAIN.fullmatch(path) is not None


def short_candidates(data_dir: Path) -> tuple[Path, ...]:
    """Where the sockets of a data directory with a deep or unusual path may go, best first.

    The runtime directory of a login session comes second: it is removed when the user logs
    out, which would cut an instance that runs on in the background.
    """
    name = f"decnet-ttp-{os.geteuid()}-{instance_id(data_dir)}"
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    parents = [Path("/tmp")]  # noqa: S108 - the directory below is private and its owner is checked
    if runtime.startswith("/"):
        parents.append(Path(runtime))
    return tuple(parent / name for parent in parents)


def make_private(candidates: Iterable[Path], longest_name: str) -> Path:
    """Create the first usable candidate with mode 0700 and return it.

    A directory that is there already is taken only when it is ours: in a place where everybody
    may write, somebody else may have made it, or a link, to catch our sockets.

    Raises:
        EmbeddedError: No candidate can be used.
    """
    refusals = []
    for directory in candidates:
        if not fits(directory, longest_name):
            refusals.append(f"{directory} is too long or has unusual characters")
            continue
        try:
            directory.mkdir(mode=_PRIVATE, parents=False, exist_ok=True)
            found = directory.lstat()
        except OSError as error:
            refusals.append(f"{directory}: {error.strerror}")
            continue
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            refusals.append(f"{directory} belongs to somebody else")
            continue
        directory.chmod(_PRIVATE)
        return directory
    raise EmbeddedError(
        f"no directory for sockets: {'; '.join(refusals)}; choose a shorter --data-dir"
    )
