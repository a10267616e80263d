# SPDX-License-Identifier: AGPL-3.0-or-later
"""Marked mails and browser fingerprints go through the whole stack and leave no mark anywhere."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest
from benchmarks.installation import DURABLE
from nats.js.errors import NotFoundError
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from decnet_ttp.ingest.lag import read_lag
from decnet_ttp.runtime.bus import Bus, Envelope, connect_bus
from decnet_ttp.runtime.config import Settings
from decnet_ttp.runtime.streams import (
    DLQ_STREAM,
    EVENTS_STREAM,
    INTEL_STREAM,
    PARKED_STREAM,
    TTP_STREAM,
    ensure_streams,
)
from system.spread import Spread
from system.test_lifter_processes import LIFTERS

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

MARK = "zq7mark"
SENDER_IP = "198.51.100.23"

#: Every text of the mail that names somebody or says something carries the mark.
MAIL = f"""\
Received: from relay.example.com (relay.example.com [{SENDER_IP}])
 by mx.example.net with ESMTP id 1; Fri, 20 Nov 2026 10:00:00 +0000
Return-Path: <{MARK}-bounce@bounce.example.org>
From: "{MARK} Display" <{MARK}-from@example.org>
Reply-To: {MARK}-reply@example.com
To: {", ".join(f"{MARK}-to{number}@victim{number}.example.net" for number in range(30))}
Subject: Urgent: invoice overdue {MARK}
X-Mailer: PHPMailer 5.2
X-Internal: {MARK}
Date: Fri, 20 Nov 2026 09:59:00 +0000
Message-ID: <{MARK}@example.org>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b"

--b
Content-Type: text/plain

Dear {MARK}, please wire transfer 40000 EUR today and verify your account at
http://{MARK}:{MARK}@xn--pypal-4ve.example/login?user={MARK}#{MARK}
--b
Content-Type: application/vnd.ms-word.document.macroEnabled.12; name="{MARK}-invoice.docm"
Content-Disposition: attachment; filename="{MARK}-invoice.docm"
Content-Transfer-Encoding: base64

UEsDBAoAAAAAAA==
--b--
"""

#: What a sensor of another make may send: the same things under names of its own.
TOLD: dict[str, Any] = {
    "source_id": "told-1",
    "attacker_ip": SENDER_IP,
    "decky_id": "mx-1",
    "subject": f"Invoice {MARK}",
    "from_address": f"{MARK}@example.org",
    "mail_from": f"{MARK}@example.org",
    "rcpt_to": [f"{MARK}@example.net"],
    "body_text": f"Dear {MARK}, verify your account, wire transfer, gift card",
    "headers": {"X-{MARK}": MARK},
    "attachment_names": [f"{MARK}.docm"],
    "attachment_extensions": ["docm"],
    "attachment_macros": True,
    "attachment_count": 1,
    "x_mailer": f"PHPMailer {MARK}",
    "rcpt_count": 60,
    "urls": [f"http://xn--pypal-4ve.example/{MARK}"],
}
TOUCHED: dict[str, Any] = {
    "src_ip": SENDER_IP,
    "decky_name": "web-1",
    "trigger_id": "touch-1",
    "user_agent": f"Mozilla/5.0 ({MARK})",
    "request_path": f"/{MARK}",
    "fingerprint": {
        "navigator_webdriver": True,
        "platform_ua_inconsistent": True,
        "matched_tool": "selenium",
        "canvas": f"data:image/png;base64,{MARK}",
        "fonts": [MARK, "Arial"],
        "webgl": {"renderer": f"SwiftShader {MARK}"},
    },
}


@dataclass
class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps what it is sent, as it came."""

    received: list[bytes] = field(default_factory=list)

    async def Export(self, request: Any, context: Any) -> Any:
        self.received.append(request.SerializeToString())
        return trace_service_pb2.ExportTraceServiceResponse()


@asynccontextmanager
async def collecting() -> AsyncIterator[tuple[Collector, str]]:
    """Run a collector of traces; gives it and its address."""
    collector = Collector()
    server = grpc.aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield collector, f"http://127.0.0.1:{port}"
    finally:
        await server.stop(30)


async def import_mail(folder: Path, artifacts: Path, nats_url: str) -> None:
    """Import the marked mail as a user does."""
    (folder / "marked.eml").write_text(MAIL, encoding="ascii")
    importing = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "decnet_ttp.cli.main", "import", "eml", str(folder)),
        *("--decky", "mx-1", "--artifacts", str(artifacts), "--attacker-ip", SENDER_IP),
        env={**os.environ, "DECNET_TTP_NATS_URL": nats_url},
    )
    assert await importing.wait() == 0


