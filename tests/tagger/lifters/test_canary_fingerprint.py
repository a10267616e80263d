# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from decnet_ttp.tagger.lifters.canary_fingerprint import CanaryFingerprintLifter, token_class
from tagger.lifters.lifting import event, lift, rule

CASES: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("canary_webdriver", {"navigator_webdriver": True}, {}, "navigator.webdriver_true"),
    ("canary_webdriver", {"extra": {"navigator_webdriver": True}}, {}, ""),
    ("canary_automation_hash", {"matched_tool": "Selenium"}, {}, "selenium"),
    ("canary_automation_hash", {"matched_tool": "selenium"}, {"tools": ["playwright"]}, ""),
    ("canary_tz_lang_mismatch", {"tz_mismatch_zones": 3}, {}, "tz_zones>=3"),
    ("canary_tz_lang_mismatch", {"tz_mismatch_zones": -3}, {}, "tz_zones>=3"),
    ("canary_tz_lang_mismatch", {"tz_mismatch_zones": 3}, {"min_zones": 4}, ""),
    ("canary_tz_lang_mismatch", {"lang_country_mismatch": True}, {}, "lang_vs_source_country"),
    ("canary_webrtc_leak", {"webrtc_geo_mismatch": True}, {}, "webrtc_private_vs_source_ip"),
    (
        "canary_platform_inconsistency",
        {"platform_ua_inconsistent": True},
        {},
        "navigator.platform_vs_userAgent",
    ),
    (
        "canary_platform_inconsistency",
        {"ua_webgl_mismatch": True},
        {},
        "userAgent_vs_webgl_renderer",
    ),
    ("canary_software_renderer", {"extra": {"webgl_renderer": "LLVMpipe"}}, {}, "llvmpipe"),
    ("canary_software_renderer", {"extra": {"webgl_renderer": 1}}, {}, ""),
    (
        "canary_flag",
        {"extra": {"tor_browser": True}},
        {"flag": "tor_browser"},
        "tor_browser_signature",
    ),
    ("canary_flag", {"extra": {"tor_browser": 1}}, {"flag": "tor_browser"}, ""),
    (
        "canary_token_triggered",
        {"extra": {"token_type": "pdf"}},
        {"token_class": "document"},
        "document",
    ),
    ("canary_token_triggered", {}, {"token_class": "other"}, "other"),
]


@pytest.mark.parametrize(("predicate", "fields", "parameters", "signature"), CASES)
def test_call_backs(
    predicate: str, fields: dict[str, Any], parameters: dict[str, Any], signature: str
) -> None:
    given = rule("canary_fingerprint", predicate, "T1059", **parameters)
    on = event("canary_fingerprint", trigger_id="t", **fields)
    findings = lift(CanaryFingerprintLifter(), given, on)
    shown = [each.evidence.canary_fingerprint.matched_signature for each in findings]
    assert shown == ([signature] if signature else [])


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"extra": {"token_kind": "AWS Keys"}}, "aws_key"),
        ({"extra": {"kind": "ssh-key"}}, "credential"),
        ({"extra": {"canary_type": "DOCX"}}, "document"),
        ({"extra": {"token_type": "web"}, "user_agent": "aws-cli/2"}, "other"),
        ({"user_agent": "Boto3/1.34"}, "aws_key"),
        ({"user_agent": "Mozilla/5.0 aws-cli/2"}, "other"),
        ({"extra": {"token_type": {"a": 1}}}, "other"),
    ],
)
def test_class_of_a_token(fields: dict[str, Any], expected: str) -> None:
    assert token_class(event("canary_fingerprint", **fields)) == expected


def test_nothing_the_browser_told_enters_evidence() -> None:
    mark = "marked-fingerprint-4711"
    on = event(
        "canary_fingerprint",
        trigger_id=mark,
        token_id=mark,
        user_agent=f"aws-cli/2 {mark}",
        request_path=f"/{mark}",
        navigator_webdriver=True,
        matched_tool="selenium",
        webrtc_geo_mismatch=True,
        tz_mismatch_zones=9,
        platform_ua_inconsistent=True,
        extra={"webgl_renderer": f"SwiftShader {mark}", "tor_browser": True, "canvas_hash": mark},
    )
    parameters = {"canary_flag": {"flag": "tor_browser"}}
    parameters["canary_token_triggered"] = {"token_class": "aws_key"}
    for name in CanaryFingerprintLifter.predicates:
        given = rule("canary_fingerprint", name, "T1059", **parameters.get(name, {}))
        (finding,) = lift(CanaryFingerprintLifter(), given, on)
        assert mark not in str(finding.evidence)
