# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp rules explain`, within the command and by a running tagger."""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

from cli.conftest import Run
from cli.rule_command import rules, write_rule
from decnet_ttp.attack import load_catalogue
from decnet_ttp.rule_store.vocabulary import Vocabulary
from rule_store.serving import serving, until
from tagger.serving import serving_tagger

RULE = r"""
rule_id: R1
rule_version: 3
name: fetches
description: Fetches, but not at home.
applies_to: [command, http_request]
match:
  all:
    - any:
        - {field: command_lines, pattern: '\bfetch \S+'}
        - {fields: [raw_url, user_agent], contains: fetch}
    - not: {fields: [pwd, src], equals: /home}
emits:
  - {tactic: TA0011, technique_id: T1105, confidence: 0.8}
tests:
  match:
    - payload: {command_text: fetch it}
      techniques: [T1105]
  no_match:
    - payload: {command_text: ls}
"""


STEPS = r"""
rule_id: R3
rule_version: 1
name: guessed
description: Guessed, then fetched.
applies_to: [session]
match:
  type: temporal_ordered
  timespan: 1m
  steps:
    - name: failures
      at_least: 2
      distinct: username
      auth_attempt: {field: result, equals: failure}
    - name: fetched
      command: {pattern: fetch}
emits:
  - {tactic: TA0011, technique_id: T1105, confidence: 0.8}
tests:
  match:
    - timeline:
        - {at_s: 0, auth_attempt: {username: a, result: failure}}
        - {at_s: 1, auth_attempt: {username: b, result: failure}}
        - {at_s: 2, command: {command_text: fetch it}}
      techniques: [T1105]
  no_match:
    - timeline: [{command: {command_text: ls}}]
"""


def session(*, fetched_at_s: int) -> str:
    """A session with two failed log-ins, then a fetch."""
    failed = [
        {"id": f"a{at}", "ts": f"2026-01-01T00:00:0{at}Z", "username": name, "result": "failure"}
        for at, name in enumerate("ab")
    ]
    ts = f"2026-01-01T00:{fetched_at_s // 60:02}:{fetched_at_s % 60:02}Z"
    commands = [{"id": "c", "ts": ts, "command_text": "fetch it"}]
    payload = {"session_id": "s", "auth_attempts": failed, "commands": commands}
    return json.dumps({"source_kind": "session", "payload": payload})


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    folder = tmp_path / "ttp"
    folder.mkdir()
    (folder / "R1.yaml").write_text(RULE.lstrip(), encoding="utf-8")
    (folder / "R3.yaml").write_text(STEPS.lstrip(), encoding="utf-8")
    write_rule(folder, "R2", "other", kind="http_request", field="raw_url")
    return folder


async def test_conditions_tell_field_span_and_text(pack: Path) -> None:
    done = await rules(
        "explain", "R1", "--command", "cd /tmp; fetch héllo", "--rules", pack, "--json"
    )
    (found,) = done.json()
    assert (found["rule_version"], found["matched"], found["source_kind"]) == (3, True, "command")
    assert found["outcomes"] == [
        {
            "path": "all[0].any[0].pattern",
            "asked": r"command_lines matches \bfetch \S+",
            "field": "command_lines",
            "held": True,
            "start": 8,
            "end": 19,
            "text": "fetch héllo",
        },
        {
            "path": "all[0].any[1].contains",
            "asked": "raw_url or user_agent contains fetch",
            "field": "raw_url, user_agent",
            "held": False,
            "start": None,
            "end": None,
            "text": None,
        },
        {
            "path": "all[1].not.equals",
            "asked": "pwd or src equals /home",
            "field": "pwd, src",
            "held": False,
            "start": None,
            "end": None,
            "text": None,
        },
    ]


async def test_an_event_from_a_file_is_fanned_out(pack: Path, tmp_path: Path) -> None:
    """Each part of the session that the rule reads is explained; a denial that held is shown."""
    event = tmp_path / "event.json"
    payload = {
        "commands": [{"id": "c1", "command_text": "fetch x", "pwd": "/home"}],
        "http_requests": [{"id": "h1", "method": "GET", "raw_url": "/", "user_agent": "fetch/1"}],
        "auth_attempts": [{"username": "fetch"}],
    }
    event.write_text(json.dumps({"source_kind": "session", "payload": payload}), encoding="utf-8")
    done = await rules("explain", "R1", "--event", event, "--rules", pack, "--json")
    first, second = done.json()
    assert (first["source_id"], first["matched"]) == ("c1", False)
    assert [o["held"] for o in first["outcomes"]] == [True, False, True]
    assert first["outcomes"][2]["text"] == "/home"
    assert (second["source_id"], second["matched"]) == ("h1", True)
    assert (second["outcomes"][1]["field"], second["outcomes"][1]["text"]) == (
        "user_agent",
        "fetch",
    )


