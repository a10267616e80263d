# SPDX-License-Identifier: AGPL-3.0-or-later
"""A nats-server that tests may kill and bring back on the same port."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

BINARY = Path(sys.executable).parent / "nats-server"


class NatsProcess:
    """The real server; JetStream flushes each message before it acknowledges."""

    def __init__(self, folder: Path, max_payload: str = "8MB") -> None:
        self._folder = folder
        self._max_payload = max_payload
        self._process: subprocess.Popen[bytes] | None = None
        self._port = -1

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._port}"

    def start(self) -> None:
        ports = self._folder / "ports"
        ports.mkdir(parents=True, exist_ok=True)
        config = self._folder / "nats.conf"
        config.write_text(
            f"listen: 127.0.0.1:{self._port}\nports_file_dir: {ports}\n"
            f"max_payload: {self._max_payload}\n"
            f"jetstream {{ store_dir: {self._folder / 'js'}, sync_interval: always }}\n"
        )
        self._process = subprocess.Popen(
            [BINARY, "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        file = ports / f"nats-server_{self._process.pid}.ports"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self._process.poll() is None:
            if file.exists() and (text := file.read_text()):
                self._port = int(json.loads(text)["nats"][0].rpartition(":")[2])
                return
            time.sleep(0.01)
        raise TimeoutError("nats-server did not write its ports file")

    def kill(self) -> None:
        """Send SIGKILL; the process is gone when this returns."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