async def settled(bus: Bus, database_url: str) -> None:
    """Wait until ingest has acknowledged everything, and the tag-store announced it."""
    database = await asyncpg.connect(database_url)
    try:
        async with asyncio.timeout(240):
            while True:
                lag = await read_lag(bus, DURABLE)
                if (lag.pending, lag.unacknowledged) == (0, 0) and not await database.fetchval(
                    "SELECT EXISTS (SELECT FROM tags.outbox)"
                ):
                    return
                await asyncio.sleep(0.05)
    finally:
        await database.close()


async def stored(database_url: str) -> str:
    """Return every row of every table, bytes as far as they are text."""
    database = await asyncpg.connect(database_url)
    try:
        await database.execute("SET bytea_output = 'escape'")
        tables = await database.fetch(
            "SELECT format('SELECT t::text AS row FROM %I.%I t', schemaname, tablename) AS query "
            "FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        rows = [row for table in tables for row in await database.fetch(table["query"])]
        return "\n".join(row["row"] for row in rows)
    finally:
        await database.close()


async def tagged_events(database_url: str) -> list[tuple[str, str]]:
    """Return event and rule of each tag."""
    database = await asyncpg.connect(database_url)
    try:
        rows = await database.fetch("SELECT source_id, rule_id FROM tags.tags")
        return [(row["source_id"], row["rule_id"]) for row in rows]
    finally:
        await database.close()


async def published(bus: Bus, stream: str) -> list[bytes]:
    """Return all messages of a stream, each with its subject and headers."""
    state = (await bus.js.stream_info(stream)).state
    found = []
    for sequence in range(max(state.first_seq, 1), state.last_seq + 1):
        try:
            message = await bus.js.get_msg(stream, seq=sequence)
        except NotFoundError:
            continue
        headers = repr(message.headers).encode()
        found.append(b"\n".join([str(message.subject).encode(), headers, message.data or b""]))
    return found


async def test_marks_of_mails_and_fingerprints_are_nowhere(
    nats_url: str, database_url: str, tmp_path: Path
) -> None:
    mails, artifacts, top = (tmp_path / name for name in ("mails", "artifacts", "top"))
    for folder in (mails, artifacts, top):
        folder.mkdir()
    bus = await connect_bus(Settings(nats_url=nats_url), name="test")
    beats: list[bytes] = []

    async def heard(message: Any) -> None:
        beats.append(message.data)

    try:
        await ensure_streams(bus.js)
        await bus.nc.subscribe("system.>", cb=heard)
        async with collecting() as (collector, endpoint):
            environ = {
                "DECNET_TTP_LOG_LEVEL": "debug",
                "DECNET_TTP_OTEL_ENDPOINT": endpoint,
                "DECNET_TTP_HEARTBEAT_S": "0.5",
                "DECNET_TTP_ARTIFACTS_ROOT": str(artifacts),
            }
            async with Spread(top, LIFTERS, database_url, nats_url, environ) as spread:
                await import_mail(mails, artifacts, nats_url)
                for topic, payload in (
                    ("email.received", TOLD),
                    (f"canary.{MARK}-token.triggered", TOUCHED),
                ):
                    envelope = Envelope(topic=topic, type=topic.rpartition(".")[2], payload=payload)
                    await bus.js.publish(topic, envelope.encode(), headers=envelope.headers)
                await settled(bus, database_url)
                rows = await stored(database_url)
                tagged = await tagged_events(database_url)
                logs = {name: spread.log(name) for name in (*LIFTERS, "ingest", "tag-store")}
        imported, told, touched = await published(bus, EVENTS_STREAM)
        streams = {
            stream: b"\n".join(await published(bus, stream))
            for stream in (TTP_STREAM, DLQ_STREAM, PARKED_STREAM, INTEL_STREAM)
        }
    finally:
        await bus.close()

    # The search does find: what others published stands on the bus as they wrote it.
    assert MARK.encode() in told
    assert MARK.encode() in touched
    # What we publish of a mail ourselves has its subject, which rules read, and nothing else of it.
    subject = f"Urgent: invoice overdue {MARK}".encode()
    assert MARK.encode() not in imported.replace(subject, b"")
    found = {(source_id.partition("/")[0], rule_id) for source_id, rule_id in tagged}
    # The body was read from where it is kept, the address with a name disguised from the message.
    assert {
        ("eml", "R0047"),
        ("told-1", "R0047"),
        ("touch-1", "R0049"),
        ("touch-1", "R0053"),
    } <= found
    assert "R0047" in rows
    assert MARK not in rows
    for stream, text in streams.items():
        assert MARK.encode() not in text, stream
    assert streams[TTP_STREAM].count(b"ttp.tagged") >= 3
    assert len(beats) > len(logs)
    assert MARK.encode() not in b"".join(beats)
    assert len(collector.received) > len(LIFTERS)
    assert MARK.encode() not in b"".join(collector.received)
    for name, log in logs.items():
        text = log.read_text(encoding="utf-8")
        assert text.strip(), name
        assert MARK not in text, name
