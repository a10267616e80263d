# SPDX-License-Identifier: AGPL-3.0-or-later
"""The parts of every table: bars, times, evidence in one line, and JSON that is safe to look at."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from decnet_ttp.cli.evidence import evidence_cell
from decnet_ttp.cli.output import (
    bar,
    json_text,
    message_dict,
    moment,
    moment_of,
    one_line,
    print_messages,
    printable,
    stream_messages,
)
from decnet_ttp.v1.rollup_service_pb2 import TechniqueRow
from decnet_ttp.v1.tag_pb2 import (
    AuthAttemptEvidence,
    CanaryFingerprintEvidence,
    CommandEvidence,
    CredentialEvidence,
    EmailEvidence,
    Evidence,
    FileEvidence,
    HttpFingerprintEvidence,
    HttpRequestEvidence,
    IdentityEvidence,
    IntelEvidence,
    Ipv6LeakEvidence,
    OtherEvidence,
    SessionEvidence,
)


@pytest.mark.parametrize(
    ("value", "top", "drawn"),
    [
        (8, 8, "████"),
        (4, 8, "██"),
        (1, 8, "▌"),
        (1, 100_000, "▏"),
        (0, 8, ""),
        (0, 0, ""),
    ],
)
def test_a_bar_is_a_share_of_the_largest_value_in_eighths(value: int, top: int, drawn: str) -> None:
    assert bar(value, top, width=4) == drawn


def test_a_time_is_utc_to_the_second_and_none_is_a_dash() -> None:
    assert moment(Timestamp(seconds=1_772_359_200, nanos=999)) == "2026-03-01 10:00:00"
    assert moment(Timestamp()) == moment(None) == "-"
    assert moment_of(1e300) == "-"


def test_text_becomes_one_line_of_the_same_length() -> None:
    assert one_line("a\x1b[0m\n\u202eb\x9bc\u2028") == "a·[0m··b·c·"
    assert printable("a\tb" + "c" * 10, 6) == "a·bcc…"


@given(st.text())
def test_json_holds_nothing_a_terminal_acts_on_and_loses_nothing(text: str) -> None:
    shown = json_text({"text": text})
    assert shown.isprintable()
    assert json.loads(shown) == {"text": text}


async def test_streamed_messages_print_what_a_list_of_them_prints(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def source(rows: list[TechniqueRow]) -> AsyncIterator[TechniqueRow]:
        for row in rows:
            yield row

    for rows in ([], [TechniqueRow(count=1)], [TechniqueRow(count=1), TechniqueRow(count=2)]):
        print_messages(rows)
        listed = capsys.readouterr().out
        await stream_messages(source(rows))
        assert capsys.readouterr().out == listed
        assert json.loads(listed) == [message_dict(row) for row in rows]


@pytest.mark.parametrize(
    ("evidence", "text"),
    [
        (Evidence(), "-"),
        (Evidence(command=CommandEvidence(command_text="id")), "id"),
        (
            Evidence(
                http_request=HttpRequestEvidence(
                    method="GET",
                    raw_url="/",
                    user_agent="sqlmap/1.7",
                    matched_tokens=["sqlmap"],
                )
            ),
            "GET /  user agent: sqlmap/1.7",
        ),
        (
            Evidence(
                http_request=HttpRequestEvidence(
                    method="POST", raw_url="/a", user_agent="curl", matched_tokens=["cmd=id"]
                )
            ),
            "POST /a  matched: cmd=id",
        ),
        (
            Evidence(
                auth_attempt=AuthAttemptEvidence(
                    service="ssh", username="root", fail_count=12, password_count=0
                )
            ),
            "ssh log-in as root, 12 failed, 0 passwords",
        ),
        (
            Evidence(
                file=FileEvidence(
                    sha256="ab" * 32, url="http://h/x", filename="x", direction="download"
                )
            ),
            f"download http://h/x as x sha256 {'ab' * 32}",
        ),
        (
            Evidence(
                session=SessionEvidence(
                    service="ssh",
                    figures={"command_count": 12, "beacon_interval_s": 60.5},
                    matched_tokens=["privileged:true"],
                )
            ),
            "ssh session: beacon_interval_s 60.5, command_count 12  matched: privileged:true",
        ),
        (
            Evidence(
                email=EmailEvidence(
                    matched_kit="evil", matched_url_host="h", matched_signals=["a", "b"]
                )
            ),
            "kit evil, link to h, signals a, b",
        ),
        (
            Evidence(intel=IntelEvidence(provider="abuseipdb", signals=["ssh"], score=97)),
            "abuseipdb: ssh, score 97",
        ),
        (
            Evidence(
                canary_fingerprint=CanaryFingerprintEvidence(
                    metric="navigator_webdriver", matched_signature="selenium"
                )
            ),
            "navigator_webdriver: selenium",
        ),
        (
            Evidence(identity=IdentityEvidence(account_count=3)),
            "one password on 3 accounts",
        ),
        (
            Evidence(
                credential=CredentialEvidence(
                    credential_hash="ab", reuse_count=4, services=["ssh", "ftp"]
                )
            ),
            "credential used 4 times again on ssh, ftp (hash ab)",
        ),
        (
            Evidence(
                http_fingerprint=HttpFingerprintEvidence(
                    fingerprint_type="ja3", hash="ab", protocol="tls", matched_framework="sliver"
                )
            ),
            "sliver: tls ja3 ab",
        ),
        (
            Evidence(
                ipv6_leak=Ipv6LeakEvidence(
                    addr="fe80::1", mac_oui="00:11:22", iid_kind="eui64", vector="ndp"
                )
            ),
            "fe80::1 (eui64, OUI 00:11:22, by ndp)",
        ),
        (Evidence(other=OtherEvidence(matched_fields=["a", "b"])), "fields a, b"),
    ],
)
def test_each_kind_of_evidence_is_one_line(evidence: Evidence, text: str) -> None:
    assert evidence_cell(evidence).text == text


def test_every_kind_of_evidence_has_a_line() -> None:
    for field in Evidence.DESCRIPTOR.oneofs_by_name["evidence"].fields:
        evidence = Evidence()
        getattr(evidence, field.name).SetInParent()
        assert "\n" not in evidence_cell(evidence).text


def test_a_match_is_marked_where_it_stands_as_a_word() -> None:
    evidence = Evidence(
        command=CommandEvidence(command_text="cat idle; id", matched_tokens=["id", ""])
    )
    assert evidence_cell(evidence).marks == ((10, 12),)


@given(st.text(max_size=60), st.text(min_size=1, max_size=20), st.text(max_size=60))
def test_cut_evidence_fits_and_shows_its_first_match(before: str, token: str, after: str) -> None:
    evidence = Evidence()
    evidence.command.command_text = before + token + after
    evidence.command.matched_tokens.append(token)
    cell = evidence_cell(evidence, width=50)
    assert len(cell.text) <= 50
    assert cell.text.isprintable()
    ((start, end),) = cell.marks
    assert cell.text[start:end] == one_line(token)
