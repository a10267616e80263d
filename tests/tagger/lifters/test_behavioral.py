# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import math
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decnet_ttp.matching import RuleInvalidError
from decnet_ttp.tagger.lifters.behavioral import BehavioralLifter
from decnet_ttp.tagger.lifters.behavioral_signals import escape_of, sent_class, tools_of
from decnet_ttp.tagger.lifters.behavioral_text import (
    CREDENTIAL_FILES,
    DESTRUCTION,
    SERVICE_ACCOUNT,
    ransom_note,
    router_file,
)
from tagger.lifters.lifting import event, lift, rule, techniques

BTC = "1BoatSLRHtKNngkdXEeobR76b53LETtpyT"
BC1 = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"
KEYWORDS = ("bitcoin", "btc", "monero", "ransom", "decrypt")
#: Each predicate with what it must be given.
REQUIRED: dict[str, dict[str, Any]] = {
    "behavioral_class": {"behavior": "brute_force", "min_attempts": 20},
    "behavioral_tool_guess": {"tool": "nmap"},
}
OF_SESSIONS = sorted(
    name for name, each in BehavioralLifter.predicates.items() if "session" in each.reads
)


def session_rule(name: str, **parameters: Any) -> Any:
    return rule("session", name, "T1485", **{**REQUIRED.get(name, {}), **parameters})


def fires(name: str, parameters: dict[str, Any] | None = None, **fields: Any) -> bool:
    found = lift(
        BehavioralLifter(), session_rule(name, **(parameters or {})), event("session", **fields)
    )
    return bool(found)


@pytest.mark.parametrize(
    ("interval_s", "jitter", "expected"),
    [
        (10, 0.15, True),
        (9.999, 0.15, False),
        (10, 0.151, False),
        (60, 0, True),
        (60, -0.01, False),
        ("Infinity", 0.1, False),
        (60, "NaN", False),
        (None, 0.1, False),
        (60, None, False),
    ],
)
def test_beacons_are_steady_and_slow(interval_s: Any, jitter: Any, *, expected: bool) -> None:
    told = {"beacon_interval_s": interval_s, "beacon_jitter_pct": jitter}
    fields = {name: value for name, value in told.items() if value is not None}
    assert fires("behavioral_beaconing", **fields) is expected


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("FLUSHALL", "FLUSHALL"),
        ("flushdb async", "FLUSHALL"),
        ("echo FlushAll | nc 198.51.100.7 6379", "FLUSHALL"),
        ("redis-cli -h 198.51.100.7 -n 1 flushall", "FLUSHALL"),
        ("drop database if exists shop", "DROP DATABASE"),
        ("mysql -uroot -e 'DROP SCHEMA shop'", "DROP DATABASE"),
        ("1; dRoP\t/* x */\ndatabase shop", "DROP DATABASE"),
        ("mysqladmin -f -uroot drop shop", "DROP DATABASE"),
        ("dropdb shop", "DROP DATABASE"),
        ("truncate table orders", "TRUNCATE TABLE"),
        ("db.DROPDATABASE()", "dropDatabase()"),
        ("delete /_all", "DELETE /_all"),
        ("DELETE /* HTTP/1.1", "DELETE /_all"),
        ("curl -X DELETE 198.51.100.7:9200/*", "DELETE /_all"),
        ("", None),
        ("ACL SETUSER app -flushall", None),
        ("FLUSHALLOWED", None),
        ("GRANT DROP ON shop.* TO app", None),
        ("# DROP DATABASE shop", None),
        ("truncate -s 0 /var/log/syslog", None),
        ("db.dropDatabase", None),
        ("DELETE /* c */ FROM t", None),
        ("DELETE /_alliance", None),
        ("GET /_all", None),
    ],
)
def test_destruction_is_an_operation_and_not_its_mention(text: str, label: str | None) -> None:
    assert DESTRUCTION.find(text) == label


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"RANSOM: {BTC}", (["ransom"], ["btc_address"])),
        (f"your files! Btc {BC1.upper()}", (["btc"], ["btc_address"])),
        (f"pay in Monero to 4A{'z' * 93}", (["monero"], ["xmr_address"])),
        (f"pay in Monero to 4A{'z' * 92}", None),
        (f"pay to {BTC}", None),
        (f"bitcoin tips: {BTC}", None),
        ("pay ransom in bitcoin", None),
        (f"pay btc 0{BTC}", None),
        ("", None),
    ],
)
def test_ransom_note_has_a_word_a_demand_and_an_address(text: str, expected: Any) -> None:
    assert ransom_note(text, KEYWORDS) == expected


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("/.env", ".env"),
        (".ENV", ".env"),
        ("/a/.env.bak~", ".env"),
        ("C:\\a\\.aws\\credentials", ".aws/credentials"),
        ("/x?f=/root/.ssh/id_rsa", ".ssh/id_"),
        ("/.git//config", ".git/config"),
        ("/wp-config.php~", "wp-config.php"),
        ("/root/.kube/config", ".kube/config"),
        ("/root/.pgpass", ".netrc"),
        ("/x.env", None),
        ("/.environment", None),
        ("/wpxconfigxphp", None),
        ("/.ssh/id_rsa.pub", None),
        ("/.git/configs", None),
    ],
)
def test_credential_files_are_whole_names(path: str, label: str | None) -> None:
    assert CREDENTIAL_FILES.find(path) == label


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("/api/v1/namespaces/a/secrets", "kubernetes_secrets"),
        ("/api/v1/secrets?limit=1", "kubernetes_secrets"),
        ("https://198.51.100.7:6443/api/v1/namespaces/a/secrets/b", "kubernetes_secrets"),
        ("/run/secrets/kubernetes.io/serviceaccount", "service_account_token"),
        ("/run/secrets/kubernetes.io/serviceaccounts", None),
        ("/v2/api/v1/secrets", None),
        ("/api/v1/namespaces/secrets/pods", None),
    ],
)
def test_service_account_paths(path: str, label: str | None) -> None:
    assert SERVICE_ACCOUNT.find(path) == label


