# SPDX-License-Identifier: AGPL-3.0-or-later
"""Starting the supervisor in the background and hearing from it until it is ready."""

import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from decnet_ttp.embedded import log_files
from decnet_ttp.embedded.errors import EmbeddedError, StartFailedError
from decnet_ttp.embedded.layout import ChildReport, ChildState, Layout

# Settings that hold paths; the daemon works elsewhere, so they must not stay relative.
_PATHS = (
    "DECNET_TTP_CONFIG",
    "DECNET_TTP_RULES_DIR",
    "DECNET_TTP_ATTACK_BUNDLE",
    "DECNET_TTP_ATTACK_CACHE_DIR",
    "DECNET_TTP_PG_BIN",
    "DECNET_TTP_TOKEN_FILE",
)
_READ_BYTES = 65536


class DaemonFailedError(EmbeddedError):
    """The supervisor in the background did not become ready.

    Attributes:
        log_tail: The last lines of the log that tells why, oldest first.
    """

    def __init__(self, text: str, tail: tuple[str, ...]) -> None:
        super().__init__(text)
        self.log_tail = tail


class Messenger:
    """The supervisor's end of the pipe to the command that started it.

    Args:
        descriptor: Write end of the pipe.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        os.set_inheritable(descriptor, False)

    def changed(self, report: ChildReport) -> None:
        """Pass on the new state of a child."""
        self._send({"child": asdict(report)})

    def ready(self, _: object = None) -> None:
        """Say that everything is ready, and hang up."""
        self._send({"ready": True})
        self.close()

    def failed(self, error: EmbeddedError | OSError) -> None:
        """Say why nothing runs, and hang up."""
        tail = error.log_tail if isinstance(error, StartFailedError) else ()
        self._send({"error": str(error), "tail": tail})
        self.close()

    def close(self) -> None:
        """Hang up."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _send(self, message: Mapping[str, object]) -> None:
        if self._descriptor < 0:
            return
        try:
            os.write(self._descriptor, orjson.dumps(message) + b"\n")
        except BrokenPipeError:
            # Nobody waits any more; the instance starts all the same.
            self.close()


def start(
    argv: Sequence[str],
    data_dir: Path,
    *,
    on_change: Callable[[ChildReport], None],
    timeout_s: float,
) -> int:
    """Start a supervisor in the background and wait until it is ready.

    It gets a session of its own, no terminal, its data directory as the working directory, and
    a log for what it prints.

    Args:
        argv: The supervisor's command; the number of the pipe is appended to it.
        data_dir: Its data directory.
        on_change: Called with each new state of a child.
        timeout_s: Seconds it has to become ready.

    Returns:
        The supervisor's process id.

    Raises:
        EmbeddedError: It gave up, with its reason, or said nothing in time.
        OSError: The data directory cannot be used.
    """
    layout = Layout.of(data_dir)
    layout.create()
    log_path = layout.log("supervisor")
    log_files.rotate(log_path)
    log = log_files.open_append(log_path)
    reader, writer = os.pipe()
    try:
        process = subprocess.Popen(  # noqa: S603 - our own program
            (*argv, str(writer)),
            env=_environment(),
            cwd=layout.data_dir,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(writer,),
            start_new_session=True,
        )
    finally:
        os.close(log)
        os.close(writer)
    # It runs on after us; the system's first process will collect it.
    process.returncode = 0
    try:
        for message in _messages(reader, timeout_s):
            if "child" in message:
                report = message["child"]
                on_change(ChildReport(**{**report, "state": ChildState(report["state"])}))
            elif "error" in message:
                raise DaemonFailedError(message["error"], tuple(message["tail"]))
            else:
                return process.pid
    except TimeoutError:
        raise DaemonFailedError(
            f"not ready within {timeout_s:g} s, and still starting: look with `decnet-ttp status "
            f"--data-dir {data_dir}`, stop it with `decnet-ttp down --data-dir {data_dir}`",
            log_files.tail(log_path),
        ) from None
    finally:
        os.close(reader)
    raise DaemonFailedError(
        f"the supervisor ended before it was ready: see {log_path}", log_files.tail(log_path)
    )


def _messages(reader: int, timeout_s: float) -> Iterator[dict[str, Any]]:
    """Read messages until the other end hangs up.

    Raises:
        TimeoutError: The time is over.
    """
    deadline = time.monotonic() + timeout_s
    pending = b""
    while select.select([reader], [], [], max(0.0, deadline - time.monotonic()))[0]:
        received = os.read(reader, _READ_BYTES)
        if not received:
            return
        *lines, pending = (pending + received).split(b"\n")
        yield from map(orjson.loads, lines)
    raise TimeoutError


def _environment() -> dict[str, str]:
    absolute = {
        name: str(Path(os.environ[name]).absolute()) for name in _PATHS if os.environ.get(name)
    }
    return {**os.environ, **absolute}
