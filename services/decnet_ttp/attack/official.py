# SPDX-License-Identifier: AGPL-3.0-or-later
"""Fetching an official release, held against mitreattack-python's table of digests."""

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO, Final
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from decnet_ttp.attack.catalogue import Catalogue
from decnet_ttp.attack.compiler import MAX_BUNDLE_BYTES, install
from decnet_ttp.attack.errors import (
    BuilderMissingError,
    DigestMismatchError,
    DownloadFailedError,
    ReleaseUnknownError,
)
from decnet_ttp.attack.licence import LICENCE_FILE, is_licence, packaged_licence
from decnet_ttp.attack.loader import catalogue_name, load_file
from decnet_ttp.attack.stix_bundle import catalogue_from_stix
from decnet_ttp.attack.tactics import ENTERPRISE_DOMAIN

MITRE_DATA: Final = "https://raw.githubusercontent.com/mitre-attack/attack-stix-data/master"
"""Where MITRE publishes the STIX 2.1 bundles; a mirror has the same paths under it."""

_TIMEOUT_S: Final = 60.0
_CHUNK_BYTES: Final = 1 << 20
_MAX_LICENCE_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseTable:
    """The official releases of a domain: which there are and what their bundles hash to.

    Attributes:
        latest: The newest release's number.
        sha256: Digest of the STIX 2.1 bundle, by release number.
        base_url: Where the bundles lie.
        domain: The domain.
    """

    latest: str
    sha256: Mapping[str, str]
    base_url: str = MITRE_DATA
    domain: str = ENTERPRISE_DOMAIN

    def url(self, release: str) -> str:
        """Return the address of a release's bundle."""
        return f"{self.base_url}/{self.domain}/{self.domain}-{release}.json"

    @property
    def licence_url(self) -> str:
        """The address of the licence text that covers the bundles."""
        return f"{self.base_url}/{LICENCE_FILE}"


@dataclass(frozen=True, slots=True)
class Fetched:
    """What `fetch` did.

    Attributes:
        catalogue: The catalogue that is now in the cache.
        downloaded: False when the cache held it already.
        licence_is_packaged: True when MITRE's own text could not be had, so the text that
            came with this package was stored.
    """

    catalogue: Catalogue
    downloaded: bool
    licence_is_packaged: bool = False


def release_table(base_url: str | None = None, domain: str = ENTERPRISE_DOMAIN) -> ReleaseTable:
    """Return the table that mitreattack-python carries.

    Args:
        base_url: A mirror of MITRE's repository, instead of `MITRE_DATA`.
        domain: The domain, one of `DOMAIN_NAMES`.

    Raises:
        BuilderMissingError: mitreattack-python is not installed.
        DownloadFailedError: The mirror's address is neither http nor https.
    """
    try:
        from mitreattack import release_info  # noqa: PLC0415 - optional, heavy dependency
    except ImportError as error:
        raise BuilderMissingError("mitreattack-python") from error
    base = (base_url or MITRE_DATA).rstrip("/")
    if urlsplit(base).scheme not in ("http", "https"):
        raise DownloadFailedError(base, "only http and https addresses can be fetched")
    return ReleaseTable(
        latest=release_info.LATEST_VERSION,
        sha256=dict(release_info.STIX21[domain.removesuffix("-attack")]),
        base_url=base,
        domain=domain,
    )


def fetch(table: ReleaseTable, cache: Path, release: str | None = None) -> Fetched:
    """Bring an official release into the cache as a catalogue, with MITRE's licence.

    The bundle's digest is checked before a byte of it is parsed; on any failure the cache
    stays as it was.

    Args:
        table: The official releases.
        cache: The cache's folder.
        release: The release's number; the latest when None.

    Raises:
        ReleaseUnknownError: The table does not list the release.
        DownloadFailedError: The bundle could not be downloaded.
        DigestMismatchError: What came is not the official bundle.
        CatalogueInvalidError: The official bundle cannot be compiled.
        BuilderMissingError: mitreattack-python is not installed.
        LicenceMissingError: No licence text can be stored.
        OSError: The cache cannot be written.
    """
    number = release or table.latest
    expected = table.sha256.get(number)
    if expected is None:
        raise ReleaseUnknownError(f"the table of official releases (latest {table.latest})")
    cached = cache / catalogue_name(table.domain)
    if cached.is_file():
        present = load_file(cached, origin="cache")
        if present.provenance.source_sha256 == expected:
            return Fetched(present, downloaded=False)
    url = table.url(number)
    with tempfile.TemporaryFile() as spool:
        actual = _download(url, spool)
        if actual != expected:
            raise DigestMismatchError(url, expected, actual)
        spool.seek(0)
        data = spool.read()
    name = Path(urlsplit(url).path).name
    built = catalogue_from_stix(data, Path(name), release=number)
    licence = _licence(table.licence_url)
    return Fetched(
        install(built, cache, licence or packaged_licence()),
        downloaded=True,
        licence_is_packaged=licence is None,
    )


def _download(url: str, target: IO[bytes]) -> str:
    """Copy an address's content, at most `MAX_BUNDLE_BYTES`, and return its sha256."""
    digest = hashlib.sha256()
    size = 0
    request = Request(url, headers={"User-Agent": "decnet-ttp"})  # noqa: S310 - the table allows only http and https
    try:
        with urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310 - likewise
            while chunk := response.read(_CHUNK_BYTES):
                size += len(chunk)
                if size > MAX_BUNDLE_BYTES:
                    raise DownloadFailedError(url, f"it is larger than {MAX_BUNDLE_BYTES} bytes")
                digest.update(chunk)
                target.write(chunk)
    except URLError as error:
        raise DownloadFailedError(url, str(error.reason)) from error
    except (OSError, HTTPException) as error:
        raise DownloadFailedError(url, type(error).__name__) from error
    return digest.hexdigest()


def _licence(url: str) -> str | None:
    """Return MITRE's current licence text, whose year moves with the releases, if it is there."""
    request = Request(url, headers={"User-Agent": "decnet-ttp"})  # noqa: S310 - the table allows only http and https
    try:
        with urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310 - likewise
            text = response.read(_MAX_LICENCE_BYTES).decode("utf-8", "replace")
    except (OSError, HTTPException):
        return None
    return text if is_licence(text) else None
