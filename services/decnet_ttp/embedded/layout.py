# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where an embedded installation keeps what, and how to reach the one that runs."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import orjson

from decnet_ttp.embedded import private_file, proc, socket_dir
from decnet_ttp.embedded.errors import NotRunning

SERVICES = ("rule-store", "tagger", "tag-store", "ingest", "attribution")

_STATE_VERSION = 1
_LONGEST_SOCKET = "postgres/.s.PGSQL.5432"

__all__ = [
    "SERVICES",
    "ChildReport",
    "ChildState",
    "Instance",
    "Layout",
    "NotRunning",
    "default_data_dir",
    "load_instance",
]


def default_data_dir(environ: Mapping[str, str] | None = None) -> Path:
    """Data directory to use when no option names one.

    DECNET_TTP_DATA_DIR, else decnet-ttp beneath $XDG_DATA_HOME, else beneath ~/.local/share.
    """
    environ = os.environ if environ is None else environ
    if named := environ.get("DECNET_TTP_DATA_DIR"):
        return Path(named).absolute()
    data_home = environ.get("XDG_DATA_HOME", "")
    # The XDG specification has relative paths ignored.
    parent = Path(data_home) if data_home.startswith("/") else Path.home() / ".local/share"
    return parent / "decnet-ttp"


class ChildState(StrEnum):
    """What a supervised child is doing."""

    STARTING = "starting"
    READY = "ready"
    WAITING = "waiting to restart"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True)
class ChildReport:
    """One line of `status`.

    Attributes:
        name: The child.
        state: What it is doing.
        pid: Its process id while it has one.
        restarts: How often it was started again since the supervisor started.
        last_exit: How it ended last, such as "exit 1" or "SIGKILL"; empty when it never did.
        since: When the state began, in seconds since the epoch.
    """

    name: str
    state: ChildState
    pid: int | None
    restarts: int
    last_exit: str
    since: float

    def resident_bytes(self) -> int | None:
        """Resident memory of the child with its descendants, in bytes; None without a process."""
        return proc.resident_bytes(self.pid) if self.pid is not None else None


@dataclass(frozen=True)
class Layout:
    """The paths of one data directory.

    Attributes:
        data_dir: Its absolute path.
    """

    data_dir: Path

    @classmethod
    def of(cls, data_dir: Path) -> Self:
        """Lay out a data directory given by any path."""
        return cls(data_dir.absolute())

    @property
    def postgres_dir(self) -> Path:
        """PostgreSQL's cluster."""
        return self.data_dir / "postgres"

    @property
    def nats_dir(self) -> Path:
        """JetStream's store and the configuration with the generated credential."""
        return self.data_dir / "nats"

    @property
    def logs_dir(self) -> Path:
        """One log a child, and the supervisor's own when it runs in the background."""
        return self.data_dir / "logs"

    @property
    def state_file(self) -> Path:
        """What the running supervisor says about itself."""
        return self.data_dir / "state.json"

    @property
    def lock_file(self) -> Path:
        """Locked by the one supervisor of this directory for as long as it lives."""
        return self.data_dir / "supervisor.lock"

    def log(self, name: str) -> Path:
        """Log of a child."""
        return self.logs_dir / f"{name}.log"

    def run_dir_candidates(self) -> tuple[Path, ...]:
        """Where the sockets may go, best first: here, or when the path is too long elsewhere."""
        return (self.data_dir / "run", *socket_dir.short_candidates(self.data_dir))

    def create(self) -> None:
        """Create the data directory and that of the logs where they are missing.

        Under root the account that PostgreSQL runs as may pass through to programs copied here;
        everything else inside is private on its own.

        Raises:
            OSError: No room or no right.
        """
        mode = 0o711 if os.geteuid() == 0 else 0o700
        self.data_dir.mkdir(mode=mode, parents=True, exist_ok=True)
        self.logs_dir.mkdir(mode=0o700, exist_ok=True)

    def make_run_dir(self) -> Path:
        """Create the directory for the sockets.

        Raises:
            EmbeddedError: There is no place whose paths fit into a socket address.
        """
        return socket_dir.make_private(self.run_dir_candidates(), _LONGEST_SOCKET)


