# SPDX-License-Identifier: AGPL-3.0-or-later
"""Cutting the connections of a running process, as a network that fails does."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
from contextlib import suppress
from pathlib import Path

# The same number on every architecture.
_PIDFD_GETFD = 438

_libc = ctypes.CDLL(None, use_errno=True)


def cut(pid: int) -> int:
    """Shut every connection of a process, whatever it carries; returns how many.

    A socket pair within the process is none: an event loop wakes itself by one.

    Raises:
        PermissionError: The kernel does not let us reach into the process.
        ProcessLookupError: There is no such process.
    """
    handle = os.pidfd_open(pid)
    try:
        names = [name for name in Path(f"/proc/{pid}/fd").iterdir() if _is_socket(name)]
        return sum(_shut(handle, int(name.name)) for name in names)
    except FileNotFoundError as error:
        raise ProcessLookupError(pid) from error
    finally:
        os.close(handle)


def _is_socket(name: Path) -> bool:
    try:
        return str(name.readlink()).startswith("socket:")
    except FileNotFoundError:
        return False


def _shut(handle: int, number: int) -> bool:
    copy = _libc.syscall(_PIDFD_GETFD, handle, number, 0)
    if copy < 0:
        code = ctypes.get_errno()
        if code == errno.EBADF:
            return False  # Closed in between.
        raise OSError(code, os.strerror(code))
    # A socket that listens has no peer, and one whose peer is gone is cut already.
    with socket.socket(fileno=copy) as shared, suppress(OSError):
        if shared.getpeername() or shared.getsockname():
            shared.shutdown(socket.SHUT_RDWR)
            return True
    return False
