# SPDX-License-Identifier: AGPL-3.0-or-later
"""Finding and loading the catalogue: configured bundle, then cache, then the packaged one.

The bundle and its pin are Enterprise's; ATT&CK for ICS comes from the cache, else the package.

Nothing here imports a STIX library; only a STIX bundle met for the first time makes
`decnet_ttp.attack.compiler` do so, and its result is kept in the cache.
"""

import hashlib
import os
import re
from pathlib import Path
from typing import Final

from decnet_ttp.attack import catalogue_file
from decnet_ttp.attack.catalogue import Catalogue, Origin, Provenance, joined
from decnet_ttp.attack.errors import CatalogueInvalidError, DigestMismatchError
from decnet_ttp.attack.licence import PACKAGED_DIR, licence_beside
from decnet_ttp.attack.tactics import DOMAIN_NAMES, ENTERPRISE_DOMAIN, ICS_DOMAIN

CATALOGUE_FILE: Final = "enterprise-attack.json"
"""The name of Enterprise's catalogue in the package and in the cache."""

_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def default_cache_dir() -> Path:
    """Return ``$XDG_CACHE_HOME/decnet-ttp/attack``, by default under ``~/.cache``."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "decnet-ttp" / "attack"


def catalogue_name(domain: str) -> str:
    """Return the name of a domain's catalogue in the package and in the cache."""
    return f"{domain}.json"


def load_catalogue(
    *,
    bundle: Path | None = None,
    sha256: str | None = None,
    cache_dir: Path | None = None,
) -> Catalogue:
    """Load Enterprise and ICS, joined, each from the first source there is.

    Args:
        bundle: A compiled catalogue or a STIX bundle of Enterprise (2.0 or 2.1; plain, ``.gz``
            or ``.xz``). A STIX bundle is compiled once and kept in the cache, keyed by the
            file's sha256. When set, nothing else is tried.
        sha256: The pin. With a bundle: of the bundle file's bytes, checked before they are
            parsed. Without: of the catalogue file or of the source it was compiled from;
            a cached catalogue that differs is passed over.
        cache_dir: The cache; `default_cache_dir` when None. It need not exist.

    Raises:
        CatalogueInvalidError: The file is absent, unreadable, or no ATT&CK data.
        DigestMismatchError: Nothing with the pinned digest; nothing else is loaded instead.
        LicenceMissingError: MITRE's licence text does not lie beside the file.
        ReleaseUnknownError: A STIX bundle that does not say its release.
        BuilderMissingError: A STIX bundle not compiled before, without the extra ``attack``.
    """
    pin = _checked_pin(sha256)
    cache = cache_dir or default_cache_dir()
    enterprise, ics = _enterprise(bundle, pin, cache), _of_domain(ICS_DOMAIN, cache)
    try:
        return joined(enterprise, ics)
    except ValueError as error:
        raise CatalogueInvalidError(ics.provenance.path or cache, str(error)) from error


def packaged_catalogue() -> Catalogue:
    """Load the catalogues that came with the package, joined.

    Raises:
        CatalogueInvalidError: The installation is damaged.
        LicenceMissingError: The installation lost MITRE's licence text.
    """
    return joined(*(_packaged(domain) for domain in DOMAIN_NAMES))


def _packaged(domain: str) -> Catalogue:
    return load_file(PACKAGED_DIR / catalogue_name(domain), origin="packaged")


def _of_domain(domain: str, cache: Path) -> Catalogue:
    cached = cache / catalogue_name(domain)
    if not cached.is_file():
        return _packaged(domain)
    return _checked_domain(load_file(cached, origin="cache"), cached, domain)


def _checked_domain(catalogue: Catalogue, path: Path, domain: str) -> Catalogue:
    if catalogue.domain != domain:
        raise CatalogueInvalidError(
            path, f"it is of the domain {catalogue.domain}, and {domain} is due here"
        )
    return catalogue


def _enterprise(bundle: Path | None, pin: str | None, cache: Path) -> Catalogue:
    if bundle is not None:
        return _checked_domain(_load_bundle(bundle, pin, cache), bundle, ENTERPRISE_DOMAIN)
    cached = cache / CATALOGUE_FILE
    if cached.is_file():
        catalogue = load_file(cached, origin="cache")
        if _is_pinned(catalogue, pin):
            return catalogue
    packaged = _packaged(ENTERPRISE_DOMAIN)
    if pin and not _is_pinned(packaged, pin):
        raise DigestMismatchError("ATT&CK data", pin, None)
    return packaged


def load_file(path: Path, *, origin: Origin) -> Catalogue:
    """Load one compiled catalogue.

    Raises:
        CatalogueInvalidError: The file is absent, unreadable, or no catalogue.
        LicenceMissingError: MITRE's licence text does not lie beside it.
    """
    return _decoded(read_bytes(path), path, origin)


def read_bytes(path: Path) -> bytes:
    """Return a file's bytes.

    Raises:
        CatalogueInvalidError: The file is absent or unreadable.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise CatalogueInvalidError(path, error.strerror or "unreadable") from error


def check_digest(what: str, data: bytes, pin: str | None) -> str:
    """Return the sha256 of bytes, lower-case hex, after holding it against a pin.

    Raises:
        DigestMismatchError: There is a pin, and the digest is another.
    """
    actual = hashlib.sha256(data).hexdigest()
    if pin is not None and actual != pin.strip().lower():
        raise DigestMismatchError(what, pin, actual)
    return actual


def _checked_pin(sha256: str | None) -> str | None:
    pin = (sha256 or "").strip().lower()
    if not pin:
        return None
    if not _SHA256.fullmatch(pin):
        raise DigestMismatchError("a pin that is not 64 hexadecimal digits", pin, None)
    return pin


def _is_pinned(catalogue: Catalogue, pin: str | None) -> bool:
    made = catalogue.provenance
    return pin is None or pin in (made.sha256, made.source_sha256)


def _decoded(data: bytes, path: Path, origin: Origin) -> Catalogue:
    licence = licence_beside(path)
    provenance = Provenance("", "", origin=origin, path=path, licence_path=licence)
    try:
        return catalogue_file.decode(data, provenance)
    except catalogue_file.FormatError as error:
        raise CatalogueInvalidError(path, str(error)) from error


def _load_bundle(path: Path, pin: str | None, cache: Path) -> Catalogue:
    data = read_bytes(path)
    digest = check_digest(str(path), data, pin)
    if data.startswith(catalogue_file.HEADER):
        return _decoded(data, path, "bundle")
    licence_beside(path)
    # Imported here: only this path may ever need the STIX libraries.
    from decnet_ttp.attack import compiler  # noqa: PLC0415 - keeps the load path light

    return compiler.compiled_bundle(path, data, digest, cache)
