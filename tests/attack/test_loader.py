# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which catalogue is loaded: bundle, cache, package; pinned, licensed, and light."""

import dataclasses
import gzip
import hashlib
import lzma
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from decnet_ttp.attack import (
    BuilderMissingError,
    Catalogue,
    CatalogueInvalidError,
    DigestMismatchError,
    LicenceMissingError,
    compiler,
    load_catalogue,
)
from decnet_ttp.attack.catalogue_file import encode
from decnet_ttp.attack.licence import packaged_licence

BundleMaker = Callable[[str], bytes]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def cache(tmp_path: Path, packaged: Catalogue) -> Path:
    """A cache that offers another release."""
    folder = tmp_path / "cache"
    other = dataclasses.replace(packaged, release="18.1")
    compiler.install(other, folder, packaged_licence())
    return folder


@pytest.fixture
def bundle(licensed: Path, make_bundle: BundleMaker) -> Path:
    """A STIX bundle with its licence beside it."""
    path = licensed / "bundle.json"
    path.write_bytes(make_bundle("2.1"))
    return path


def test_the_package_serves_when_nothing_else_does(tmp_path: Path) -> None:
    loaded = load_catalogue(cache_dir=tmp_path)
    assert (loaded.provenance.origin, loaded.release) == ("packaged", "17")
    assert list(tmp_path.iterdir()) == []


def test_the_cache_goes_before_the_package(cache: Path) -> None:
    loaded = load_catalogue(cache_dir=cache)
    assert (loaded.provenance.origin, loaded.release) == ("cache", "18.1")


def test_the_bundle_goes_before_the_cache(cache: Path, bundle: Path) -> None:
    loaded = load_catalogue(bundle=bundle, cache_dir=cache)
    assert (loaded.provenance.origin, loaded.release) == ("bundle", "99.1")
    assert loaded.provenance.source_sha256 == _sha256(bundle)


def test_a_compiled_catalogue_serves_as_bundle(
    licensed: Path, packaged: Catalogue, tmp_path: Path
) -> None:
    path = licensed / "mine.json"
    path.write_bytes(encode(dataclasses.replace(packaged, release="17.1")))
    loaded = load_catalogue(bundle=path, sha256=_sha256(path).upper(), cache_dir=tmp_path / "c")
    assert loaded.attack_release == "enterprise-v17.1"
    assert loaded.provenance.path == path
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
def test_a_compressed_bundle_is_pinned_by_the_file_and_known_by_its_content(
    compress: Callable[[bytes], bytes], licensed: Path, make_bundle: BundleMaker, tmp_path: Path
) -> None:
    path = licensed / "bundle.packed"
    path.write_bytes(compress(make_bundle("2.1")))
    loaded = load_catalogue(bundle=path, sha256=_sha256(path), cache_dir=tmp_path / "c")
    assert loaded.provenance.source_sha256 == hashlib.sha256(make_bundle("2.1")).hexdigest()


