# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stored mails are read beneath the artifacts root, and nothing else is, whatever names say."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from decnet_ttp.tagger.artifacts import ArtifactError, Artifacts, Reason
from tagger.mails import NAME, store

SECRET = b"Subject: secret\r\n\r\nnot for anybody\r\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / NAME).write_bytes(SECRET)
    folder = tmp_path / "artifacts"
    folder.mkdir()
    return folder


def refusal(artifacts: Artifacts, decky: str = "mail-1", name: str = NAME) -> Reason:
    """Why a mail is not read; counts must say the same."""
    before = artifacts.refused.copy()
    with pytest.raises(ArtifactError) as caught:
        artifacts.read(decky, name)
    assert artifacts.refused - before == {caught.value.reason.value: 1}
    assert artifacts.read_count == 0
    return caught.value.reason


def test_a_stored_mail_is_read(root: Path) -> None:
    store(root, b"Subject: x\r\n\r\ny")
    artifacts = Artifacts(root, max_bytes=100)
    assert artifacts.read("mail-1", NAME) == b"Subject: x\r\n\r\ny"
    assert artifacts.read_count == 1
    assert not artifacts.refused


def test_the_root_itself_may_be_named_by_a_link(root: Path, tmp_path: Path) -> None:
    store(root, b"m")
    (tmp_path / "by-link").symlink_to(root)
    assert Artifacts(tmp_path / "by-link", max_bytes=100).read("mail-1", NAME) == b"m"


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Be nobody where the tests run as root, whom no mode keeps out."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("closed", ["mail-1/smtp", "mail-1", "."])
def test_folders_that_the_tagger_may_not_enter_are_told_once(
    caplog: pytest.LogCaptureFixture, closed: str
) -> None:
    """Their mails would wait for days, and nobody would know why."""
    with TemporaryDirectory() as made:
        root = Path(made)
        store(root, b"m")
        store(root, b"m", decky="mail-2")
        for folder in (root, *root.rglob("*")):
            folder.chmod(0o755)
        (root / closed).chmod(0o600)
        artifacts = Artifacts(root, max_bytes=100)
        with ordinary_user():
            found = [artifacts.deckies() for _ in range(3)]
        assert found == [[] if closed == "." else ["mail-2"]] * 3
        assert caplog.messages == ["mail folders closed to us"]
        (root / closed).chmod(0o755)
        assert artifacts.deckies() == ["mail-1", "mail-2"]
    assert caplog.messages == ["mail folders closed to us"]


@pytest.mark.parametrize(
    "decky",
    ["..", ".", "", "/", "../outside", "a/b", "a\0b", "-a", "A", "a" * 64, "a\n", "mail-1/", "ä"],
)
def test_a_decky_that_is_no_plain_name_is_refused(root: Path, decky: str) -> None:
    assert refusal(Artifacts(root, max_bytes=100), decky) is Reason.BAD_DECKY


@pytest.mark.parametrize(
    "name",
    [
        "",
        "..",
        "message.eml",
        f"../{NAME}",
        f"../../../outside/{NAME}",
        f"/{NAME}",
        f"{NAME}/../x",
        f"{NAME}\n",
        f"{NAME}\0",
        NAME.replace("_message.eml", "_../../x"),
        NAME.replace("_message.eml", "_" + "x" * 256),
        NAME.replace("0123456789ab", "0123456789AB"),
        NAME.replace("2026", "٢٠٢٦"),
        NAME.replace("message", "mess%2e%2e%2fage"),
    ],
)
def test_a_name_that_is_not_of_its_form_is_refused(root: Path, name: str) -> None:
    store(root, b"m")
    assert refusal(Artifacts(root, max_bytes=100), name=name) is Reason.BAD_NAME


def test_a_name_longer_than_the_file_system_takes_is_refused(root: Path) -> None:
    store(root, b"m")
    name = NAME.replace("message.eml", "x" * 255)
    assert refusal(Artifacts(root, max_bytes=100), name=name) is Reason.BAD_NAME


def _link_to_file(folder: Path, outside: Path) -> None:
    folder.mkdir(parents=True)
    (folder / NAME).symlink_to(outside / NAME)


def _link_to_neighbour(folder: Path, outside: Path) -> None:
    del outside
    store(folder.parents[1], SECRET, decky="mail-2")
    folder.mkdir(parents=True)
    (folder / NAME).symlink_to(f"../../mail-2/smtp/{NAME}")


def _link_to_service(folder: Path, outside: Path) -> None:
    folder.parent.mkdir()
    folder.symlink_to(outside)


