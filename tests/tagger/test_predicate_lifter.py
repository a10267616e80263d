# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a lifter of predicates refuses, each with the way to the fault."""

from __future__ import annotations

from typing import Any

import pytest

from decnet_ttp.matching import RuleInvalidError
from tagger.lifters.lifting import LIFTERS, rule


def _owner(predicate: str) -> Any:
    return next(each() for each in LIFTERS if predicate.startswith(each.owns_prefixes))


@pytest.mark.parametrize(
    ("kind", "predicate", "parameters", "path", "message"),
    [
        ("auth_attempt", "credential_brute", {}, ("match", "kind"), "has no predicate"),
        ("identity", "identity_", {}, ("match", "kind"), "has no predicate"),
        ("session", "credential_reuse", {}, ("applies_to", 0), "cannot read session"),
        (
            "auth_attempt",
            "credential_auth_brute_generic",
            {"window_minutes": 5},
            ("match", "window_minutes"),
            "there is no parameter `window_minutes`; allowed: fail_threshold",
        ),
        (
            "auth_attempt",
            "credential_auth_brute_generic",
            {"fail_treshold": 5},
            ("match", "fail_treshold"),
            "did you mean `fail_threshold`?",
        ),
        (
            "auth_attempt",
            "credential_auth_brute_generic",
            {"fail_threshold": "5"},
            ("match", "fail_threshold"),
            "must be a whole number",
        ),
        (
            "auth_attempt",
            "credential_auth_brute_generic",
            {"fail_threshold": 5.5},
            ("match", "fail_threshold"),
            "must be a whole number",
        ),
        (
            "auth_attempt",
            "credential_auth_brute_generic",
            {"fail_threshold": True},
            ("match", "fail_threshold"),
            "must be a whole number",
        ),
        (
            "auth_attempt",
            "credential_auth_brute_generic",
            {"fail_threshold": 0},
            ("match",),
            "at least 1",
        ),
        (
            "auth_attempt",
            "credential_valid_account_use",
            {"require_prior_brute": 1},
            ("match", "require_prior_brute"),
            "must be true or false",
        ),
        (
            "auth_attempt",
            "credential_default_credentials",
            {"services": "ssh"},
            ("match", "services"),
            "must be a list",
        ),
        (
            "auth_attempt",
            "credential_default_credentials",
            {"services": ["ssh", 1]},
            ("match", "services", 1),
            "must be text",
        ),
        (
            "identity",
            "identity_spread",
            {"figure": "ip_count"},
            ("match",),
            "`threshold` is missing",
        ),
        (
            "identity",
            "identity_spread",
            {"figure": "x", "threshold": 3},
            ("match",),
            "unknown `figure`",
        ),
        (
            "identity",
            "identity_password_spraying",
            {"account_threshold": 1},
            ("match",),
            "at least 2",
        ),
        ("canary_fingerprint", "canary_flag", {}, ("match",), "`flag` is missing"),
        (
            "canary_fingerprint",
            "canary_token_triggered",
            {"token_class": "x"},
            ("match",),
            "unknown",
        ),
        ("http_fingerprint", "c2_fingerprint", {"catalogues": ["x"]}, ("match",), "unknown name"),
        ("http_fingerprint", "c2_fingerprint", {}, ("match",), "`catalogues` is missing"),
        ("ipv6_leak", "ipv6_link_local_leak", {"iid_kinds": ["x"]}, ("match",), "unknown name"),
        ("intel", "intel_feodo", {"mapping": "nosuch"}, ("match", "mapping"), "no mapping"),
    ],
)
def test_refused(
    kind: str, predicate: str, parameters: dict[str, Any], path: tuple[Any, ...], message: str
) -> None:
    bad = rule(kind, predicate, "T1110", **parameters)
    with pytest.raises(RuleInvalidError) as refused:
        _owner(predicate).compile([bad], None)
    assert message in refused.value.message
    assert refused.value.path == path


def test_evidence_that_a_kind_does_not_give_is_refused() -> None:
    bad = rule(
        "auth_attempt",
        "credential_auth_brute_generic",
        "T1110",
        evidence_fields=["service", "password"],
    )
    with pytest.raises(RuleInvalidError, match="has no password") as refused:
        _owner("credential_").compile([bad], None)
    assert refused.value.path == ("evidence_fields", 1)


def test_no_two_lifters_own_one_rule() -> None:
    predicates = [name for lifter in LIFTERS for name in lifter.predicates]
    assert len(predicates) == len(set(predicates))
    for name in predicates:
        assert [each.name for each in LIFTERS if each().owns(rule("x", name, "T1110"))] == [
            _owner(name).name
        ]


def test_a_rule_with_conditions_has_no_owner_here() -> None:
    plain = rule("command", "x", "T1110")
    plain.condition.field.pattern = "x"
    assert not any(each().owns(plain) for each in LIFTERS)
