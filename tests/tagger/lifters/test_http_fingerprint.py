# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import re
from typing import Any

import pytest

from decnet_ttp.tagger.lifters.http_fingerprint import HttpFingerprintLifter, catalogue, normal
from tagger.lifters.lifting import event, lift, rule

COBALT_STRIKE = "07d14d16d21d21d07c42d41d00041d24a458a375eef0c576d23a7bab9a9fb1"
MERLIN_SHARED = "29d21b20d29d29d21c41d21b21b41d494e0df9532e75299f15ba73156cee38"
LIBSSH = "51cba57125523ce4b9db67714a90bf6e"
ZGRAB = "dd9bcf093c355da7000132131cb36fd0"
JARM = {"catalogues": ["jarm"]}


def found(predicate: str, kind: str, fields: dict[str, Any], **parameters: Any) -> list[Any]:
    given = rule(kind, predicate, "T1071", **parameters)
    return lift(HttpFingerprintLifter(), given, event(kind, **fields))


def fingerprint(kind: str, text: str) -> dict[str, Any]:
    return {"fingerprint_type": kind, "hash": text}


@pytest.mark.parametrize(
    ("predicate", "fields", "parameters", "name"),
    [
        ("c2_fingerprint", fingerprint("jarm", COBALT_STRIKE), JARM, "Cobalt Strike"),
        (
            "c2_fingerprint",
            fingerprint("jarm", f" {COBALT_STRIKE.upper()} "),
            JARM,
            "Cobalt Strike",
        ),
        ("c2_fingerprint", fingerprint("hassh", COBALT_STRIKE), JARM, ""),
        ("c2_fingerprint", fingerprint("jarm", "0" * 62), JARM, ""),
        ("c2_fingerprint", fingerprint("jarm", MERLIN_SHARED), JARM, ""),
        (
            "c2_fingerprint",
            fingerprint("jarm", MERLIN_SHARED),
            {**JARM, "include_shared": True},
            "Merlin",
        ),
        ("c2_fingerprint", fingerprint("hassh", LIBSSH), {"catalogues": ["hassh"]}, ""),
        (
            "http_tool_fingerprint",
            fingerprint("hassh", LIBSSH),
            {"catalogues": ["hassh"]},
            "libssh",
        ),
        ("http_tool_fingerprint", fingerprint("hassh", ZGRAB), {"catalogues": ["hassh"]}, ""),
        (
            "http_scanner_fingerprint",
            fingerprint("hassh", ZGRAB),
            {"catalogues": ["ja3", "hassh"]},
            "ZGrab",
        ),
        ("http_scanner_fingerprint", fingerprint("hassh", ZGRAB), {"catalogues": ["ja3"]}, ""),
        (
            "http_settings_of_library",
            fingerprint("http2_settings", "2:0,4:4194304,6:10485760"),
            {},
            "Go net/http",
        ),
        (
            "http_settings_of_library",
            fingerprint("http2_settings", "1:65536;2:0;4:6291456"),
            {},
            "",
        ),
        (
            "http_ja4h_bare_client",
            fingerprint("ja4h", "po11nn030000_a_b_c"),
            {},
            "bare HTTP client",
        ),
        ("http_ja4h_bare_client", fingerprint("ja4h", "po11cr03enus_a_b_c"), {}, ""),
        (
            "http_ja4_quic_by_address",
            fingerprint("ja4_quic", "q13i0310h3_a_b"),
            {},
            "QUIC without server name",
        ),
        ("http_ja4_quic_by_address", fingerprint("ja4_quic", "q13d0310h3_a_b"), {}, ""),
    ],
)
def test_stacks(
    predicate: str, fields: dict[str, Any], parameters: dict[str, Any], name: str
) -> None:
    findings = found(predicate, "http_fingerprint", fields, **parameters)
    shown = [each.evidence.http_fingerprint.matched_framework for each in findings]
    assert shown == ([name] if name else [])


def test_a_session_shows_which_fingerprint_told() -> None:
    (finding,) = found(
        "http_tool_fingerprint",
        "session",
        {"service": "ssh", "hassh": LIBSSH},
        catalogues=["hassh"],
    )
    assert list(finding.evidence.session.matched_tokens) == [f"hassh:{LIBSSH}", "libssh"]
    assert finding.evidence.session.service == "ssh"


def test_every_entry_of_the_catalogue_has_its_form_and_source() -> None:
    forms = {"jarm": r"[0-9a-f]{62}", "ja3": r"[0-9a-f]{32}", "hassh": r"[0-9a-f]{32}"}
    forms["http2_settings"] = r"\d:\d+(?:;\d:\d+)*"
    for (fingerprint_type, text), known in catalogue().items():
        assert re.fullmatch(forms[fingerprint_type], text)
        assert known.reference.startswith("https://")


@pytest.mark.parametrize(
    ("given", "expected"),
    [("2:0,4:1|5|0|m", "2:0;4:1"), ("2:0;4:1;", "2:0;4:1"), ("", "")],
)
def test_settings_are_compared_without_the_rest(given: str, expected: str) -> None:
    assert normal("http2_settings", given) == expected
