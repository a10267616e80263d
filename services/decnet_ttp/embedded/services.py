# SPDX-License-Identifier: AGPL-3.0-or-later
"""The services of decnet-ttp as supervised children."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from decnet_ttp.embedded import health, remains
from decnet_ttp.embedded.child import Child
from decnet_ttp.embedded.layout import SERVICES, Instance
from decnet_ttp.embedded.process import Command
from decnet_ttp.runtime.config import load_settings
from decnet_ttp.runtime.listening import host_and_port

# Above the time that a service gives itself to finish its work.
_GRACE_S = 25.0
# What feeds stops before what is fed: ingest drains into taggers and tag-store that still run.
_STOP_STAGES = {"ingest": 0, "attribution": 0, "tagger": 1, "tag-store": 2, "rule-store": 3}
# Between processes of one user over private sockets there is nothing to encrypt or to prove.
_NOT_INHERITED = (
    "DECNET_TTP_ACCESS_FILE",
    "DECNET_TTP_TLS_CA",
    "DECNET_TTP_TLS_CERT",
    "DECNET_TTP_TLS_KEY",
    "DECNET_TTP_PEOPLE_LISTEN",
)


def children(instance: Instance) -> tuple[Child, ...]:
    """Describe the five services; one tagger process hosts all lifters."""
    return tuple(
        child(
            instance,
            name,
            # -P keeps the working directory off the import path.
            (sys.executable, "-P", "-m", "decnet_ttp.cli.main", "serve", name),
            stop_stage=_STOP_STAGES[name],
        )
        for name in SERVICES
    )


def metrics_address(first: str, name: str) -> str:
    """Return where a service serves its metrics: ports count up from the one that is set."""
    parts = host_and_port(first)
    if parts is None or not parts[1] or name not in SERVICES:
        return first
    host, port = parts
    return f"{host}:{port + SERVICES.index(name)}"


def child(
    instance: Instance,
    name: str,
    argv: tuple[str, ...],
    *,
    stop_stage: int = 0,
    environ: Mapping[str, str] | None = None,
) -> Child:
    """Describe one program that serves gRPC on the socket named after it.

    Args:
        instance: The installation it belongs to.
        name: Its name, also that of its socket and its log.
        argv: Absolute path of the program and its arguments.
        stop_stage: When it stops, see `Child`.
        environ: What it inherits; by default our own environment.
    """
    inherited = dict(os.environ if environ is None else environ)
    for variable in _NOT_INHERITED:
        inherited.pop(variable, None)
    target = instance.target(name)
    socket = Path(target.removeprefix("unix:"))
    settings = load_settings(inherited)
    if settings.metrics_listen:
        inherited["DECNET_TTP_METRICS_LISTEN"] = metrics_address(settings.metrics_listen, name)
    if settings.artifacts_root is None:
        # Where `import eml` stores mails if that variable says so.
        root = inherited.get("DECNET_ARTIFACTS_ROOT") or str(instance.data_dir / "artifacts")
        inherited["DECNET_TTP_ARTIFACTS_ROOT"] = root

    async def before_start() -> None:
        await asyncio.to_thread(socket.unlink, missing_ok=True)

    return Child(
        name=name,
        command=Command(
            argv=argv,
            env={
                **inherited,
                **instance.environment,
                "DECNET_TTP_LISTEN": target,
                remains.MARK: remains.instance_id(instance.data_dir),
            },
        ),
        probe=health.serving(target),
        before_start=before_start,
        stop_stage=stop_stage,
        grace_s=_GRACE_S,
        # Migrations over a large database are not to be cut off.
        ready_timeout_s=600.0,
    )
