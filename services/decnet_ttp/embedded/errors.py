# SPDX-License-Identifier: AGPL-3.0-or-later
"""What can go wrong around an embedded installation; each text is one line with its cure."""

from pathlib import Path


class EmbeddedError(Exception):
    """The embedded installation cannot do what was asked; the text says why and what helps."""


class NotRunning(EmbeddedError):  # noqa: N818 - a state people ask about, not always a fault
    """No supervisor runs over this data directory.

    Attributes:
        data_dir: The data directory that was looked at.
    """

    def __init__(self, data_dir: Path, text: str = "") -> None:
        super().__init__(
            text
            or f"nothing runs over {data_dir}: start it with `decnet-ttp up --data-dir {data_dir}` "
            "or name another directory with --data-dir"
        )
        self.data_dir = data_dir


class AlreadyRunningError(EmbeddedError):
    """Another supervisor holds this data directory.

    Attributes:
        data_dir: The data directory that is taken.
        pid: Process id of its supervisor, when it is known.
    """

    def __init__(self, data_dir: Path, pid: int | None) -> None:
        who = f" (process {pid})" if pid else ""
        super().__init__(
            f"decnet-ttp already runs over {data_dir}{who}: look with `decnet-ttp status`, "
            "stop it with `decnet-ttp down`, or choose another --data-dir"
        )
        self.data_dir = data_dir
        self.pid = pid


class StartFailedError(EmbeddedError):
    """A child did not become ready.

    Attributes:
        child: Name of the child.
        log_tail: The last lines of its log, oldest first.
    """

    def __init__(self, child: str, reason: str, log_path: Path, log_tail: tuple[str, ...]) -> None:
        super().__init__(f"{child} did not start: {reason}; its log is {log_path}")
        self.child = child
        self.log_path = log_path
        self.log_tail = log_tail


class NotReady(Exception):  # noqa: N818 - an expected answer of a readiness probe, not a fault
    """A readiness probe's answer while its child is still starting."""
