# SPDX-License-Identifier: AGPL-3.0-or-later
"""The private PostgreSQL on its own."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import psutil
import pytest
from embedded_installation import until

from decnet_ttp.embedded import postgres_binaries, proc, remains
from decnet_ttp.embedded.errors import EmbeddedError
from decnet_ttp.embedded.postgres import PostgresServer


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[PostgresServer]:
    """Give a running server beneath pytest's directory, which is closed to other accounts."""
    made = PostgresServer(tmp_path / "cluster", settings={"fsync": "off"})
    await made.start()
    yield made
    await made.stop()


async def ask(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_start_gives_a_usable_database(server: PostgresServer) -> None:
    """The URL leads to an empty database of our name in UTF-8, in which all is allowed."""
    assert await ask(server.url, "SELECT current_database()::text") == "decnet_ttp"
    assert await ask(server.url, "SHOW server_encoding") == "UTF8"
    await ask(server.url_of("postgres"), "CREATE DATABASE another")
    assert await ask(server.url_of("another"), "SELECT 1") == 1


async def test_only_the_socket_is_listened_on(server: PostgresServer) -> None:
    """No TCP port is open."""
    assert await ask(server.url, "SHOW listen_addresses") == ""
    assert server.pid is not None
    assert psutil.Process(server.pid).net_connections("inet") == []
    postmaster = psutil.Process(server.pid)
    # It closes its copy of a connection a moment after a backend may have answered on it.
    until(lambda: len(postmaster.net_connections("unix")) == 1, "one socket is left")


def reachable_by_nobody(program: Path) -> bool:
    """Whether an unprivileged account may run a program."""
    trial = ("setpriv", "--reuid=nobody", "--clear-groups", "test", "-x", str(program))
    return subprocess.run(trial, check=False).returncode == 0


async def test_another_user_is_refused(server: PostgresServer) -> None:
    """Not even the account that the server runs as under root may log in."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    psql = postgres_binaries._wheel_installation() / "bin/psql"
    url = f"postgresql:///decnet_ttp?host={server.socket_dir}&user=decnet_ttp"
    if not reachable_by_nobody(psql):
        pytest.skip("the programs lie where nobody else may look")
    psql_as_nobody = await asyncio.create_subprocess_exec(
        *(psql, url, "-c", "SELECT 1"),
        user="nobody",
        group="nogroup",
        extra_groups=[],
        env={},
        cwd="/",
        stderr=subprocess.PIPE,
    )
    _, told = await psql_as_nobody.communicate()
    assert psql_as_nobody.returncode != 0
    assert b"Peer authentication failed" in told or b"Permission denied" in told


async def test_data_survives_and_the_socket_directory_does_not(tmp_path: Path) -> None:
    """Stop removes the private socket directory; a start finds the rows again."""
    server = PostgresServer(tmp_path / "cluster")
    await ask(await server.start(), "CREATE TABLE kept AS SELECT 7 AS value")
    sockets = server.socket_dir
    await server.stop()
    assert not sockets.exists()
    assert await ask(await server.start(), "SELECT value FROM kept") == 7
    await server.stop()


@pytest.mark.faults
async def test_a_start_after_a_crash_ends_what_the_crash_left(tmp_path: Path) -> None:
    """An orphaned server over the same data is stopped before a new one starts."""
    first, second = PostgresServer(tmp_path / "cluster"), PostgresServer(tmp_path / "cluster")
    await first.start()
    orphan = first.pid
    assert orphan is not None
    url = await second.start()
    assert second.pid != orphan
    assert proc.start_ticks(orphan) is None
    assert await ask(url, "SELECT 1") == 1
    await second.stop()
    await first.stop()


@pytest.mark.faults
async def test_a_killed_postmaster_leaves_a_cluster_that_starts(server: PostgresServer) -> None:
    """postmaster.pid, shared memory and committed rows of a killed server are dealt with."""
    await ask(server.url, "CREATE TABLE kept AS SELECT 7 AS value")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    assert await ask(await server.start(), "SELECT value FROM kept") == 7


async def test_initialisation_that_was_cut_short_is_done_again(tmp_path: Path) -> None:
    """Half a cluster from a killed initdb is thrown away."""
    half = tmp_path / "cluster.new/base"
    half.mkdir(parents=True)
    (half / "1").touch()
    server = PostgresServer(tmp_path / "cluster")
    assert await ask(await server.start(), "SELECT 1") == 1
    await server.stop()


@pytest.mark.faults
async def test_a_start_that_is_given_up_leaves_no_initdb_at_work(tmp_path: Path) -> None:
    """Neither initdb nor the server that works for it outlives the start."""
    starting = asyncio.create_task(PostgresServer(tmp_path / "cluster").start())
    lock = tmp_path / "cluster.new/postmaster.pid"
    at_work: list[psutil.Process] = []

    def is_at_work() -> bool:
        # initdb runs many short programs; one may be gone before it is asked.
        with suppress(psutil.NoSuchProcess):
            at_work[:] = [
                process
                for child in psutil.Process().children()
                if child.name() == "initdb"
                for process in (child, *child.children(recursive=True))
            ]
            return lock.exists() and "postgres" in {process.name() for process in at_work}
        return False

    async with asyncio.timeout(60):
        while not is_at_work():
            await asyncio.sleep(0.001)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    # One that was killed stays listed until init has collected it.
    assert [p for p in at_work if proc.start_ticks(p.pid) is not None] == []


async def test_statements_and_values_stay_out_of_the_log(tmp_path: Path) -> None:
    """What an attacker typed is not copied into the server's log by a failing statement."""
    server = PostgresServer(tmp_path / "cluster", log_path=tmp_path / "server.log")
    connection = await asyncpg.connect(await server.start())
    await connection.execute("CREATE TABLE once (value text PRIMARY KEY)")
    await connection.execute("INSERT INTO once VALUES ($1)", "wget-evil")
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute("INSERT INTO once VALUES ($1)", "wget-evil")
    await connection.close()
    await server.stop()
    log = (tmp_path / "server.log").read_text()
    assert "duplicate key value" in log
    assert "wget-evil" not in log


async def test_foreign_files_are_not_touched(tmp_path: Path) -> None:
    """A directory with other things in it is refused with a cure."""
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster/letter.txt").write_text("mine")
    with pytest.raises(EmbeddedError, match="holds files but no PostgreSQL data"):
        await PostgresServer(tmp_path / "cluster").start()
    assert (tmp_path / "cluster/letter.txt").read_text() == "mine"


async def test_data_of_another_major_version_is_refused(tmp_path: Path) -> None:
    """The message names both versions and the setting that helps."""
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster/PG_VERSION").write_text("15\n")
    with pytest.raises(EmbeddedError, match=r"written by PostgreSQL 15 .* DECNET_TTP_PG_BIN"):
        await PostgresServer(tmp_path / "cluster").start()


async def test_programs_of_ones_own_are_used_or_refused_by_name(tmp_path: Path) -> None:
    """DECNET_TTP_PG_BIN is taken as it is; a wrong one is an error, never a silent default."""
    with pytest.raises(EmbeddedError, match=f"DECNET_TTP_PG_BIN={tmp_path} has no `postgres`"):
        await PostgresServer(tmp_path / "cluster", bin_dir=tmp_path).start()


def test_no_process_of_a_stopped_cluster_is_left(tmp_path: Path) -> None:
    """Nothing of this module's clusters runs on."""
    until(
        lambda: not remains.postgres_processes(remains.cluster_name(tmp_path / "cluster")),
        "no postgres left",
    )
