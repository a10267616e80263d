# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp rules diff`: what a changed pack adds and removes."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from cli.rule_command import command_row, rules, write_rows, write_rule
from decnet_ttp.runtime.bus import Envelope, connect_bus
from decnet_ttp.runtime.config import Settings
from decnet_ttp.runtime.streams import ensure_streams

SHIPPED = Path(__file__).parents[2] / "rules"


@pytest.fixture
def packs(tmp_path: Path) -> tuple[Path, Path]:
    """The second widens R1, drops R2, is surer of R3, adds R4 on trial; R5 and R6 stay."""
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
        write_rule(folder, "R5", "same")
    write_rule(old, "R1", "fetch")
    write_rule(new, "R1", "fetch(?:ed)?")
    write_rule(old, "R2", "gone")
    write_rule(old, "R3", "sure", confidence=0.5)
    write_rule(new, "R3", "sure", confidence=0.7)
    write_rule(new, "R4", "trial", extra="status: experimental")
    same = write_rule(old, "R6", "renamed")
    newer = same.read_text(encoding="utf-8").replace("rule_version: 1", "rule_version: 2")
    (new / "R6.yaml").write_text(newer, encoding="utf-8")
    return old, new


ROWS = (
    command_row("a", "fetch same"),
    command_row("b", "fetched gone"),
    command_row("c", "fetched sure trial renamed"),
    command_row("d", "fetched again"),
)


def summary(answer: Any) -> dict[str, tuple[int, int, int]]:
    return {
        change["rule_id"]: (change["added"], change["removed"], change["confidence_changed"])
        for change in answer["changes"]
    }


async def test_additions_removals_and_confidence_by_rule(
    packs: tuple[Path, Path], tmp_path: Path
) -> None:
    corpus = write_rows(tmp_path / "c.jsonl", *ROWS)
    done = await rules("diff", *packs, "--corpus", corpus, "--examples", "2", "--json")
    assert done.code == 1
    answer = done.json()
    assert answer["rows"] == 4
    assert answer["rules_changed"] == ["R1", "R2", "R3", "R4"]
    assert summary(answer) == {"R1": (3, 0, 0), "R2": (0, 1, 0), "R3": (0, 0, 1)}
    first = answer["changes"][0]
    assert (first["technique"], first["tactic"]) == ("T1105", "TA0011")
    assert first["examples"] == [
        {"change": "added", "id": "b", "text": "fetched gone"},
        {"change": "added", "id": "c", "text": "fetched sure trial renamed"},
    ]
    assert answer["changes"][2]["examples"][0]["change"] == "0.50 to 0.70"


async def test_rules_on_trial_count_when_asked_for(
    packs: tuple[Path, Path], tmp_path: Path
) -> None:
    corpus = write_rows(tmp_path / "c.jsonl.gz", *ROWS)
    done = await rules("diff", *packs, "--corpus", corpus, "--trial", "--json")
    assert summary(done.json())["R4"] == (1, 0, 0)


async def test_equal_packs_end_with_0(packs: tuple[Path, Path], tmp_path: Path) -> None:
    corpus = write_rows(tmp_path / "c.jsonl", *ROWS)
    done = await rules("diff", packs[0], packs[0], "--corpus", corpus)
    assert (done.code, done.out) == (0, "")
    assert "both give the same tags" in done.err


async def test_people_get_a_table_and_examples(packs: tuple[Path, Path], tmp_path: Path) -> None:
    corpus = write_rows(tmp_path / "c.jsonl", *ROWS)
    lines = (await rules("diff", *packs, "--corpus", corpus)).out.splitlines()
    assert "R1\tT1105\tTA0011\t+3\t-0\t0" in lines
    assert "removed\tR2\tT1105\tb\tfetched gone" in lines


async def test_one_of_corpus_and_since_is_needed(packs: tuple[Path, Path]) -> None:
    done = await rules("diff", *packs)
    assert done.code == 2
    assert "give either --corpus or --since" in done.err