def _link_to_decky(folder: Path, outside: Path) -> None:
    (outside / "smtp").mkdir()
    (outside / "smtp" / NAME).write_bytes(SECRET)
    folder.parent.symlink_to(outside)


@pytest.mark.parametrize(
    "lay", [_link_to_file, _link_to_neighbour, _link_to_service, _link_to_decky]
)
def test_a_link_anywhere_below_the_root_is_refused(
    root: Path, tmp_path: Path, lay: Callable[[Path, Path], None]
) -> None:
    lay(root / "mail-1" / "smtp", tmp_path / "outside")
    assert refusal(Artifacts(root, max_bytes=100)) is Reason.SYMLINK


def test_what_is_no_file_is_refused_and_holds_nobody_up(root: Path) -> None:
    artifacts = Artifacts(root, max_bytes=100)
    path = store(root, b"")
    path.unlink()
    os.mkfifo(path)
    assert refusal(artifacts) is Reason.NOT_REGULAR
    path.unlink()
    path.mkdir()
    assert refusal(artifacts) is Reason.NOT_REGULAR
    path.rmdir()
    with socket.socket(socket.AF_UNIX) as listener:
        # The path is longer than an address may be.
        folder = os.open(path.parent, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{folder}/{NAME}")
        os.close(folder)
        assert refusal(artifacts) is Reason.NOT_REGULAR
    (root / "file").write_bytes(b"")
    assert refusal(artifacts, "file") is Reason.NOT_REGULAR


def test_a_mail_over_the_bound_is_refused(root: Path) -> None:
    store(root, b"x" * 101)
    assert refusal(Artifacts(root, max_bytes=100)) is Reason.TOO_LARGE


def test_what_is_not_there_may_come_later(root: Path) -> None:
    reasons = {
        refusal(Artifacts(None, max_bytes=100)),
        refusal(Artifacts(root, max_bytes=100)),
        refusal(Artifacts(root / "nowhere", max_bytes=100)),
    }
    assert reasons == {Reason.NO_ROOT, Reason.ABSENT}
    assert all(reason.retryable for reason in reasons)
    final = {Reason.SYMLINK, Reason.BAD_NAME, Reason.BAD_DECKY, Reason.TOO_LARGE}
    assert not any(reason.retryable for reason in final)


def test_a_folder_that_turns_into_a_link_meanwhile_gives_nothing(
    root: Path, tmp_path: Path
) -> None:
    """Somebody swaps a folder for a link, over and over, while it is read."""
    store(root, b"inside")
    folder, aside, link = root / "mail-1/smtp", root / "mail-1/aside", root / "mail-1/link"
    link.symlink_to(tmp_path / "outside")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            folder.rename(aside)
            link.rename(folder)
            folder.rename(link)
            aside.rename(folder)

    swapping = threading.Thread(target=swap)
    swapping.start()
    artifacts = Artifacts(root, max_bytes=100)
    read = set()
    try:
        for _ in range(3_000):
            with suppress(ArtifactError):
                read.add(artifacts.read("mail-1", NAME))
    finally:
        stop.set()
        swapping.join()
    assert read <= {b"inside"}
    assert artifacts.refused.keys() <= {Reason.ABSENT, Reason.SYMLINK, Reason.NOT_REGULAR}


def test_it_says_whose_mails_it_can_read(root: Path, tmp_path: Path) -> None:
    for decky in ("b", "a", "c"):
        store(root, b"m", decky=decky)
    (root / "no-mails").mkdir()
    (root / "Not-A-Decky" / "smtp").mkdir(parents=True)
    (root / "linked").symlink_to(tmp_path / "outside")
    (root / "half").mkdir()
    (root / "half" / "smtp").symlink_to(tmp_path / "outside")
    assert Artifacts(root, max_bytes=1).deckies() == ["a", "b", "c"]
    assert Artifacts(None, max_bytes=1).deckies() == []
    assert Artifacts(root / "nowhere", max_bytes=1).deckies() == []


def test_no_descriptor_is_left_open(root: Path) -> None:
    store(root, b"m")
    artifacts = Artifacts(root, max_bytes=100)
    for decky, name in (("mail-1", NAME), ("gone", NAME), ("mail-1", NAME.replace("0", "1"))):
        for _ in range(20):
            try:
                artifacts.read(decky, name)
            except ArtifactError:
                continue
    artifacts.deckies()
    # Others of this process open and close descriptors meanwhile; only what lies here counts.
    assert [path for path in _open_paths() if path.startswith(str(root))] == []
    with (root / "mail-1").joinpath("smtp", NAME).open("rb"):
        assert len([path for path in _open_paths() if path.startswith(str(root))]) == 1


def _open_paths() -> Iterator[str]:
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            yield str(descriptor.readlink())
