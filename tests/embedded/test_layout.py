# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where things are, and how a running instance is found."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from decnet_ttp.embedded import proc, socket_dir
from decnet_ttp.embedded.errors import EmbeddedError
from decnet_ttp.embedded.layout import (
    ChildReport,
    ChildState,
    Instance,
    Layout,
    NotRunning,
    default_data_dir,
    load_instance,
)


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    """Give an instance whose supervisor is this process."""
    return Instance(
        data_dir=tmp_path,
        run_dir=tmp_path / "run",
        pid=os.getpid(),
        pid_ticks=proc.start_ticks(os.getpid()) or 0,
        ready=True,
        started=1.5,
        database_url="postgresql://decnet_ttp@/decnet_ttp?host=/x",
        nats_url="nats://u:p@127.0.0.1:4222",
        children=(ChildReport("nats", ChildState.READY, 7, 2, "SIGKILL", 2.5),),
    )


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"DECNET_TTP_DATA_DIR": "/a", "XDG_DATA_HOME": "/b"}, Path("/a")),
        ({"XDG_DATA_HOME": "/b"}, Path("/b/decnet-ttp")),
        ({"XDG_DATA_HOME": "relative"}, Path.home() / ".local/share/decnet-ttp"),
        ({}, Path.home() / ".local/share/decnet-ttp"),
    ],
)
def test_default_data_dir(environ: dict[str, str], expected: Path) -> None:
    """The setting wins over the XDG directory, which wins over the home."""
    assert default_data_dir(environ) == expected


def test_an_instance_is_found_as_it_was_saved(instance: Instance) -> None:
    """Every field survives the state file, which only its owner may read."""
    instance.save()
    assert Instance.load(instance.data_dir) == instance
    assert Layout(instance.data_dir).state_file.stat().st_mode & 0o777 == 0o600


def test_targets_and_environment_agree(instance: Instance) -> None:
    """Services are told the same targets that the command line uses."""
    assert instance.tag_store == f"unix:{instance.run_dir}/tag-store.sock"
    assert instance.environment["DECNET_TTP_TAG_STORE"] == instance.tag_store
    assert instance.environment["DECNET_TTP_TAGGERS"] == f"unix:{instance.run_dir}/tagger.sock"
    assert load_instance is not None


def test_nothing_running_names_the_cure(tmp_path: Path) -> None:
    """Without a state file the error says what to do."""
    with pytest.raises(NotRunning, match=f"start it with `decnet-ttp up --data-dir {tmp_path}`"):
        load_instance(tmp_path)


def test_anothers_installation_is_named_as_such(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A state file that may not be read is no traceback."""

    def refuse(_path: Path) -> bytes:
        raise PermissionError

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(NotRunning, match="belongs to another user"):
        load_instance(instance.data_dir)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 99}', b'{"version": 1}'])
def test_a_spoilt_state_file_means_not_running(tmp_path: Path, content: bytes) -> None:
    """What cannot be read is no running instance, and no traceback."""
    Layout(tmp_path).state_file.write_bytes(content)
    with pytest.raises(NotRunning):
        load_instance(tmp_path)


def test_a_reused_process_id_is_not_the_supervisor(instance: Instance) -> None:
    """The same process id with another start is another process."""
    replace(instance, pid_ticks=instance.pid_ticks + 1).save()
    with pytest.raises(NotRunning):
        load_instance(instance.data_dir)


def test_a_foreign_socket_directory_is_refused(tmp_path: Path) -> None:
    """A link in the place of the private directory is not followed; the next place is taken."""
    (tmp_path / "t").mkdir()
    (tmp_path / "trap").symlink_to(tmp_path / "t")
    with pytest.raises(EmbeddedError, match="belongs to somebody else; choose a shorter"):
        socket_dir.make_private([tmp_path / "trap"], "s")
    good = socket_dir.make_private([tmp_path / "trap", tmp_path / "good"], "s")
    assert good == tmp_path / "good"
    assert good.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(("length", "expected"), [(107, True), (108, False)])
def test_socket_paths_end_at_107_bytes(length: int, expected: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """The address holds 108 bytes with the closing zero."""
    name = "a.sock"
    directory = Path("/" + "x" * (length - len(name) - 2))
    assert len(str(directory / name)) == length
    assert socket_dir.fits(directory, name) is expected


@pytest.mark.parametrize("name", ["a b", "50%", "tür", "a,b", "q?x", "h#x"])
def test_paths_that_need_quoting_do_not_fit(name: str) -> None:
    """Targets and URLs carry such characters in different ways, so they are avoided."""
    assert not socket_dir.fits(Path("/run") / name, "a.sock")