@pytest.mark.parametrize(
    ("signal", "expected"),
    [
        ("privileged:true", "privileged:true"),
        ("Privileged=True", "privileged:true"),
        ("bind:/:/", "bind:/"),
        ("bind:/etc/:/mnt:ro", "bind:/etc"),
        ("bind:/srv/../root:/r", "bind:/root"),
        ("mount:/run/docker.sock", "bind:/run/docker.sock"),
        ("cap_add:SYS_ADMIN", "cap_add:sys_admin"),
        ("bind:/etc/resolv.conf:/etc/resolv.conf", None),
        ("bind:data:/", None),
        ("bind:", None),
        ("", None),
        ("x" * 100_000, None),
    ],
)
def test_escape_signals(signal: str, expected: str | None) -> None:
    assert escape_of(signal) == expected


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("router-confg", "confg"),
        ("NETWORK-CONFG.old", "confg"),
        ("edge.cfg", "cfg"),
        ("edge.CFG\r\n", "cfg"),
        ("running-config", "running-config"),
        ("", None),
        ("edge.cfg.txt", None),
        ("sipdefault.cfg", None),
        ("0004f2aabbcc.cfg", None),
        ("boot/grub.cfg", None),
    ],
)
def test_router_files(name: str, label: str | None) -> None:
    assert router_file(name) == label


@pytest.mark.parametrize(
    ("fields", "factors"),
    [
        ({"bytes_out": 1_048_576}, {"T1567": 1.0}),
        ({"request_count": 50}, {"T1567": 0.6}),
        ({"bytes_out": 2e6, "request_count": 50}, {"T1567": 1.0}),
        ({"bytes_out": "Infinity"}, {}),
        ({"bytes_out": "NaN"}, {}),
        ({"bytes_out": 1_048_575, "request_count": 49}, {}),
    ],
)
def test_requests_alone_are_a_fainter_sign(
    fields: dict[str, Any], factors: dict[str, float]
) -> None:
    given_rule = rule("session", "behavioral_exfil_over_web", "T1567")
    found = lift(BehavioralLifter(), given_rule, event("session", **fields))
    assert techniques(found) == factors


