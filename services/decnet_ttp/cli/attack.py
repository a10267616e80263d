# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp attack`: which ATT&CK release is loaded, and how to get another."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from decnet_ttp.attack import (
    DOMAIN_NAMES,
    AttackError,
    Catalogue,
    LicenceMissingError,
    default_cache_dir,
    load_catalogue,
)
from decnet_ttp.attack.licence import LICENCE_FILE, licence_text, packaged_licence
from decnet_ttp.attack.loader import catalogue_name, check_digest, read_bytes
from decnet_ttp.cli.output import json_option, print_json, print_table
from decnet_ttp.runtime.config import load_settings

_FILE: Final = click.Path(dir_okay=False, path_type=Path)
_FOLDER: Final = click.Path(file_okay=False, path_type=Path)


def _cache_option(command: Any) -> Any:
    return click.option(
        "--cache-dir",
        type=_FOLDER,
        help="Where fetched and compiled catalogues are kept "
        "(DECNET_TTP_ATTACK_CACHE_DIR; default: ~/.cache/decnet-ttp/attack).",
    )(command)


def _loading_options(command: Any) -> Any:
    """Add the options that decide which catalogue is loaded."""
    command = click.option(
        "--sha256",
        metavar="HEX",
        help="Digest the bundle must have (DECNET_TTP_ATTACK_SHA256).",
    )(_cache_option(command))
    return click.option(
        "--bundle",
        type=_FILE,
        help="Catalogue or STIX bundle to load instead of the cached or packaged catalogue "
        "(DECNET_TTP_ATTACK_BUNDLE).",
    )(command)