def test_a_bundle_is_compiled_once(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_catalogue(bundle=bundle, cache_dir=tmp_path / "c")
    monkeypatch.setitem(sys.modules, "stix2", None)
    again = load_catalogue(bundle=bundle, cache_dir=tmp_path / "c")
    assert again == first
    with pytest.raises(BuilderMissingError):
        load_catalogue(bundle=bundle, cache_dir=tmp_path / "another")


def test_a_changed_bundle_is_compiled_anew(
    bundle: Path, tmp_path: Path, make_bundle: BundleMaker
) -> None:
    load_catalogue(bundle=bundle, cache_dir=tmp_path / "c")
    bundle.write_bytes(make_bundle("2.1").replace(b"With a Spoon", b"With a Whisk"))
    again = load_catalogue(bundle=bundle, cache_dir=tmp_path / "c")
    assert again.technique_name("T9001.001") == "With a Whisk"


def test_a_damaged_cache_entry_is_compiled_anew(bundle: Path, tmp_path: Path) -> None:
    first = load_catalogue(bundle=bundle, cache_dir=tmp_path / "c")
    assert first.provenance.path is not None
    first.provenance.path.write_bytes(b"{")
    assert load_catalogue(bundle=bundle, cache_dir=tmp_path / "c") == first


def test_a_wrong_pin_stops_before_parsing(licensed: Path, cache: Path) -> None:
    path = licensed / "bundle.json"
    path.write_bytes(b"no JSON at all")
    with pytest.raises(DigestMismatchError) as caught:
        load_catalogue(bundle=path, sha256="0" * 64, cache_dir=cache)
    assert caught.value.expected == "0" * 64
    assert caught.value.actual == _sha256(path)


def test_a_malformed_pin_is_refused(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(DigestMismatchError, match="64 hexadecimal"):
        load_catalogue(bundle=bundle, sha256="abc", cache_dir=tmp_path)


def test_a_pin_without_a_bundle_chooses_what_matches(cache: Path, packaged: Catalogue) -> None:
    cached = load_catalogue(cache_dir=cache)
    by_file = load_catalogue(sha256=cached.provenance.sha256, cache_dir=cache)
    assert by_file.release == "18.1"
    other = load_catalogue(sha256=packaged.provenance.sha256, cache_dir=cache)
    assert other.release == "17"
    with pytest.raises(DigestMismatchError, match="matches no catalogue at hand"):
        load_catalogue(sha256="1" * 64, cache_dir=cache)


@pytest.mark.parametrize("text", [None, "", "some other licence"])
def test_nothing_loads_without_its_licence(
    bundle: Path, cache: Path, packaged: Catalogue, text: str | None
) -> None:
    compiled = bundle.with_name("compiled.json")
    compiled.write_bytes(encode(packaged))
    for folder in (bundle.parent, cache):
        licence = folder / "LICENSE.txt"
        licence.unlink()
        if text is not None:
            licence.write_text(text)
    for path in (bundle, compiled, None):
        with pytest.raises(LicenceMissingError, match="decnet-ttp attack license > ") as caught:
            load_catalogue(bundle=path, cache_dir=cache)
        assert "\n" not in str(caught.value)


def test_an_absent_bundle_is_never_replaced_by_another(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(CatalogueInvalidError, match="No such file"):
        load_catalogue(bundle=tmp_path / "absent.json", cache_dir=cache)


def test_damaged_compression_is_refused(licensed: Path, tmp_path: Path) -> None:
    path = licensed / "bundle.json"
    for data in (gzip.compress(b"x" * 999)[:-9], lzma.compress(b"x" * 999)[:-9]):
        path.write_bytes(data)
        with pytest.raises(CatalogueInvalidError, match="compression is damaged"):
            load_catalogue(bundle=path, cache_dir=tmp_path / "c")


def test_a_bundle_that_unpacks_without_end_is_refused(
    licensed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler, "MAX_BUNDLE_BYTES", 1000)
    path = licensed / "bundle.json"
    path.write_bytes(lzma.compress(b" " * 1001))
    with pytest.raises(CatalogueInvalidError, match="more than 1000 bytes"):
        load_catalogue(bundle=path, cache_dir=tmp_path / "c")


def test_another_licence_text_is_never_overwritten(tmp_path: Path, packaged: Catalogue) -> None:
    theirs = tmp_path / "LICENSE.txt"
    theirs.write_text("their own licence")
    with pytest.raises(LicenceMissingError):
        compiler.write_catalogue(packaged, tmp_path / "a.json", packaged_licence())
    assert theirs.read_text() == "their own licence"
    assert [path.name for path in tmp_path.iterdir()] == ["LICENSE.txt"]


def test_loading_imports_no_stix_library() -> None:
    program = (
        "import sys; from pathlib import Path; from decnet_ttp.attack import load_catalogue\n"
        "load_catalogue(cache_dir=Path('/nowhere')).resolve('T1059')\n"
        "heavy = {'stix2', 'pandas', 'numpy', 'mitreattack', 'pymispgalaxies', 'requests'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"
