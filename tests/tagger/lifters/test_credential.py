# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from decnet_ttp.tagger.lifters.credential import CredentialLifter, default_credentials
from tagger.lifters.lifting import event, lift, rule, techniques

CASES: list[tuple[str, dict[str, Any], dict[str, Any], bool]] = [
    ("credential_auth_brute_generic", {"fail_count": 5}, {}, True),
    ("credential_auth_brute_generic", {"fail_count": 4}, {}, False),
    ("credential_auth_brute_generic", {"fail_count": 4}, {"fail_threshold": 4}, True),
    ("credential_auth_brute_generic", {"fail_count": -1}, {}, False),
    ("credential_auth_brute_generic", {}, {}, False),
    ("credential_password_guessing", {"password_count": 5, "username": "a"}, {}, True),
    ("credential_password_guessing", {"password_count": 9}, {}, False),
    ("credential_password_guessing", {"password_count": 2, "username": "a"}, {}, False),
    ("credential_valid_account_use", {"result": "success", "prior_brute": True}, {}, True),
    ("credential_valid_account_use", {"result": "success"}, {}, False),
    ("credential_valid_account_use", {"result": "success"}, {"require_prior_brute": False}, True),
    ("credential_valid_account_use", {"result": "Success", "prior_brute": True}, {}, False),
    ("credential_default_credentials", {"username": "root", "password": "vizxv"}, {}, True),
    ("credential_default_credentials", {"username": "ROOT", "password": "vizxv"}, {}, True),
    ("credential_default_credentials", {"username": "root", "password": "VIZXV"}, {}, False),
    ("credential_default_credentials", {"username": "root", "password": ""}, {}, True),
    ("credential_default_credentials", {"username": "", "password": ""}, {}, False),
    ("credential_default_credentials", {"username": "root" * 99, "password": "root"}, {}, False),
    (
        "credential_default_credentials",
        {"username": "pi", "password": "raspberry", "service": "SSH"},
        {"services": ["ssh"]},
        True,
    ),
    (
        "credential_default_credentials",
        {"username": "pi", "password": "raspberry", "service": "ftp"},
        {"services": ["ssh"]},
        False,
    ),
]


@pytest.mark.parametrize(("predicate", "fields", "parameters", "fires"), CASES)
def test_log_in_attempts(
    predicate: str, fields: dict[str, Any], parameters: dict[str, Any], *, fires: bool
) -> None:
    given = rule("auth_attempt", predicate, "T1110", **parameters)
    findings = lift(CredentialLifter(), given, event("auth_attempt", **fields))
    assert bool(findings) is fires


@pytest.mark.parametrize(
    ("fields", "reuses"),
    [
        ({"reuse_count": 1}, 1),
        ({"reuse_count": 0, "extra": {"target_count": 9}}, None),
        ({"extra": {"target_count": 3}}, 2),
        ({"extra": {"target_count": 1}}, None),
        ({"extra": {"target_count": -1e300}}, None),
        ({"extra": {"target_count": 1e300}}, 1_000_000_000),
        ({"extra": {"target_count": True}}, None),
        ({"extra": {"target_count": "3"}}, None),
        ({"credential_hash": "9af1"}, None),
    ],
)
def test_reuse_is_counted_by_uses_or_targets(fields: dict[str, Any], reuses: int | None) -> None:
    given = rule("credential", "credential_reuse", "T1110.004")
    findings = lift(CredentialLifter(), given, event("credential", **fields))
    assert [each.evidence.credential.reuse_count for each in findings] == (
        [] if reuses is None else [reuses]
    )


def test_no_evidence_holds_a_password() -> None:
    mark = "hunter2-marked"
    attempt = event(
        "auth_attempt",
        service="ssh",
        username="root",
        password=mark,
        result="success",
        prior_brute=True,
        fail_count=50,
        password_count=50,
    )
    for name in CredentialLifter.predicates:
        if name == "credential_reuse":
            continue
        for finding in lift(CredentialLifter(), rule("auth_attempt", name, "T1110"), attempt):
            assert mark not in str(finding.evidence)
            assert finding.evidence.auth_attempt.username == "root"


def test_default_credentials_hold_the_usual_pairs() -> None:
    known = default_credentials()
    assert len(known) > 200
    assert {("root", "xc3511"), ("admin", "1234"), ("root", ""), ("pi", "raspberry")} <= known
    assert all(user == user.lower() for user, _ in known)


def test_all_emissions_follow() -> None:
    given = rule("auth_attempt", "credential_auth_brute_generic", "T1110", "T1110.001")
    findings = lift(CredentialLifter(), given, event("auth_attempt", fail_count=9))
    assert techniques(findings) == {"T1110": 1.0, "T1110.001": 1.0}
