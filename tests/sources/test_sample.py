# SPDX-License-Identifier: AGPL-3.0-or-later
from pathlib import Path

from cowrie_log import read

SAMPLE = Path(__file__).parents[2] / "examples" / "cowrie-sample.json"


def test_shipped_sample_is_whole_and_holds_every_attacker() -> None:
    payloads, source = read(SAMPLE)
    assert not source.tally.problems
    assert SAMPLE.stat().st_size < 300_000
    assert {payload["attacker_ip"] for payload in payloads} == {
        f"127.0.0.{host}" for host in (11, 12, 21, 22, 31, 41, 51)
    }
    assert all(payload["closed"] for payload in payloads)
    assert len({payload["hassh"] for payload in payloads if payload["hassh"]}) >= 5


def test_shipped_sample_names_nothing_of_the_machine_that_recorded_it() -> None:
    text = SAMPLE.read_text()
    assert text.count('"uuid":"5a3b1e00-0000-4000-8000-000000000001"') == len(text.splitlines())
    assert '"dst_ip":"127.0.0.1"' in text
    assert "/tmp/cowrie-sample-" not in text  # noqa: S108 - the recorder's folder