@pytest.mark.parametrize(
    ("name", "fields", "expected"),
    [
        ("behavioral_db_mass_read", {"rows_read": 10_000}, True),
        ("behavioral_db_mass_read", {"rows_read": 9_999, "bytes_read": 5_242_879}, False),
        ("behavioral_db_mass_read", {"bytes_read": 5_242_880}, True),
        ("behavioral_llmnr_poisoning", {"llmnr_poison_count": 1}, True),
        ("behavioral_llmnr_poisoning", {"extra": {"llmnr_poisoned": True}}, True),
        ("behavioral_llmnr_poisoning", {"extra": {"llmnr_poisoned": 1}}, False),
        ("behavioral_class", {"auth_attempt_count": 20}, True),
        ("behavioral_class", {"auth_attempt_count": 19}, False),
        ("behavioral_class", {"extra": {"behavior_class": "Brute Force"}}, True),
        ("behavioral_class", {"extra": {"behavior_class": "scanning"}}, False),
        ("behavioral_data_destruction", {"extra": {"command_text": "FLUSHALL"}}, True),
    ],
)
def test_threshold_or_word_decides(name: str, fields: dict[str, Any], *, expected: bool) -> None:
    assert fires(name, **fields) is expected


@pytest.mark.parametrize(
    ("fields", "tools"),
    [
        ({"tool_guesses": ["Nmap 7.94", {"name": "hydra"}, 3, None]}, {"nmap", "hydra"}),
        ({"tool_guesses": "sqlmap"}, {"sqlmap"}),
        ({"tool_guess": "nmap-nse"}, {"nmap"}),
        ({"tool_guesses": {"nmap": 0.9}}, set()),
        ({}, set()),
    ],
)
def test_guesses_come_in_several_forms(fields: dict[str, Any], tools: set[str]) -> None:
    assert tools_of(event("session", service="ssh", extra=fields)) == tools


@pytest.mark.parametrize(
    ("signals", "scans", "tools"),
    [
        (["portscan:syn"], True, set()),
        (["portscan:nmap_xmas"], True, {"nmap"}),
        (["smb:file_open", "portscan-like"], False, set()),
    ],
)
def test_a_watcher_of_ports_says_who_scans(
    signals: list[str], *, scans: bool, tools: set[str]
) -> None:
    made = event("session", service="portscan", signals=signals)
    assert (sent_class(made) == "scanning") is scans
    assert tools_of(made) == tools


def test_evidence_of_a_session_has_figures_and_labels() -> None:
    found = lift(
        BehavioralLifter(),
        session_rule("behavioral_beaconing"),
        event("session", service="https", beacon_interval_s=60, beacon_jitter_pct=0.125),
    )
    shown = found[0].evidence.session
    assert dict(shown.figures) == {"beacon_interval_s": 60.0, "beacon_jitter_pct": 0.125}
    assert (shown.service, list(shown.matched_tokens)) == ("https", [])


def test_evidence_of_a_request_names_what_was_asked_for() -> None:
    asked = event("http_request", method="GET", raw_url="/%2eenv", headers={"Cookie": "s3cret"})
    given_rule = rule("http_request", "behavioral_credentials_in_files", "T1552.001")
    (found,) = lift(BehavioralLifter(), given_rule, asked)
    shown = found.evidence.http_request
    assert (shown.method, shown.raw_url) == ("GET", "/%2eenv")
    assert (list(shown.matched_tokens), list(shown.rule_patterns)) == (["/.env"], [".env"])
    assert list(shown.header_names) == ["Cookie"]
    assert "s3cret" not in str(shown)


def test_a_ransom_mail_gives_key_words_and_no_content() -> None:
    """The predecessor lost every tag of such a mail."""
    mail = event(
        "email",
        subject="marked-subject",
        rcpt_count=3,
        rcpt_domains=["B.example", "a.example"],
        extra={"body_text": f"marked-body: your files! pay bitcoin {BTC}"},
    )
    (found,) = lift(BehavioralLifter(), rule("email", "behavioral_ransom_note", "T1486"), mail)
    shown = found.evidence.email
    assert list(shown.matched_body_keywords) == ["bitcoin"]
    assert list(shown.matched_signals) == ["btc_address"]
    assert list(shown.rcpt_domains) == ["a.example", "b.example"]
    assert not {"marked", BTC} & set(str(shown).split())
    assert "marked" not in str(shown)
    assert BTC not in str(shown)


@pytest.mark.parametrize("name", OF_SESSIONS)
def test_no_evidence_holds_notes_statements_or_bodies(name: str) -> None:
    mark = "hunter2marked"
    told = event(
        "session",
        note_text=f"{mark} ransom, pay {BTC}",
        op_text=f"FLUSHALL\n{mark}",
        path="/.env",
        signals=["privileged:true"],
        tftp_filename="router-confg",
        llmnr_poison_count=2,
        rows_read=20_000,
        bytes_out=2e6,
        beacon_interval_s=60,
        beacon_jitter_pct=0,
        auth_attempt_count=40,
        client_version=f"SSH-2.0-Nmap {mark}",
        extra={"body_text": mark, "command_text": mark},
    )
    if name == "behavioral_k8s_sa_token":
        told.session.path = "/api/v1/namespaces/a/secrets"
    (found,) = lift(BehavioralLifter(), session_rule(name), told)
    assert mark not in str(found.evidence)
    assert BTC not in str(found.evidence)