def _release(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    whole, dot, minor = (value or "0").partition(".")
    if not whole.isdecimal() or (dot and not minor.isdecimal()):
        raise click.BadParameter("a release looks like 17 or 19.1")
    return value


def _release_option(command: Any) -> Any:
    return click.option(
        "--release",
        metavar="NUMBER",
        callback=_release,
        help="ATT&CK release: the one to fetch (default: the latest), or the one a source holds "
        "that does not say it.",
    )(command)


@contextmanager
def _writing() -> Iterator[None]:
    """Say in one line what could not be written."""
    try:
        yield
    except OSError as error:
        raise AttackError(
            f"{error.filename or 'the catalogue'} cannot be written: {error.strerror}; "
            "choose another folder with --cache-dir or --output"
        ) from error


def _cache_dir(given: Path | None) -> Path:
    return load_settings(attack_cache_dir=given).attack_cache_dir or default_cache_dir()


def _loaded(bundle: Path | None, sha256: str | None, cache_dir: Path | None) -> Catalogue:
    settings = load_settings(attack_bundle=bundle, attack_sha256=sha256, attack_cache_dir=cache_dir)
    return load_catalogue(
        bundle=settings.attack_bundle,
        sha256=settings.attack_sha256,
        cache_dir=settings.attack_cache_dir,
    )


@click.group()
def attack() -> None:
    """Show, fetch and build the MITRE ATT&CK catalogue."""


@attack.command()
@_loading_options
@json_option
def info(*, bundle: Path | None, sha256: str | None, cache_dir: Path | None, as_json: bool) -> None:
    """Show the releases that are loaded, where they came from and how much they hold."""
    _print_info(_loaded(bundle, sha256, cache_dir), as_json=as_json)


@attack.command()
@_release_option
@click.option(
    "--domain",
    type=click.Choice([each.removesuffix("-attack") for each in DOMAIN_NAMES]),
    default="enterprise",
    show_default=True,
    help="Which ATT&CK to fetch.",
)
@click.option(
    "--mirror",
    metavar="URL",
    envvar="DECNET_TTP_ATTACK_MIRROR",
    show_envvar=True,
    help="Copy of MITRE's attack-stix-data repository to fetch from.",
)
@_cache_option
@json_option
def fetch(
    *,
    release: str | None,
    domain: str,
    mirror: str | None,
    cache_dir: Path | None,
    as_json: bool,
) -> None:
    """Download an official release, verify it, and keep its catalogue in the cache."""
    from decnet_ttp.attack import official

    cache = _cache_dir(cache_dir)
    table = official.release_table(mirror, f"{domain}-attack")
    click.echo(f"fetching {table.url(release or table.latest)}", err=True)
    with _writing():
        fetched = official.fetch(table, cache, release)
    if not fetched.downloaded:
        click.echo("the cache holds this release already", err=True)
    if fetched.licence_is_packaged:
        click.echo("MITRE's licence could not be fetched; stored the packaged text", err=True)
    _print_info(fetched.catalogue, as_json=as_json)


@attack.command()
@click.argument("source", type=_FILE, required=False)
@click.option("--misp", is_flag=True, help="Build from the MISP galaxy of pymispgalaxies.")
@_release_option
@click.option("--sha256", metavar="HEX", help="Digest SOURCE must have; checked before parsing.")
@click.option(
    "--licence", type=_FILE, help="MITRE's licence (default: beside SOURCE, else the packaged one)."
)
@click.option(
    "-o", "--output", type=_FILE, help="File to write (default: the cache, to be loaded from now)."
)
@_cache_option
@json_option
def build(
    *,
    source: Path | None,
    misp: bool,
    release: str | None,
    sha256: str | None,
    licence: Path | None,
    output: Path | None,
    cache_dir: Path | None,
    as_json: bool,
) -> None:
    """Build a catalogue from SOURCE, an official STIX bundle (plain, .gz or .xz).

    Enterprise and ICS are told apart by what is in it, and lie beside each other in the cache.
    """
    from decnet_ttp.attack import compiler, misp_galaxy

    if misp == (source is not None):
        raise click.UsageError("give either SOURCE or --misp")
    if misp and sha256:
        raise click.UsageError("--sha256 pins SOURCE; the galaxy is pinned by its package")
    if source is None:
        built = misp_galaxy.catalogue_from_galaxy(misp_galaxy.clusters_dir(), release=release)
    else:
        data = read_bytes(source)
        check_digest(str(source), data, sha256)
        built = compiler.build_from_stix(source, data, release)
    target = output or _cache_dir(cache_dir) / catalogue_name(built.domain)
    with _writing():
        written = compiler.write_catalogue(built, target, _licence_for(source, licence))
    _print_info(written, as_json=as_json)


def _licence_for(source: Path | None, licence: Path | None) -> str:
    if licence is not None:
        return licence_text(licence)
    beside = source.with_name(LICENCE_FILE) if source else None
    return licence_text(beside) if beside and beside.is_file() else packaged_licence()


@attack.command("license")
@_cache_option
def show_license(*, cache_dir: Path | None) -> None:
    """Print MITRE's licence: the cached catalogue's, else the packaged text."""
    # Whatever is broken elsewhere, this command answers: it is the cure for a missing text,
    # and the shell has emptied the file it is redirected into before it runs.
    try:
        text = licence_text(_cache_dir(cache_dir) / LICENCE_FILE)
    except LicenceMissingError:
        text = packaged_licence()
    click.echo(text, nl=False)


@attack.command()
@click.argument("techniques", metavar="T...", nargs=-1, required=True)
@_loading_options
@json_option
def groups(
    *,
    techniques: tuple[str, ...],
    bundle: Path | None,
    sha256: str | None,
    cache_dir: Path | None,
    as_json: bool,
) -> None:
    """Show the groups known to use each technique T (Tnnnn or Tnnnn.nnn)."""
    catalogue = _loaded(bundle, sha256, cache_dir)
    found = [_use(catalogue, technique.upper()) for technique in techniques]
    if as_json:
        print_json(found)
        return
    rows = [
        (use["technique_id"], use["technique_name"], group["id"], group["name"])
        for use in found
        for group in use["groups"]
    ]
    columns = [(name, "left") for name in ("technique", "name", "group", "group name")]
    print_table(columns, rows, empty="no group is known to use what was asked for")


def _use(catalogue: Catalogue, asked: str) -> dict[str, Any]:
    technique = catalogue.resolve(asked)
    return {
        "asked": asked,
        "technique_id": technique.id,
        "technique_name": catalogue.full_name(technique.id),
        "link": technique.link,
        "groups": [
            {
                "id": group.id,
                "name": group.name,
                "aliases": group.aliases,
                "stix_id": group.stix_id,
                "link": group.link,
            }
            for group in catalogue.groups_using(technique.id)
        ],
    }


def _print_info(catalogue: Catalogue, *, as_json: bool) -> None:
    matrices = [_facts(matrix) for matrix in catalogue.matrices]
    if as_json:
        first, *others = matrices
        print_json(first | {"others": others})
        return
    for at, facts in enumerate(matrices):
        if at:
            click.echo()
        counts = facts.pop("counts")
        rows = [(key.replace("_", " "), str(value)) for key, value in (facts | counts).items()]
        print_table([("fact", "left"), ("value", "left")], rows, empty="")


def _facts(catalogue: Catalogue) -> dict[str, Any]:
    made = catalogue.provenance
    return {
        "attack_release": catalogue.attack_release,
        "release": catalogue.release,
        "domain": catalogue.domain,
        "source": made.source,
        "source_sha256": made.source_sha256,
        "loaded_from": made.origin,
        "path": str(made.path),
        "sha256": made.sha256,
        "licence_path": str(made.licence_path),
        "counts": dataclasses.asdict(catalogue.counts),
    }
