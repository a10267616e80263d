# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp rules` as a process, and rules and rows to give it."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def objects(self) -> list[Any]:
        """Its output as one JSON object a line."""
        return [json.loads(line) for line in self.out.splitlines()]


async def rules(*args: object, stdin: bytes = b"", **settings: str) -> Done:
    """Run `decnet-ttp rules` with these settings and no others of ours."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("DECNET_TTP_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "decnet_ttp.cli.main",
        "rules",
        *map(str, args),
        env=inherited | {f"DECNET_TTP_{name}": value for name, value in settings.items()},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(stdin), 240)
    return Done(process.returncode or 0, out.decode(), err.decode())


def write_rule(
    folder: Path,
    rule_id: str,
    pattern: str,
    *,
    technique: str = "T1105",
    sub_technique: str = "",
    tactic: str = "TA0011",
    kind: str = "command",
    field: str = "command_text",
    confidence: float = 0.8,
    extra: str = "",
) -> Path:
    """Write a rule that looks for a word, with or without an ending; its examples follow."""
    word = pattern.partition("(")[0]
    emission = f"tactic: {tactic}, technique_id: {technique}, confidence: {confidence}"
    if sub_technique:
        emission += f", sub_technique_id: {sub_technique}"
    path = folder / f"{rule_id}.yaml"
    path.write_text(
        f"""\
rule_id: {rule_id}
rule_version: 1
name: looks_for_{word}
description: Looks for the word {pattern}.
applies_to: [{kind}]
{extra}
match:
  field: {field}
  pattern: '\\b{pattern}\\b'
emits:
  - {{{emission}}}
tests:
  match:
    - payload: {{{field}: "x {word}"}}
      techniques: [{sub_technique or technique}]
  no_match:
    - payload: {{{field}: "nothing"}}
""",
        encoding="utf-8",
    )
    return path


def write_rows(path: Path, *rows: Mapping[str, Any]) -> Path:
    """Write a corpus; gzipped when its name says so."""
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def command_row(ident: str, text: str, **labels: Any) -> dict[str, Any]:
    """Return a row with one command."""
    return {"id": ident, "source_kind": "command", "payload": {"command_text": text}, **labels}
