# SPDX-License-Identifier: AGPL-3.0-or-later
"""The console script. Command modules are imported only when their command is used."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from decnet_ttp.core.errors import DecnetError
from decnet_ttp.runtime.config import SettingsError, quieten_libraries

#: Command name -> module and attribute that hold it, and its line in the overview.
_COMMANDS: dict[str, tuple[str, str, str]] = {
    "up": ("embedded", "up", "Start PostgreSQL, NATS and all services on this machine."),
    "down": ("embedded", "down", "Stop the embedded installation."),
    "status": ("embedded", "status", "Show what runs, since when, and how often it died."),
    "serve": ("serve", "serve", "Run one service in the foreground."),
    "health": ("health", "health", "Ask a service whether it is ready."),
    "import": ("import_", "import_group", "Publish recorded telemetry on the bus."),
    "backfill": ("backfill", "backfill", "Tag kept history again with the rules of today."),
    "dlq": ("dlq", "dlq", "Handle dead letters: what could not be tagged."),
    "techniques": ("techniques", "techniques", "Show the techniques of a scope."),
    "tags": ("tags", "tags", "Show the evidence behind a technique."),
    "attackers": ("attackers", "attackers", "List attackers, their sessions and decoys; show one."),
    "identities": ("identities", "identities", "List identities and show how they behave."),
    "campaigns": ("campaigns", "campaigns", "List campaigns and assign identities to them."),
    "suspects": ("suspects", "suspects", "List identities that look like several people."),
    "export": ("export", "export", "Write tags, roll-ups and documents for other programs."),
    "purge": ("purge", "purge", "Delete everything stored of an attacker or identity."),
    "vacuum": ("purge", "vacuum", "Delete old tags."),
    "doctor": ("doctor", "doctor", "Show what is wrong with the stored tags, and the cure."),
    "watch": ("watch", "watch", "Show live what is being tagged."),
    "rules": ("rules", "rules", "List, show, check and test rules."),
    "attack": ("attack", "attack", "Show, fetch and build the ATT&CK catalogue."),
}


class _LazyGroup(click.Group):
    """A group whose commands are imported on use, so that start-up stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which a new user meets them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in _COMMANDS:
            return None
        module, attribute, _ = _COMMANDS[cmd_name]
        loaded = importlib.import_module(f"decnet_ttp.cli.{module}")
        command: click.Command = getattr(loaded, attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the overview without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in _COMMANDS.items()])


def _version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from decnet_ttp import program_version

        click.echo(f"decnet-ttp {program_version()}")
        ctx.exit()


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """Turn deception-fleet telemetry into ATT&CK techniques, with evidence, exactly once.

    Settings come from DECNET_TTP_* variables and the TOML file that DECNET_TTP_CONFIG names;
    "decnet-ttp serve --help" lists them. Exit codes: 0 done, 1 the work failed, 2 wrong usage.
    """


def main(args: list[str] | None = None) -> Any:
    """Run the command line; errors are one line on standard error."""
    quieten_libraries()
    try:
        return cli.main(args=args, prog_name="decnet-ttp")
    except (SettingsError, DecnetError) as error:
        click.echo(f"decnet-ttp: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