@pytest.mark.parametrize(
    ("name", "parameters", "says"),
    [
        ("behavioral_beaconing", {"min_interval_s": 0}, "min_interval_s"),
        ("behavioral_beaconing", {"max_jitter_pct": 1.5}, "max_jitter_pct"),
        ("behavioral_beaconing", {"window": 5}, "no parameter `window`"),
        ("behavioral_ransom_note", {"keywords": []}, "keywords"),
        ("behavioral_ransom_note", {"keywords": ["BTC"]}, "lower case"),
        ("behavioral_exfil_over_web", {"min_bytes": 0}, "min_bytes"),
        ("behavioral_exfil_over_web", {"requests_factor": 0}, "requests_factor"),
        ("behavioral_db_mass_read", {"min_rows": -1}, "min_rows"),
        ("behavioral_llmnr_poisoning", {"min_count": 0}, "min_count"),
        ("behavioral_class", {"behavior": "odd"}, "behavior"),
        ("behavioral_tool_guess", {"tool": "odd"}, "tool"),
        ("behavioral_unheard_of", {}, "no predicate"),
    ],
)
def test_senseless_parameters_are_refused(name: str, parameters: dict[str, Any], says: str) -> None:
    with pytest.raises(RuleInvalidError, match=says):
        BehavioralLifter().compile([session_rule(name, **parameters)], None)


PIECES = st.sampled_from(
    ("FLUSHALL", "DROP ", "/*", "*/", "DATABASE x", "DELETE /", "_all", "pay ", "btc ", BTC, BC1,
     "/.env", "%2e", "%", "/api/v1/namespaces/", "secrets", "bind:", "/", "..", "\0", "\n", "é",
     "privileged:true", ".cfg", "-confg", "nmap", "\u202e", ";", "'", "\\")
)  # fmt: skip
TEXTS = st.lists(PIECES | st.text(max_size=6), max_size=12).map("".join)
NUMBERS = st.floats(allow_nan=True, allow_infinity=True)


@given(text=TEXTS, number=NUMBERS, kind=st.sampled_from(["session", "http_request", "email"]))
def test_any_text_and_figure_gives_bounded_evidence(text: str, number: float, kind: str) -> None:
    made = event(kind)
    made.extra.update(dict.fromkeys(("body_text", "path", "tool_guess", "behavior_class"), text))
    if kind == "session":
        for name in ("op_text", "note_text", "path", "tftp_filename", "client_version"):
            setattr(made.session, name, text)
        for name in ("beacon_interval_s", "beacon_jitter_pct", "bytes_out", "bytes_read"):
            setattr(made.session, name, number)
        made.session.rows_read = made.session.request_count = 2**40
        made.session.signals.append(text)
    elif kind == "http_request":
        made.http_request.raw_url = made.http_request.user_agent = text
    else:
        made.email.subject = text
    for name, predicate in BehavioralLifter.predicates.items():
        if kind not in predicate.reads:
            continue
        of_kind = rule(kind, name, "T1485", **REQUIRED.get(name, {}))
        for found in lift(BehavioralLifter(), of_kind, made):
            assert found.evidence.WhichOneof("evidence") == kind
            assert all(map(math.isfinite, found.evidence.session.figures.values()))
            assert all(len(token) <= 256 for token in found.evidence.session.matched_tokens)


@pytest.mark.parametrize(
    "bait",
    ["DROP/**/", "DROP ", "1" * 34, "bc1q", "/.env", "redis-cli -a ", "-confg", "%2e", "a", "/*"],
)
def test_a_mebibyte_of_bait_is_read_in_proportion(bait: str) -> None:
    """The predecessor took seconds for 50 kB of a file's name; the bound is loose, not a square."""
    text = bait * (2**20 // len(bait))
    told = event(
        "session", op_text=text, note_text=f"btc pay {text}", path=text, tftp_filename=text
    )
    began = time.process_time()
    for name in OF_SESSIONS:
        lift(BehavioralLifter(), session_rule(name), told)
    assert time.process_time() - began < 3.0
