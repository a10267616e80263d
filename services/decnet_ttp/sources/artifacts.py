# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where captured files are kept: `<root>/<decky>/<service>/<stamp>_<12 hex>_<name>`."""

import os
from pathlib import Path


class ArtifactStore:
    """Keeps files below a root, each under a name that says when it came and what it holds."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def keep(self, decky: str, service: str, name: str, data: bytes) -> None:
        """Store a file, whole or not at all; one that is there already is left.

        Raises:
            OSError: it cannot be written.
        """
        folder = self._root / decky / service
        path = folder / name
        if path.exists():
            return
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        fresh = folder / f".{name}.{os.getpid()}.new"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o640)
        try:
            with os.fdopen(descriptor, "wb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
            fresh.replace(path)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
