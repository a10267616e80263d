# SPDX-License-Identifier: AGPL-3.0-or-later
"""Starting one child and waiting for its readiness."""

import asyncio
from pathlib import Path

from decnet_ttp.embedded import log_files
from decnet_ttp.embedded.child import Child
from decnet_ttp.embedded.errors import NotReady, StartFailedError
from decnet_ttp.embedded.process import Process, describe_exit

_PROBE_PAUSE_S = 0.02


async def until_ready(child: Child, process: Process) -> bool:
    """Probe a started child until it answers; False when it ended first.

    Raises:
        TimeoutError: Neither happened within the child's time limit.
    """
    async with asyncio.timeout(child.ready_timeout_s):
        while process.returncode is None:
            try:
                await child.probe(process.pid)
            except NotReady:
                await asyncio.sleep(_PROBE_PAUSE_S)
            else:
                return True
    return False


async def start(child: Child, log_path: Path) -> Process:
    """Start a child once and wait until it is ready.

    Raises:
        StartFailedError: It ended, or did not become ready in time (it is ended then).
    """
    await child.before_start()
    process = Process.spawn(child.command, log_path)
    try:
        if await until_ready(child, process):
            return process
        reason = describe_exit(await process.wait())
    except TimeoutError:
        reason = f"not ready within {child.ready_timeout_s:g} s"
    except asyncio.CancelledError:
        await process.stop(child.stop_signal, child.grace_s)
        raise
    await process.stop(child.stop_signal, child.grace_s)
    raise StartFailedError(child.name, reason, log_path, log_files.tail(log_path))