async def test_sessions_of_the_input_stream_are_compared(
    packs: tuple[Path, Path], nats_url: str
) -> None:
    """All that came in is read, in pieces larger than one batch, and nothing waits at its end."""
    bus = await connect_bus(Settings(nats_url=nats_url), name="test")
    try:
        await ensure_streams(bus.js)
        empty = await rules("diff", *packs, "--since", "1h", "--json", NATS_URL=nats_url)
        assert (empty.code, empty.json()["rows"]) == (0, 0)
        subject = "attacker.session.ended"
        envelopes = [
            Envelope(subject, "ended", {"commands": ["ls", "fetched" if n % 3 else "fetch"]})
            for n in range(1_200)
        ]
        await asyncio.gather(
            *(
                # NATS flushes each to disk before it acknowledges it: the last waits for all.
                bus.js.publish(subject, each.encode(), timeout=60, headers=each.headers)
                for each in envelopes
            )
        )
        await bus.js.publish(subject, b"no envelope")
        await bus.js.publish("attacker.other", Envelope("attacker.other", "x", {}).encode())
        mail = Envelope("email.received", "received", {"subject": "fetched"})
        await bus.js.publish(mail.topic, mail.encode())
        done = await rules("diff", *packs, "--since", "1h", "--json", NATS_URL=nats_url)
    finally:
        await bus.close()
    assert done.code == 1
    answer = done.json()
    assert answer["rows"] == 1_201
    assert summary(answer) == {"R1": (800, 0, 0)}
    assert answer["changes"][0]["examples"][0]["id"] == envelopes[1].id


async def test_a_bus_that_is_away_is_named(packs: tuple[Path, Path]) -> None:
    done = await rules("diff", *packs, "--since", "1h", NATS_URL="nats://127.0.0.1:9")
    assert done.code == 1
    assert "cannot be reached" in done.err


async def test_a_faulty_rule_does_not_pass_for_a_removed_one(
    packs: tuple[Path, Path], tmp_path: Path
) -> None:
    corpus = write_rows(tmp_path / "c.jsonl", *ROWS)
    (packs[1] / "R1.yaml").write_text("rule_id: R1\n", encoding="utf-8")
    done = await rules("diff", *packs, "--corpus", corpus)
    assert (done.code, done.out) == (1, "")
    assert "new has faulty rules" in done.err


async def test_changed_data_of_a_lifter_has_its_rules_looked_at(tmp_path: Path) -> None:
    """A provider's mapping stands beside the rules; their files are the same in both packs."""
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        shutil.copytree(SHIPPED / "intel", folder / "intel")
        (folder / "ttp").mkdir()
        for path in (SHIPPED / "ttp").glob("*.yaml"):
            if "kind: lifter:intel" in path.read_text(encoding="utf-8"):
                shutil.copy(path, folder / "ttp")
    corpus = write_rows(tmp_path / "c.jsonl", ROWS[0])
    same = await rules("diff", old, new, "--corpus", corpus, "--json")
    assert (same.code, same.json()["rules_changed"]) == (0, [])
    mapping = new / "intel" / "feodo.yaml"
    mapping.write_text(mapping.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    edited = await rules("diff", old, new, "--corpus", corpus, "--json")
    assert edited.json()["rules_changed"] == sorted(p.stem for p in (old / "ttp").iterdir())
    assert edited.code == 0


async def test_an_edited_step_is_an_edit(tmp_path: Path) -> None:
    """Rules with steps are compared by their steps, as others by their conditions."""
    old, new = tmp_path / "old", tmp_path / "new"
    for folder, at_least in ((old, 3), (new, 2)):
        folder.mkdir()
        text = (SHIPPED / "ttp" / "R0151.yaml").read_text(encoding="utf-8")
        text = text.replace("at_least: 3", f"at_least: {at_least}")
        text = text[: text.index("  no_match:")] + (
            "  no_match:\n    - timeline: [{auth_attempt: {result: failure}}]\n"
        )
        (folder / "R0151.yaml").write_text(text, encoding="utf-8")
    attempts = [{"username": "a", "result": each} for each in ("failure", "failure", "success")]
    row = {"id": "s", "source_kind": "session", "payload": {"auth_attempts": attempts}}
    corpus = write_rows(tmp_path / "c.jsonl", row)
    done = await rules("diff", old, new, "--corpus", corpus, "--json")
    assert done.code == 1
    assert {key: value[0] for key, value in summary(done.json()).items()} == {"R0151": 1}
