# SPDX-License-Identifier: AGPL-3.0-or-later
"""The real supervisor over stand-in services: `supervise.py DATA_DIR NAMES [NOTIFY_FD|terminal]`.

NAMES are separated by commas; the n-th service stops in stage n.
"""

import asyncio
import sys
from pathlib import Path

from decnet_ttp.cli.startup_list import StartupList
from decnet_ttp.embedded import services, system
from decnet_ttp.embedded.child import Child
from decnet_ttp.embedded.daemon import Messenger
from decnet_ttp.embedded.errors import EmbeddedError
from decnet_ttp.embedded.layout import ChildReport, Instance
from decnet_ttp.runtime.config import load_settings

FAKE = Path(__file__).with_name("fake_service.py")


class Printer:
    """Prints each change, process id and all."""

    def changed(self, report: ChildReport) -> None:
        self._say(f"{report.name} {report.state} {report.pid} {report.last_exit}")

    def ready(self, _: Instance) -> None:
        self._say("READY")

    def failed(self, _: EmbeddedError) -> None: ...

    def _say(self, line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


class Terminal(Printer):
    """Shows the live list of `up`."""

    def __init__(self) -> None:
        self.shown = StartupList().__enter__()
        self.changed = self.shown.changed  # type: ignore[method-assign]

    def ready(self, _: Instance) -> None:
        self.shown.finish()
        self.shown.say("all ready")


def main(data_dir: str, names: str, listener: str = "") -> None:
    def children(instance: Instance) -> list[Child]:
        return [
            services.child(instance, name, (sys.executable, str(FAKE)), stop_stage=stage)
            for stage, name in enumerate(filter(None, names.split(",")))
        ]

    told: Printer | Messenger
    if listener == "terminal":
        told = Terminal()
    else:
        told = Messenger(int(listener)) if listener else Printer()
    settings = load_settings()
    choices = system.Choices(
        database_url=settings.database_url,
        nats_url=settings.nats_url,
        pg_bin=settings.pg_bin,
        children=children,
        on_change=told.changed,
        on_ready=told.ready,
    )
    try:
        asyncio.run(system.run(Path(data_dir), choices))
    except EmbeddedError as error:
        told.failed(error)
        sys.exit(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
