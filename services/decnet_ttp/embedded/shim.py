# SPDX-License-Identifier: AGPL-3.0-or-later
"""Becomes another program that dies with the process that started it.

Run as `python -I -S shim.py PARENT_PID SIGNAL UID GID PROGRAM [ARGUMENT...]`. The steps must
happen between fork and exec, and running Python there inside the supervisor (preexec_fn) can
deadlock once gRPC has started threads; a separate interpreter that execs has no such trouble.

The order matters: the kernel forgets the death signal when the credentials change, so they
change first; and a parent that died before prctl would never be noticed, so it is compared
afterwards.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_KEEP = "-"


def main(arguments: list[str]) -> None:
    """Drop to UID and GID unless they are "-", arm the death signal, and exec PROGRAM.

    Args:
        arguments: Parent's process id, number of the death signal, UID, GID, the program's
            absolute path and its arguments, in this order.

    Raises:
        OSError: The credentials cannot change, or the kernel has no death signal.
        SystemExit: The parent is gone, or the program cannot be executed.
    """
    parent, death_signal, uid, gid, *command = arguments
    if uid != _KEEP:
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno), "prctl")
    if os.getppid() != int(parent):
        sys.exit("the starting process is gone")
    # Python ignores these two, and what is ignored stays so across exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execv(command[0], command)  # noqa: S606 - becoming the given program is the purpose
    except OSError as error:
        sys.exit(f"cannot run {command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