@dataclass(frozen=True)
class Instance:
    """A running embedded installation: how to reach each part of it.

    Attributes:
        data_dir: Its data directory.
        run_dir: Directory of its sockets.
        pid: Process id of its supervisor.
        pid_ticks: Start of that process in clock ticks since boot, against reuse of its id.
        ready: Whether everything has become ready after the start.
        started: When the supervisor started, in seconds since the epoch.
        database_url: PostgreSQL; empty until it is known.
        nats_url: NATS with its credential; empty until it is known.
        children: The supervised programs in starting order.
    """

    data_dir: Path
    run_dir: Path
    pid: int
    pid_ticks: int
    ready: bool
    started: float
    database_url: str = ""
    nats_url: str = ""
    children: tuple[ChildReport, ...] = ()

    def target(self, service: str) -> str:
        """GRPC target of a service by its name in `decnet-ttp serve`."""
        return f"unix:{self.run_dir / service}.sock"

    @property
    def rule_store(self) -> str:
        """GRPC target of the rule-store."""
        return self.target("rule-store")

    @property
    def tag_store(self) -> str:
        """GRPC target of the tag-store."""
        return self.target("tag-store")

    @property
    def ingest(self) -> str:
        """GRPC target of ingest."""
        return self.target("ingest")

    @property
    def attribution(self) -> str:
        """GRPC target of attribution."""
        return self.target("attribution")

    @property
    def taggers(self) -> tuple[str, ...]:
        """GRPC targets of the taggers."""
        return (self.target("tagger"),)

    @property
    def environment(self) -> dict[str, str]:
        """Settings that point a process of ours at this instance."""
        return {
            "DECNET_TTP_DATA_DIR": str(self.data_dir),
            "DECNET_TTP_DATABASE_URL": self.database_url,
            "DECNET_TTP_NATS_URL": self.nats_url,
            "DECNET_TTP_RULE_STORE": self.rule_store,
            "DECNET_TTP_TAG_STORE": self.tag_store,
            "DECNET_TTP_INGEST": self.ingest,
            "DECNET_TTP_ATTRIBUTION": self.attribution,
            "DECNET_TTP_TAGGERS": ",".join(self.taggers),
        }

    @property
    def alive(self) -> bool:
        """Whether the supervisor that wrote this still runs."""
        return proc.start_ticks(self.pid) == self.pid_ticks

    @classmethod
    def load(cls, data_dir: Path) -> Self:
        """Read how to reach the instance that runs over a data directory.

        Raises:
            NotRunning: None does, or none that this user may use.
        """
        try:
            instance = cls.load_last(data_dir)
        except PermissionError:
            raise NotRunning(
                data_dir,
                f"the installation in {data_dir} belongs to another user: become that user, or "
                "name another directory with --data-dir",
            ) from None
        if instance is None or not instance.alive:
            raise NotRunning(data_dir)
        return instance

    @classmethod
    def load_last(cls, data_dir: Path) -> Self | None:
        """Read what the last supervisor wrote, dead or alive; None when nothing usable is there.

        Raises:
            PermissionError: The directory belongs to another user.
        """
        try:
            content = orjson.loads(Layout.of(data_dir).state_file.read_bytes())
            return cls._from_json(content)
        except (FileNotFoundError, NotADirectoryError, KeyError, TypeError, ValueError):
            return None

    @classmethod
    def _from_json(cls, content: dict[str, Any]) -> Self:
        if content.pop("version") != _STATE_VERSION:
            raise ValueError("written by another version")
        children = tuple(
            ChildReport(**{**child, "state": ChildState(child["state"])})
            for child in content.pop("children")
        )
        for name in ("data_dir", "run_dir"):
            content[name] = Path(content[name])
        return cls(**content, children=children)

    def save(self) -> None:
        """Write the state file (mode 0600: it holds the credential of NATS)."""
        content = {"version": _STATE_VERSION, **asdict(self)}
        private_file.replace(
            Layout(self.data_dir).state_file,
            orjson.dumps(content, default=str, option=orjson.OPT_INDENT_2),
        )


def load_instance(data_dir: Path | None = None) -> Instance:
    """Read how to reach the running instance of a data directory, by default the default one.

    Raises:
        NotRunning: Nothing runs over it.
    """
    return Instance.load(data_dir or default_data_dir())
