# SPDX-License-Identifier: AGPL-3.0-or-later
"""Files that only their owner may read and that are never seen half written."""

import os
from pathlib import Path

_MODE = 0o600


def replace(path: Path, content: bytes) -> None:
    """Put `content` in the place of whatever is at `path`, at once.

    Raises:
        OSError: No room or no right.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    fresh.replace(path)