async def test_people_get_a_plain_table_when_piped(pack: Path) -> None:
    done = await rules("explain", "R1", "--command", "fetch x\x1b[31m", "--rules", pack)
    head, columns, first, *_ = done.out.splitlines()
    assert head == "R1 version 3 (fetches) fires on this command"
    assert columns == "held\tcondition\tasks\tfield\tspan\tvalue"
    assert first.startswith("yes\tall[0].any[0].pattern\t")
    assert "\x1b" not in done.out


async def test_a_terminal_shows_what_matched_in_colour(on_terminal: Run, pack: Path) -> None:
    done = await on_terminal(
        "rules", "explain", "R1", "--command", "cd /; fetch xyz", "--rules", pack
    )
    assert "\x1b[1;31mfetch xyz" in done.out
    assert "is silent" not in done.text


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("R1",), 2, "give either --command or --event"),
        (("R9", "--command", "x"), 1, "there is no rule R9; there are R1, R2"),
        (("R2", "--command", "x"), 1, "rule R2 reads http_request, and a command gives none"),
    ],
)
async def test_what_cannot_be_explained_is_said(
    pack: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = await rules("explain", *arguments, "--rules", pack)
    assert done.code == code
    assert message in done.err


class Running(NamedTuple):
    folder: Path
    settings: dict[str, str]


@pytest_asyncio.fixture
async def running() -> AsyncIterator[Running]:
    """A rule-store and a tagger over a folder with the rule."""
    catalogue = load_catalogue()
    # Not tmp_path: with a long test name it is too long for a socket.
    with tempfile.TemporaryDirectory(prefix="rules-") as name:
        folder = Path(name) / "ttp"
        folder.mkdir()
        (folder / "R1.yaml").write_text(RULE.lstrip(), encoding="utf-8")
        (folder / "R3.yaml").write_text(STEPS.lstrip(), encoding="utf-8")
        target = f"unix:{name}/rs.sock"
        async with (
            serving(folder, Vocabulary(catalogue)),
            serving_tagger(Path(name), target, catalogue) as (_, follower),
        ):
            await until(lambda: follower.loaded)
            yield Running(folder, {"RULE_STORE": target, "TAGGERS": f"unix:{name}/tagger.sock"})


async def test_the_running_tagger_is_asked_and_agrees(running: Running) -> None:
    arguments = ("explain", "R1", "--command", "cd /tmp; fetch it", "--json")
    asked = await rules(*arguments, **running.settings)
    assert asked.err == ""
    offline = await rules(*arguments, "--rules", running.folder)
    assert asked.json() == offline.json()
    assert asked.json()[0]["outcomes"][0]["text"] == "fetch it"


async def test_steps_of_a_timeline_are_told_one_by_one(pack: Path, tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    event.write_text(session(fetched_at_s=30), encoding="utf-8")
    done = await rules("explain", "R3", "--event", event, "--rules", pack)
    assert done.out.splitlines() == [
        "R3 version 1 (guessed) fires on this session",
        "held\tstep\ttakes\tfound\tat s\tpart",
        "yes\tfailures\t2 different username\t2\t1\ta1",
        "yes\tfetched\t1\t1\t30\tc",
    ]


async def test_steps_too_far_apart_are_told_as_such(pack: Path, tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    event.write_text(session(fetched_at_s=90), encoding="utf-8")
    done = await rules("explain", "R3", "--event", event, "--rules", pack)
    assert "R3 version 1 (guessed) is silent on this session" in done.out
    assert "every step was taken, but the steps lie too far apart" in done.out


async def test_the_running_tagger_explains_steps_as_this_command_does(
    running: Running, tmp_path: Path
) -> None:
    event = tmp_path / "event.json"
    event.write_text(session(fetched_at_s=30), encoding="utf-8")
    asked = await rules("explain", "R3", "--event", event, "--json", **running.settings)
    offline = await rules("explain", "R3", "--event", event, "--json", "--rules", running.folder)
    assert asked.json() == offline.json()
    assert [step["held"] for step in asked.json()[0]["steps"]] == [True, True]


async def test_without_an_installation_the_rules_at_hand_are_used(
    pack: Path, tmp_path: Path
) -> None:
    done = await rules(
        "explain",
        "R1",
        "--command",
        "fetch it",
        RULES_DIR=str(pack.parent),
        DATA_DIR=str(tmp_path / "nothing"),
    )
    assert "no installation runs" in done.err
    assert "fires on this command" in done.out


async def test_a_tagger_that_is_away_is_named(running: Running, tmp_path: Path) -> None:
    settings = running.settings | {"TAGGERS": f"unix:{tmp_path}/none.sock"}
    done = await rules("explain", "R1", "--command", "x", **settings)
    assert done.code == 1
    assert "cannot be reached" in done.err
