# SPDX-License-Identifier: AGPL-3.0-or-later
"""Fetching from a real HTTP server: verified before it is parsed, or nothing changes."""

import functools
import hashlib
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from decnet_ttp.attack import (
    ICS_DOMAIN,
    DigestMismatchError,
    DownloadFailedError,
    ReleaseUnknownError,
    load_catalogue,
)
from decnet_ttp.attack.licence import packaged_licence
from decnet_ttp.attack.official import MITRE_DATA, ReleaseTable, fetch, release_table

BundleMaker = Callable[[str], bytes]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        """Keep the test's output free of request lines."""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """What the server serves: MITRE's repository, in the beginning with a licence only."""
    folder = tmp_path / "site"
    (folder / "enterprise-attack").mkdir(parents=True)
    (folder / "LICENSE.txt").write_text(packaged_licence().replace("2025", "2031"), "utf-8")
    return folder


@pytest.fixture
def server(site: Path) -> Iterator[str]:
    """The server's address."""
    handler = functools.partial(_Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


@pytest.fixture
def table(server: str, site: Path, make_bundle: BundleMaker) -> ReleaseTable:
    """A table of one release, 99.1, which the server holds."""
    data = make_bundle("2.1")
    (site / "enterprise-attack" / "enterprise-attack-99.1.json").write_bytes(data)
    return ReleaseTable(
        latest="99.1", sha256={"99.1": hashlib.sha256(data).hexdigest()}, base_url=server
    )


def test_a_fetched_release_is_loaded_from_then_on(table: ReleaseTable, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    fetched = fetch(table, cache)
    assert fetched.downloaded
    assert not fetched.licence_is_packaged
    assert fetched.catalogue.provenance.source_sha256 == table.sha256["99.1"]
    loaded = load_catalogue(sha256=table.sha256["99.1"], cache_dir=cache)
    assert loaded.attack_release == "enterprise-v99.1"
    assert "2031" in (cache / "LICENSE.txt").read_text("utf-8")
    assert sorted(path.name for path in cache.iterdir()) == [
        "LICENSE.txt",
        "enterprise-attack.json",
    ]


def test_a_release_in_the_cache_is_not_fetched_again(
    table: ReleaseTable, tmp_path: Path, site: Path
) -> None:
    fetch(table, tmp_path / "cache")
    (site / "enterprise-attack" / "enterprise-attack-99.1.json").unlink()
    assert not fetch(table, tmp_path / "cache").downloaded


def test_a_changed_bundle_leaves_the_cache_as_it_was(
    table: ReleaseTable, tmp_path: Path, site: Path
) -> None:
    path = site / "enterprise-attack" / "enterprise-attack-99.1.json"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(DigestMismatchError) as caught:
        fetch(table, tmp_path / "cache")
    assert caught.value.expected == table.sha256["99.1"]
    assert caught.value.actual == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not (tmp_path / "cache").exists()


def test_the_packaged_licence_stands_in_for_one_that_is_not_there(
    table: ReleaseTable, tmp_path: Path, site: Path
) -> None:
    (site / "LICENSE.txt").write_text("<html>moved</html>")
    fetched = fetch(table, tmp_path / "cache")
    assert fetched.licence_is_packaged
    assert (tmp_path / "cache" / "LICENSE.txt").read_text("utf-8") == packaged_licence()


def test_an_absent_bundle_and_an_absent_server_are_failures(
    table: ReleaseTable, tmp_path: Path, site: Path
) -> None:
    (site / "enterprise-attack" / "enterprise-attack-99.1.json").unlink()
    with pytest.raises(DownloadFailedError, match="File not found"):
        fetch(table, tmp_path / "cache")
    nowhere = ReleaseTable(latest="99.1", sha256=table.sha256, base_url="http://127.0.0.1:1")
    with pytest.raises(DownloadFailedError, match="attack build FILE"):
        fetch(nowhere, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_release_without_a_known_digest_is_refused(table: ReleaseTable, tmp_path: Path) -> None:
    with pytest.raises(ReleaseUnknownError):
        fetch(table, tmp_path / "cache", "12.3")


def test_the_official_table_carries_mitres_digests() -> None:
    table = release_table()
    assert table.sha256["19.1"].startswith("bdf1ce86a4e60421")
    assert table.latest in table.sha256
    assert table.url("19.1") == f"{MITRE_DATA}/enterprise-attack/enterprise-attack-19.1.json"


def test_the_official_table_of_ics_is_its_own() -> None:
    table = release_table(domain=ICS_DOMAIN)
    assert table.sha256.keys() >= {"17.1", "19.1"}
    assert table.sha256["19.1"] != release_table().sha256["19.1"]
    assert table.url("17.1") == f"{MITRE_DATA}/ics-attack/ics-attack-17.1.json"


@pytest.mark.parametrize("address", ["file:///etc", "ftp://x/y", "here"])
def test_only_http_is_fetched(address: str) -> None:
    with pytest.raises(DownloadFailedError, match="only http and https"):
        release_table(address)
