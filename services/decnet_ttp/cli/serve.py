# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp serve`: one service in the foreground."""

from __future__ import annotations

import sys
from collections.abc import Coroutine
from typing import Any

import click

from decnet_ttp.runtime.config import Settings, load_settings, setting_docs


class _ServeGroup(click.Group):
    """A group whose help ends with the list of settings."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write every environment variable with its default."""
        with formatter.section("Settings (environment)"):
            formatter.write_dl(
                [
                    (item.variable, f"{item.doc} [{item.default}]" if item.default else item.doc)
                    for item in setting_docs()
                ]
            )


def _run(main: Coroutine[Any, Any, None], settings: Settings) -> None:
    import uvloop

    from decnet_ttp.runtime.logs import configure_logging
    from decnet_ttp.runtime.memory import bound_heaps

    bound_heaps()
    configure_logging(settings.log_level, settings.log_format)
    try:
        uvloop.run(main)
    except KeyboardInterrupt:
        sys.exit(130)


@click.group(cls=_ServeGroup)
@click.option("--listen", metavar="ADDRESS", help="unix:/path/to.sock or host:port.")
@click.option(
    "--insecure", is_flag=True, default=None, help="Allow TCP beyond loopback without TLS."
)
@click.pass_context
def serve(ctx: click.Context, listen: str | None, insecure: bool | None) -> None:
    """Run one service in the foreground, until SIGTERM."""
    ctx.obj = load_settings(listen=listen, insecure=insecure)


@serve.command()
@click.pass_obj
def ingest(settings: Settings) -> None:
    """Take events from the bus, have them tagged and stored."""
    from decnet_ttp.ingest.app import run

    _run(run(settings), settings)


@serve.command(name="rule-store")
@click.pass_obj
def rule_store(settings: Settings) -> None:
    """Hold rules and tell taggers of every change."""
    from decnet_ttp.rule_store.app import run

    _run(run(settings), settings)


@serve.command()
@click.option(
    "--lifter", "lifters", multiple=True, metavar="NAME", help="Lifter to host; default: all."
)
@click.pass_obj
def tagger(settings: Settings, lifters: tuple[str, ...]) -> None:
    """Evaluate the rules of one lifter, or of all."""
    from decnet_ttp.tagger.app import run

    _run(run(settings, lifters), settings)


@serve.command(name="tag-store")
@click.pass_obj
def tag_store(settings: Settings) -> None:
    """Store tags once, announce them once, answer questions."""
    from decnet_ttp.tag_store.app import run

    _run(run(settings), settings)


@serve.command()
@click.pass_obj
def attribution(settings: Settings) -> None:
    """Merge behavioural observations per identity."""
    from decnet_ttp.attribution.app import run

    _run(run(settings), settings)
