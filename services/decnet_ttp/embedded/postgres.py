# SPDX-License-Identifier: AGPL-3.0-or-later
"""A private PostgreSQL server that listens on nothing but a Unix socket."""

import asyncio
import os
import pwd
import secrets
import shutil
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import asyncpg

from decnet_ttp.embedded import launch, remains, socket_dir
from decnet_ttp.embedded.child import Child
from decnet_ttp.embedded.errors import EmbeddedError, NotReady
from decnet_ttp.embedded.postgres_binaries import bin_directory, major_version
from decnet_ttp.embedded.process import Account, Command, Process, describe_exit

ROLE = "decnet_ttp"
DATABASE = "decnet_ttp"
SOCKET_NAME = ".s.PGSQL.5432"

_UNPRIVILEGED = "nobody"
_PRIVATE = 0o700
_PROBE_TIMEOUT_S = 2.0
# The last checkpoint writes everything that is not on disk yet.
_GRACE_S = 60.0
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Values in statements come from attackers and stay out of the logs.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    # Every process shows as its own what it touched of this; the kernel caches what is beyond it.
    "shared_buffers": "96MB",
    # Compilation costs more than it saves on the short statements of the services.
    "jit": "off",
}


class PostgresServer:
    """One PostgreSQL cluster.

    Access is by peer authentication: the kernel vouches for the caller's user, and only the
    user who starts the server is mapped to the role. No password exists that could leak through
    a file, an environment or a process list, and under root even other programs of the
    unprivileged account the server runs as are refused.

    As root the server runs as an unprivileged account that is on the system already. It may be
    unable to enter the directories above its own, so it is handed open descriptors and names
    its directories through /proc/self/fd; nobody's home is opened for it.

    Args:
        data_dir: The cluster's own directory; created on the first start.
        run_dir: An existing directory for the socket, short enough for a socket path; None
            makes a private one and removes it on stop.
        log_path: The server's log; by default beside `data_dir`.
        bin_dir: Programs to use instead of the wheel's.
        settings: Further server settings, such as {"fsync": "off"} for a test.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        run_dir: Path | None = None,
        log_path: Path | None = None,
        bin_dir: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._data_dir = data_dir.absolute()
        self._own_run_dir = run_dir is None
        self._run_dir = run_dir
        self._log_path = log_path or self._data_dir.with_name(f"{data_dir.name}.log")
        self._bin_override = bin_dir
        self._settings = {**_SETTINGS, **(settings or {})}
        self._cluster = remains.cluster_name(self._data_dir)
        self._descriptors: tuple[int, int] | None = None
        self._account: Account | None = None
        self._bin_dir: Path | None = None
        self._process: Process | None = None

    @property
    def socket_dir(self) -> Path:
        """Directory of the socket; known after `prepare` or `start`."""
        if self._run_dir is None:
            raise EmbeddedError("PostgreSQL has no socket yet: start it first")
        return self._run_dir / "postgres"

    @property
    def url(self) -> str:
        """Database URL, for asyncpg and (with its driver named) SQLAlchemy."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """URL of another database of this server."""
        return f"postgresql://{ROLE}@/{database}?host={self.socket_dir}"

    @property
    def pid(self) -> int | None:
        """The postmaster's process id while `start` holds it running."""
        process = self._process
        return process.pid if process and process.returncode is None else None

    async def start(self) -> str:
        """Initialise the cluster on the first call, start the server, create the database.

        Returns:
            The database URL.

        Raises:
            EmbeddedError: PostgreSQL is missing, cannot be run or does not start.
        """
        await self.prepare()
        try:
            self._process = await launch.start(self.child(), self._log_path)
        except (EmbeddedError, asyncio.CancelledError):
            self.close()
            raise
        return self.url

    async def stop(self) -> None:
        """Stop the server at once but in good order, and forget its socket directory."""
        if self._process is not None:
            await self._process.stop(signal.SIGINT, _GRACE_S)
            self._process = None
        self.close()

    async def prepare(self) -> None:
        """Do everything but start the server: programs, cluster, access rules, directories.

        Raises:
            EmbeddedError: PostgreSQL is missing, cannot be run, or did not make the data.
        """
        owner = _owner_name()
        self._data_dir.parent.mkdir(parents=True, exist_ok=True)
        self._account = _account(self._data_dir)
        self._bin_dir = await asyncio.to_thread(
            bin_directory, self._bin_override, self._account, self._data_dir
        )
        await self._end_remains()
        if not (self._data_dir / "PG_VERSION").exists():
            await self._initialise()
        self._check_version()
        if self._run_dir is None:
            candidates = socket_dir.short_candidates(self._data_dir)
            self._run_dir = socket_dir.make_private(candidates, f"postgres/{SOCKET_NAME}")
        self._make_owned(self.socket_dir)
        self._descriptors = (_open_directory(self._data_dir), _open_directory(self.socket_dir))
        self._write("pg_hba.conf", "local all all peer map=decnet_ttp\n")
        self._write("pg_ident.conf", f'decnet_ttp "{owner}" {ROLE}\n')

    def close(self) -> None:
        """Release descriptors and a socket directory of our own making."""
        for descriptor in self._descriptors or ():
            os.close(descriptor)
        self._descriptors = None
        if self._own_run_dir and self._run_dir is not None:
            shutil.rmtree(self._run_dir, ignore_errors=True)
            self._run_dir = None

    def child(self) -> Child:
        """Describe the prepared server to a supervisor."""
        if self._descriptors is None or self._bin_dir is None:
            raise EmbeddedError("PostgreSQL is not prepared yet: start it first")
        data, sockets = self._descriptors
        settings = {
            "cluster_name": self._cluster,
            "unix_socket_directories": f"/proc/self/fd/{sockets}",
            **self._settings,
        }
        options = (part for item in settings.items() for part in ("-c", "=".join(item)))
        command = Command(
            argv=(str(self._bin_dir / "postgres"), "-D", f"/proc/self/fd/{data}", *options),
            env=_environment(),
            cwd=Path("/"),
            account=self._account,
            death_signal=signal.SIGINT,
            pass_fds=(data, sockets),
        )
        return Child(
            name="postgres",
            command=command,
            probe=self._probe,
            before_start=self._end_remains,
            stop_signal=signal.SIGINT,
            stop_stage=9,
            grace_s=_GRACE_S,
            # Killed in the middle of a long recovery it would begin all over.
            ready_timeout_s=600.0,
        )

    async def _end_remains(self) -> None:
        """End what is left of this cluster's processes, and their lock files.

        A postmaster that was killed leaves backends that end on their own only when they next
        look up from their work, and a new one refuses to start beside them.
        """
        left = await asyncio.to_thread(remains.postgres_processes, self._cluster)
        await remains.end(left, signal.SIGINT, signal.SIGQUIT)
        locks = [self._data_dir / "postmaster.pid"]
        if self._run_dir is not None:
            locks += [self.socket_dir / SOCKET_NAME, self.socket_dir / f"{SOCKET_NAME}.lock"]
        for lock in locks:
            lock.unlink(missing_ok=True)

    async def _initialise(self) -> None:
        """Make a new cluster beside the final place and move it there when it is whole."""
        if self._bin_dir is None:
            raise EmbeddedError("PostgreSQL is not prepared yet: start it first")
        if self._data_dir.exists() and any(self._data_dir.iterdir()):
            raise EmbeddedError(
                f"{self._data_dir} holds files but no PostgreSQL data: move them away or choose "
                "another --data-dir"
            )
        scratch = self._data_dir.with_name(f"{self._data_dir.name}.new")
        shutil.rmtree(scratch, ignore_errors=True)
        self._make_owned(scratch)
        descriptor = _open_directory(scratch)
        try:
            process = Process.spawn(
                Command(
                    argv=(
                        str(self._bin_dir / "initdb"),
                        *("-D", f"/proc/self/fd/{descriptor}"),
                        *("--username", ROLE, "--auth", "peer"),
                        *("--encoding", "UTF8", "--locale", "C"),
                    ),
                    env=_environment(),
                    cwd=Path("/"),
                    account=self._account,
                    pass_fds=(descriptor,),
                ),
                self._log_path,
            )
            try:
                returncode = await process.wait()
            except asyncio.CancelledError:
                # A server of its own works for initdb and would write on without it.
                await remains.end_session(process.pid)
                await process.wait()
                raise
        finally:
            os.close(descriptor)
        if returncode != 0:
            raise EmbeddedError(
                f"PostgreSQL could not make its data directory ({describe_exit(returncode)}): "
                f"see {self._log_path}"
            )
        scratch.rename(self._data_dir)

    def _check_version(self) -> None:
        if self._bin_dir is None:
            raise EmbeddedError("PostgreSQL is not prepared yet: start it first")
        written = (self._data_dir / "PG_VERSION").read_text().strip()
        ours = str(major_version(self._bin_dir))
        if written != ours:
            raise EmbeddedError(
                f"{self._data_dir} was written by PostgreSQL {written} and this is {ours}: set "
                f"DECNET_TTP_PG_BIN to the programs of PostgreSQL {written}, or upgrade the data "
                "with pg_upgrade"
            )

    def _make_owned(self, directory: Path) -> None:
        directory.mkdir(mode=_PRIVATE, exist_ok=True)
        directory.chmod(_PRIVATE)
        if self._account is not None:
            os.chown(directory, self._account.uid, self._account.gid)

    def _write(self, name: str, content: str) -> None:
        """Replace a file of the cluster.

        The directory belongs to another account under root, who could have put a link in the
        file's place; a new file that is renamed over it follows none.
        """
        if self._descriptors is None:
            raise EmbeddedError("PostgreSQL is not prepared yet: start it first")
        folder = self._descriptors[0]
        fresh = f".{name}.{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        file = os.open(fresh, flags, 0o600, dir_fd=folder)
        try:
            if self._account is not None:
                os.fchown(file, self._account.uid, self._account.gid)
            os.write(file, content.encode())
        finally:
            os.close(file)
        os.replace(fresh, name, src_dir_fd=folder, dst_dir_fd=folder)

    async def _probe(self, _pid: int) -> None:
        """Connect for real; creates the database on the first occasion."""
        try:
            connection = await asyncpg.connect(
                self.url_of("postgres"), timeout=_PROBE_TIMEOUT_S, ssl=False
            )
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise NotReady from error
        try:
            exists = "SELECT 1 FROM pg_database WHERE datname = $1"
            if await connection.fetchval(exists, DATABASE) is None:
                with suppress(asyncpg.DuplicateDatabaseError):
                    await connection.execute(f"CREATE DATABASE {DATABASE}")
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise NotReady from error
        finally:
            # It answered: that a slow machine takes its time over the farewell is no fault.
            with suppress(OSError, TimeoutError):
                await connection.close(timeout=_PROBE_TIMEOUT_S)


def _owner_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise EmbeddedError(
            f"user id {os.geteuid()} has no name on this system and PostgreSQL needs one: add it "
            "to /etc/passwd, or set DECNET_TTP_DATABASE_URL to a server of your own"
        ) from None


def _account(data_dir: Path) -> Account | None:
    """Whom the server runs as: ourselves, or under root the data's owner or `nobody`."""
    if os.geteuid() != 0:
        return None
    with suppress(FileNotFoundError):
        owner = data_dir.stat()
        if owner.st_uid != 0:
            return Account(owner.st_uid, owner.st_gid)
    try:
        entry = pwd.getpwnam(_UNPRIVILEGED)
    except KeyError:
        raise EmbeddedError(
            f"PostgreSQL refuses to run as root and there is no user {_UNPRIVILEGED!r} to run it "
            "as: run decnet-ttp as an ordinary user, or set DECNET_TTP_DATABASE_URL"
        ) from None
    return Account(entry.pw_uid, entry.pw_gid)


def _open_directory(directory: Path) -> int:
    return os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _environment() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
