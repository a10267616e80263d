# SPDX-License-Identifier: AGPL-3.0-or-later
"""What /proc tells about processes: which start of a process id, and its resident memory."""

from pathlib import Path

_START_TIME_FIELD = 22
_BYTES_PER_KIB = 1024


def start_ticks(pid: int) -> int | None:
    """Clock ticks from boot to the start of a process; None when there is none.

    Together with the process id this names one process for as long as the machine runs, while
    the id alone is reused.
    """
    try:
        line = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The program's name, second field, may hold spaces and brackets of its own.
    after_name = line.rpartition(")")[2].split()
    # What has ended stays listed until it is collected.
    if after_name[0] in {"Z", "X"}:
        return None
    return int(after_name[_START_TIME_FIELD - 3])


def resident_bytes(pid: int) -> int | None:
    """Resident memory of a process and its descendants, in bytes; None when it is gone.

    Private pages add up; shared ones (PostgreSQL's buffers are mapped by every backend) count
    once, with the largest share any of them has touched.
    """
    private, shared = 0, 0
    for one in _family(pid):
        sizes = _sizes(one)
        private += sizes.get("RssAnon", 0)
        shared = max(shared, sizes.get("RssFile", 0) + sizes.get("RssShmem", 0))
    return (private + shared) or None


def _family(pid: int) -> list[int]:
    family, unread = [], [pid]
    while unread:
        one = unread.pop()
        family.append(one)
        try:
            text = Path(f"/proc/{one}/task/{one}/children").read_text(encoding="ascii")
        except OSError:
            continue
        unread += [int(child) for child in text.split()]
    return family


def _sizes(pid: int) -> dict[str, int]:
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.splitlines() if line.startswith("Rss"))
    return {name: int(value.split()[0]) * _BYTES_PER_KIB for name, _, value in pairs}
