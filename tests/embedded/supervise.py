# SPDX-License-Identifier: AGPL-3.0-or-later
"""The real supervisor over stand-in services: `supervise.py DATA_DIR NAMES [NOTIFY_FD]`.

NAMES are separated by commas; the n-th service stops in stage n.
"""

import asyncio
import sys
from pathlib import Path

from decnet_ttp.embedded import services, system
from decnet_ttp.embedded.child import Backoff, Child
from decnet_ttp.embedded.daemon import Messenger
from decnet_ttp.embedded.errors import EmbeddedError
from decnet_ttp.embedded.layout import ChildReport, Instance
from decnet_ttp.runtime.config import load_settings

FAKE = Path(__file__).with_name("fake_service.py")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(data_dir: str, names: str, notify_fd: str | None = None) -> None:
    def children(instance: Instance) -> list[Child]:
        return [
            services.child(instance, name, (sys.executable, str(FAKE)), stop_stage=stage)
            for stage, name in enumerate(filter(None, names.split(",")))
        ]

    messenger = Messenger(int(notify_fd)) if notify_fd else None

    def on_change(report: ChildReport) -> None:
        say(f"{report.name} {report.state} {report.pid} {report.last_exit}")
        if messenger:
            messenger.changed(report)

    def on_ready(instance: Instance) -> None:
        say("READY")
        if messenger:
            messenger.ready()

    settings = load_settings()
    choices = system.Choices(
        database_url=settings.database_url,
        nats_url=settings.nats_url,
        pg_bin=settings.pg_bin,
        children=children,
        backoff=Backoff(),
        on_change=on_change,
        on_ready=on_ready,
    )
    try:
        asyncio.run(system.run(Path(data_dir), choices))
    except EmbeddedError as error:
        if messenger:
            messenger.failed(error)
        sys.exit(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
