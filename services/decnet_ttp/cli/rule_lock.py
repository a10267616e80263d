# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp rules lock`: note what each version of a rule means."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from decnet_ttp.cli.output import json_option, print_json


@click.command()
@click.argument(
    "paths", nargs=-1, metavar="[PATH]...", type=click.Path(exists=True, path_type=Path)
)
@json_option
def lock(paths: Sequence[Path], *, as_json: bool) -> None:
    """Write the lock file, against which `check` holds the versions of rules.

    PATH is as for `check`. A rule whose meaning changed under a version that is locked is refused:
    nothing is written then.
    """
    from decnet_ttp.cli.rules import load_pack_of
    from decnet_ttp.rule_store.lock_file import lock_path, locks_of, newly_locked, write_lock

    pack = load_pack_of(paths, with_examples=False)
    for problem in pack.problems:
        click.echo(str(problem), err=True)
    if pack.problems:
        click.get_current_context().exit(1)
    written: list[dict[str, Any]] = []
    for path, before in locks_of(pack).items():
        own = [outcome for outcome in pack.files if lock_path(Path(outcome.path)) == path]
        after = newly_locked(own, before)
        changed = sorted(rule_id for rule_id in after if after[rule_id] != before.get(rule_id))
        if changed or not path.exists():
            write_lock(path, after)
        written.append({"path": str(path), "rules": len(own), "changed": changed})
    if as_json:
        print_json(written)
        return
    for each in written:
        click.echo(f"{each['path']}: rules {each['rules']}, newly locked {len(each['changed'])}")
