# SPDX-License-Identifier: AGPL-3.0-or-later
"""Turning sources into catalogue files, and catalogue files into the cache."""

import contextlib
import fcntl
import gzip
import io
import lzma
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from decnet_ttp.attack import catalogue_file
from decnet_ttp.attack.catalogue import Catalogue
from decnet_ttp.attack.errors import CatalogueInvalidError, LicenceMissingError
from decnet_ttp.attack.licence import LICENCE_FILE, is_licence, licence_beside, licence_text
from decnet_ttp.attack.loader import CATALOGUE_FILE, catalogue_name, load_file
from decnet_ttp.attack.stix_bundle import catalogue_from_stix

MAX_BUNDLE_BYTES: Final = 512 * 1024 * 1024
"""The largest bundle read, uncompressed; the official ones are about 50 MB."""

_GZIP_MAGIC: Final = b"\x1f\x8b"
_XZ_MAGIC: Final = b"\xfd7zXZ\x00"


def decompressed(path: Path, data: bytes) -> bytes:
    """Return a source's bytes without the gzip or xz around them, if any.

    Raises:
        CatalogueInvalidError: The compressed data is damaged, or larger than
            `MAX_BUNDLE_BYTES` once unpacked.
    """
    try:
        if data.startswith(_GZIP_MAGIC):
            with gzip.open(io.BytesIO(data)) as stream:
                plain = stream.read(MAX_BUNDLE_BYTES + 1)
        elif data.startswith(_XZ_MAGIC):
            with lzma.open(io.BytesIO(data)) as stream:
                plain = stream.read(MAX_BUNDLE_BYTES + 1)
        else:
            plain = data
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise CatalogueInvalidError(path, "its compression is damaged") from error
    if len(plain) > MAX_BUNDLE_BYTES:
        raise CatalogueInvalidError(path, f"it unpacks to more than {MAX_BUNDLE_BYTES} bytes")
    return plain


def build_from_stix(path: Path, data: bytes, release: str | None = None) -> Catalogue:
    """Compile the bytes of a STIX bundle file, compressed or not.

    Args:
        path: The file, for messages and for MITRE's own file name (which says the release).
        data: Its bytes.
        release: The release, when the bundle does not say it.

    Raises:
        CatalogueInvalidError: It is no bundle of Enterprise or ICS.
        ReleaseUnknownError: Neither the bundle, nor its name, nor ``release`` says it.
        BuilderMissingError: The extra ``attack`` is not installed.
    """
    return catalogue_from_stix(decompressed(path, data), path, release=release)


def write_catalogue(catalogue: Catalogue, path: Path, licence: str) -> Catalogue:
    """Write a catalogue with MITRE's licence beside it, and load it back.

    Both files appear whole or not at all, the licence first.

    Raises:
        LicenceMissingError: ``licence`` is another text, or another text already lies there.
        OSError: The folder cannot be written.
    """
    beside = path.parent / LICENCE_FILE
    if not is_licence(licence):
        raise LicenceMissingError(beside)
    path.parent.mkdir(parents=True, exist_ok=True)
    if beside.exists():
        # Somebody else's LICENSE.txt is never overwritten.
        licence_text(beside)
    _write_whole(beside, licence.encode())
    _write_whole(path, catalogue_file.encode(catalogue))
    return load_file(path, origin=catalogue.provenance.origin)


def install(catalogue: Catalogue, cache: Path, licence: str) -> Catalogue:
    """Make a catalogue the one of its domain that the cache offers.

    Raises:
        LicenceMissingError: ``licence`` is not MITRE's text.
        OSError: The cache cannot be written.
    """
    return write_catalogue(catalogue, cache / catalogue_name(catalogue.domain), licence)


def compiled_bundle(path: Path, data: bytes, digest: str, cache: Path) -> Catalogue:
    """Return the catalogue of a STIX bundle: from the cache, or compiled now and kept there.

    Several services starting at once compile it once: the others wait for the first.

    Args:
        path: The bundle, with MITRE's licence text beside it.
        data: Its bytes, already held against the pin.
        digest: Their sha256.
        cache: The cache's folder.

    Raises:
        CatalogueInvalidError: It is no Enterprise bundle, or the cache cannot be written.
        ReleaseUnknownError: The bundle does not say its release.
        BuilderMissingError: The extra ``attack`` is not installed.
        LicenceMissingError: The bundle's licence text vanished meanwhile.
    """
    folder = cache / f"bundle-{digest}"
    kept = folder / CATALOGUE_FILE
    try:
        with _locked(cache):
            if kept.is_file():
                # A damaged or outdated entry is compiled anew.
                with contextlib.suppress(CatalogueInvalidError, LicenceMissingError):
                    return load_file(kept, origin="bundle")
            licence = licence_text(licence_beside(path))
            built = build_from_stix(path, data)
            write_catalogue(built, kept, licence)
    except OSError as error:
        raise CatalogueInvalidError(
            path, f"what it compiles to cannot be kept in {cache} ({error.strerror})"
        ) from error
    return load_file(kept, origin="bundle")


@contextlib.contextmanager
def _locked(cache: Path) -> Iterator[None]:
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "compile.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write_whole(path: Path, data: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    fresh = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp gives 0600; services may run as another user than the one who fetched.
        fresh.chmod(0o644)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
