# SPDX-License-Identifier: AGPL-3.0-or-later
"""A real honeypot's log becomes stored, announced, queryable techniques."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import psutil
import pytest
from benchmarks.cowrie_logs import SAMPLE
from benchmarks.installation import Installation

from decnet_ttp.sources.protocol import load

pytestmark = pytest.mark.system


def processes_of(data_dir: Path) -> list[str]:
    """Return the command lines of processes that belong to an installation."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        environ = process.info["environ"] or {}
        line = " ".join(process.info["cmdline"] or [])
        if str(data_dir) in line or environ.get("DECNET_TTP_DATA_DIR") == str(data_dir):
            found.append(line)
    return found


async def test_sample_becomes_announced_techniques_exactly_once(
    installation: Installation,
) -> None:
    first = installation.json("import", "cowrie", SAMPLE, "--wait", "240")
    techniques = installation.json("techniques")
    await installation.settle()
    announced = await installation.announcements()
    found = {row["sub_technique_id"] or row["technique_id"]: row for row in techniques}
    # What the actors of the recording did, whatever else the rules see in it.
    assert {"T1105", "T1059.004", "T1053.003", "T1070.003", "T1136.001", "T1003.008"} <= set(found)
    assert found["T1105"]["technique_name"] == "Ingress Tool Transfer"
    assert found["T1105"]["tactic_name"] == "Command and Control"
    assert all(row["mitre_uri"].startswith("https://attack.mitre.org/") for row in techniques)
    assert all(0.3 <= row["confidence_max"] <= 1.0 for row in techniques)

    tags = installation.json("tags", "--limit", "100000")
    assert sum(int(row["count"]) for row in techniques) == len(tags)
    assert len({tag["uuid"] for tag in tags}) == len(tags)
    sessions_with_tags = {tag["session_id"] for tag in tags}
    assert set(announced.values()) == {1}
    assert len(announced) == len(sessions_with_tags)

    again = installation.json("import", "cowrie", SAMPLE, "--wait", "240")
    await installation.settle()
    assert again["sessions"] == first["sessions"]
    assert installation.json("techniques") == techniques
    assert await installation.announcements() == announced


async def test_data_survives_down_and_up(installation: Installation) -> None:
    installation.run("import", "cowrie", SAMPLE, "--wait", "240")
    before = installation.json("techniques")
    await installation.settle()
    installation.down()
    assert processes_of(installation.data_dir) == []
    installation.up()
    assert installation.json("techniques") == before
    assert before


async def test_every_scope_tells_the_same_story(installation: Installation) -> None:
    installation.run("import", "cowrie", SAMPLE, "--wait", "240")
    fleet = Counter[tuple[str, str, str]]()
    attackers = installation.json("attackers")
    for attacker in attackers:
        rows = installation.json("techniques", "--attacker", attacker["uuid"])
        assert rows == installation.json("techniques", "--ip", attacker["ip"])
        assert int(attacker["tag_count"]) == sum(int(row["count"]) for row in rows)
        for row in rows:
            cell = (row["tactic"], row["technique_id"], row["sub_technique_id"])
            fleet[cell] += int(row["count"])
    assert fleet == {
        (row["tactic"], row["technique_id"], row["sub_technique_id"]): int(row["count"])
        for row in installation.json("techniques")
    }
    sessions = {tag["session_id"] for tag in installation.json("tags", "--limit", "100000")}
    in_sessions = sum(
        int(row["count"])
        for session in sessions
        for row in installation.json("techniques", "--session", session)
    )
    assert in_sessions == fleet.total()
    _check_directory(installation)


def _check_directory(installation: Installation) -> None:
    """Sessions, decoys and facts follow from the same messages as the tags."""
    sessions = installation.json("attackers", "sessions", "--limit", "0")
    tagged = {tag["session_id"] for tag in installation.json("tags", "--limit", "100000")}
    assert tagged <= {session["session_id"] for session in sessions}
    assert sum(int(session["command_count"]) for session in sessions) > 0
    decoys = {session["decky_id"] for session in sessions}
    assert {row["decky_id"] for row in installation.json("attackers", "deckies")} == decoys
    kinds = set()
    for address in sorted({session["attacker_ip"] for session in sessions})[:3]:
        kinds |= {
            fact["kind"]
            for fact in installation.json("attackers", "show", "--ip", address)["facts"]
        }
    assert {"FACT_KIND_HASSH", "FACT_KIND_KEX_ORDER", "FACT_KIND_SSH_BANNER"} <= kinds


def test_status_shows_every_child_ready(installation: Installation) -> None:
    children = installation.json("status")["children"]
    assert {child["name"]: child["state"] for child in children} == dict.fromkeys(
        ("postgres", "nats", "rule-store", "tagger", "tag-store", "ingest", "attribution"),
        "ready",
    )
    services = [child for child in children if child["name"] not in {"postgres", "nats"}]
    assert all(0 < child["resident_bytes"] < 150 * 2**20 for child in services)


@pytest.mark.shared
@pytest.mark.timeout(2400)
async def test_all_public_logs_are_accounted_for_twice(
    installation: Installation, shared_dir: Path
) -> None:
    """Every session of every file is imported or reported; a second import changes nothing."""
    logs = sorted((shared_dir / "data" / "cowrie").glob("*.json.gz"))
    assert len(logs) == 12
    first = installation.json("import", "cowrie", *logs, "--wait", "600")
    await installation.settle(600)
    techniques = installation.json("techniques")
    announced = await installation.announcements()
    source = load("cowrie")
    sessions = sum(1 for _ in source.read([str(path) for path in logs]))
    accounted = first["sessions_imported"] + first["sessions_duplicate"]
    assert first["sessions"] == accounted + first["sessions_left_out"]
    assert first["sessions_left_out"] == first["problems"]["no-attacker-address"] == 2
    assert first["messages_published"] == sessions
    assert set(announced.values()) == {1}

    again = installation.json("import", "cowrie", *logs, "--wait", "600")
    await installation.settle(600)
    assert again["sessions"] == first["sessions"]
    assert installation.json("techniques") == techniques
    assert await installation.announcements() == announced
