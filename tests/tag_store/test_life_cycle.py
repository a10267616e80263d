# SPDX-License-Identifier: AGPL-3.0-or-later
"""Purges, deletion by age, and what a busy store holds back or refuses."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from functools import partial
from uuid import UUID

import grpc
import orjson
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from decnet_ttp.runtime.clients import open_channel
from decnet_ttp.runtime.config import Settings
from decnet_ttp.tag_store import fleet_settling
from decnet_ttp.tag_store.announcement_limit import AnnouncementLimit, forget_minutes
from decnet_ttp.tag_store.app import TagStore, open_store
from decnet_ttp.tag_store.batch import Batch, TagRow, TagShapes
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.deletion import delete_tags
from decnet_ttp.tag_store.migrate import HEAD
from decnet_ttp.tag_store.outbox_gauge import OutboxFullError, OutboxGauge
from decnet_ttp.tag_store.recount import recount
from decnet_ttp.tag_store.retention import Retention
from decnet_ttp.tag_store.ticks import TICKS_PER_DAY, TICKS_PER_SECOND
from decnet_ttp.tag_store.writer import TagWriter
from decnet_ttp.v1 import (
    directory_service_pb2,
    directory_update_pb2,
    rollup_service_pb2,
    scope_pb2,
)
from decnet_ttp.v1 import tag_store_service_pb2 as pb
from tag_store.samples import (
    ATTACKER,
    FLEET,
    IDENTITY,
    NOON,
    OTHER_ATTACKER,
    StoreClient,
    announced,
    attacker_scope,
    draft,
    group,
    until,
)


async def store_some(client: StoreClient) -> None:
    """Store three tags of ATTACKER, two of OTHER_ATTACKER, one that names IDENTITY alone."""
    groups = [
        group("m1", [draft(f"a{at}", at=NOON - at) for at in range(3)]),
        group("m2", [draft(f"b{at}") for at in range(2)], attacker=OTHER_ATTACKER),
        group("m3", [draft("own", source_kind="credential")], attacker="", identity=IDENTITY),
    ]
    await client.tags.InsertTags(pb.InsertTagsRequest(groups=groups))


async def count(client: StoreClient, scope: scope_pb2.Scope = FLEET) -> int:
    response = await client.rollups.ListTechniques(
        rollup_service_pb2.ListTechniquesRequest(scope=scope)
    )
    return sum(row.count for row in response.techniques)


async def assert_recount_agrees(client: StoreClient) -> None:
    found = await client.rollups.RecountRollups(rollup_service_pb2.RecountRollupsRequest())
    assert [(row.rollup, row.differing_count) for row in found.rollups] == [
        (name, 0)
        for name in (
            *("identity", "attacker", "fleet_day", "fleet"),
            *("scope_day", "scope", "newest"),
        )
    ]


async def test_purge_forgets_an_attacker_and_is_on_record(
    client: StoreClient, store: TagStore
) -> None:
    await store_some(client)
    request = pb.PurgeTagsRequest(scope=attacker_scope(), requested_by="ana", reason="our scanner")
    purged = await client.tags.PurgeTags(request)
    assert purged.deleted_count == 3
    assert await count(client) == 3
    await assert_recount_agrees(client)
    (record,) = await store.database.fetch(
        "SELECT uuid, scope, scope_uuid, requested_by, reason, tags FROM purges"
    )
    assert tuple(record) == (
        UUID(purged.purge_uuid),
        "attacker",
        UUID(ATTACKER),
        "ana",
        "our scanner",
        3,
    )
    for again in (attacker_scope(), scope_pb2.Scope(attacker_ip="192.0.2.99")):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await client.tags.PurgeTags(pb.PurgeTagsRequest(scope=again))
        assert refusal.value.code() is grpc.StatusCode.NOT_FOUND
    await store_some(client)
    assert await count(client) == 6, "who comes back is stored again"
    await assert_recount_agrees(client)


async def test_purge_of_an_identity_takes_its_members_along(client: StoreClient) -> None:
    await store_some(client)
    await client.directory.LinkAttackers(
        directory_service_pb2.LinkAttackersRequest(
            identity_uuid=IDENTITY, attacker_uuids=[OTHER_ATTACKER]
        )
    )
    scope = scope_pb2.Scope(identity_uuid=IDENTITY)
    assert (await client.tags.PurgeTags(pb.PurgeTagsRequest(scope=scope))).deleted_count == 3
    assert await count(client) == await count(client, attacker_scope()) == 3
    await assert_recount_agrees(client)
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await client.tags.PurgeTags(pb.PurgeTagsRequest(scope=FLEET))
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_vacuum_deletes_what_is_old_of_a_kind(client: StoreClient) -> None:
    await store_some(client)

    async def vacuum(before_s: float, kind: str = "", *, dry_run: bool = False) -> int:
        before = Timestamp(seconds=int(before_s))
        request = pb.VacuumTagsRequest(before_time=before, source_kind=kind, dry_run=dry_run)
        return (await client.tags.VacuumTags(request)).deleted_count

    soon = time.time() + 60
    assert await vacuum(time.time() - 60) == 0
    assert await vacuum(soon, dry_run=True) == await count(client) == 6
    assert await vacuum(soon, "credential", dry_run=True) == 1
    assert await vacuum(soon, "credential") == 1
    assert await count(client) == 5
    await assert_recount_agrees(client)
    assert await vacuum(soon) == 5
    assert await count(client) == 0
    await assert_recount_agrees(client)
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await client.tags.VacuumTags(pb.VacuumTagsRequest())
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_retention_deletes_by_age_of_storage(database: Database) -> None:
    writer = TagWriter(database, lambda: None)
    await writer.write([group("m1", [draft("old"), draft("older")])], silent=True)
    await database.fetch("UPDATE tags SET created_at = created_at - interval '3 days'")
    await writer.write([group("m2", [draft("new")])], silent=True)
    stop = asyncio.Event()
    running = asyncio.ensure_future(Retention(database, 2.5).run(stop))

    async def over() -> bool:
        (counts,) = await database.fetch(
            "SELECT (SELECT count(*) FROM tags), (SELECT count(*) FROM fleet_recounts)"
        )
        return tuple(counts) == (1, 0)

    await until(over)
    stop.set()
    await running
    assert [each.differing for each in await recount(database, repair=False)] == [0] * 7


_OLD_SESSIONS = """
    UPDATE sessions SET stored_at = now() - interval '5 days' WHERE session_id <> 'read in'
"""
_LEFT = "SELECT session_id FROM sessions ORDER BY session_id"
_FACTS = (
    "SELECT attacker_uuid FROM attacker_facts UNION ALL SELECT attacker_uuid FROM attacker_intel"
)


async def test_sessions_and_what_was_known_of_those_who_are_gone_end_by_age(
    client: StoreClient, database: Database
) -> None:
    """History that was read in today stays, as do facts about whoever left something since."""
    now = int(time.time())
    update = directory_update_pb2.UpdateDirectoryRequest()
    for name, who, days in (
        ("old", ATTACKER, 5),
        ("held", ATTACKER, 5),
        ("young", OTHER_ATTACKER, 1),
        ("read in", OTHER_ATTACKER, 9),
    ):
        at = Timestamp(seconds=now - days * 86_400)
        update.sessions.add(
            session_id=name, attacker_uuid=who, decky_id="d", start_time=at, end_time=at
        )
    then = Timestamp(seconds=now - 5 * 86_400)
    for who in (ATTACKER, OTHER_ATTACKER):
        update.facts.add(
            attacker_uuid=who, kind=1, value="v", first_seen_time=then, last_seen_time=then
        )
        update.intel_records.add(attacker_uuid=who, provider="p", verdict="v", observe_time=then)
    await client.directory.UpdateDirectory(update)
    await database.fetch(_OLD_SESSIONS)
    request = pb.VacuumTagsRequest(
        before_time=Timestamp(seconds=now - 2 * 86_400), requested_by="me", reason="old"
    )

    async def vacuum(*, dry_run: bool = False, kind: str = "") -> tuple[int, int, int]:
        request.dry_run, request.source_kind = dry_run, kind
        done = await client.tags.VacuumTags(request)
        return done.deleted_count, done.deleted_session_count, done.deleted_fact_count

    assert await vacuum(kind="command") == (0, 0, 0)
    assert await vacuum(dry_run=True) == (0, 2, 2)
    async with database.connection() as writer, writer.transaction():
        await writer.execute("UPDATE sessions SET commands = 9 WHERE session_id = 'held'")
        assert await vacuum() == (0, 1, 2)
    assert await vacuum() == (0, 1, 0)
    assert [row[0] for row in await database.fetch(_LEFT)] == ["read in", "young"]
    assert {str(row[0]) for row in await database.fetch(_FACTS)} == {OTHER_ATTACKER}
    records = await database.fetch(
        "SELECT scope, requested_by, reason, tags, sessions, facts FROM purges ORDER BY created_at"
    )
    assert [tuple(row) for row in records] == [
        ("age", "me", "old", 0, 1, 2),
        ("age", "me", "old", 0, 1, 0),
    ]


_LOOKING = """
    SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
    WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted
"""


async def test_settling_holds_nobody_up_while_it_looks(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written while it looks counts as well, and is not looked at again."""
    writer = TagWriter(database, lambda: None)
    await writer.write([group("m1", [draft("a"), draft("b", at=NOON + 9)])], silent=True)
    ((latest,),) = await database.fetch("SELECT uuid FROM tags ORDER BY observed_at DESC LIMIT 1")
    async with database.connection() as connection, connection.transaction():
        await delete_tags(connection, [latest])
    held_up = fleet_settling._LOOK.replace("FROM (", "FROM pg_advisory_xact_lock(7), (", 1)
    monkeypatch.setattr(fleet_settling, "_LOOK", held_up)
    async with database.connection() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(7)")
        settling = asyncio.ensure_future(fleet_settling.settle(database))
        await until(partial(database.fetch, _LOOKING))
        await writer.write([group("m2", [draft("c", at=NOON - 9), draft("d")])], silent=True)
        assert not settling.done()
    await settling
    assert await database.fetch("SELECT FROM fleet_recounts") == []
    assert [each.differing for each in await recount(database, repair=False)] == [0] * 7


def rows_of(rule_ids: str, attacker: str = ATTACKER) -> list[TagRow]:
    batch = Batch(number=1, now=TICKS_PER_DAY, shapes=TagShapes())
    drafts = [draft(f"{at}", rule_id=rule) for at, rule in enumerate(rule_ids)]
    batch.add(group("m", drafts, attacker=attacker), "groups[0]")
    return list(batch.messages[0].rows)


async def test_limit_counts_rules_and_attackers_apart_and_anew_each_minute(
    database: Database,
) -> None:
    """Over all replicas: each call is another one's turn."""
    replicas = [AnnouncementLimit(2), AnnouncementLimit(2), AnnouncementLimit(2)]
    minute = 60 * TICKS_PER_SECOND
    turn = 0

    async def admit(
        rules: str, attacker: str = ATTACKER, *, now: int = 0
    ) -> tuple[int, int, list[str]]:
        nonlocal turn
        turn += 1
        async with database.connection() as connection, connection.transaction():
            (found,) = await replicas[turn % 3].admit(connection, [rows_of(rules, attacker)], now)
        return len(found.tags), found.held_back, list(found.silenced)

    assert await admit("AAB") == (3, 0, [])
    assert await admit("AABB") == (1, 3, ["A", "B"])
    assert await admit("AB") == (0, 2, [])
    assert await admit("AABB") == (0, 4, [])
    assert await admit("AA", OTHER_ATTACKER) == (2, 0, [])
    assert await admit("AAA", now=minute) == (2, 1, ["A"])
    stop = asyncio.Event()
    stop.set()
    await forget_minutes(database, stop)
    assert (await database.fetch("SELECT count(*) FROM announcement_counts"))[0][0] == 4
    forgetting = asyncio.ensure_future(forget_minutes(database, stop := asyncio.Event()))

    async def forgotten() -> bool:
        return not await database.fetch("SELECT FROM announcement_counts")

    await until(forgotten)
    stop.set()
    await forgetting


async def test_what_fails_to_be_stored_uses_up_nothing(database: Database) -> None:
    limit = AnnouncementLimit(1)
    for _ in range(2):
        async with database.connection() as connection:
            transaction = connection.transaction()
            await transaction.start()
            (found,) = await limit.admit(connection, [rows_of("AAA")], 0)
            assert (len(found.tags), found.silenced) == (1, ["A"])
            await transaction.rollback()


async def test_two_replicas_announce_a_flood_as_one_would(database: Database) -> None:
    """Four writers tell as many tags as one, and say once that they hold back from now on."""
    writers = [TagWriter(database, lambda: None, limit=AnnouncementLimit(5)) for _ in range(4)]
    before = await database.fetch("SELECT date_trunc('minute', now())")
    written = await asyncio.gather(
        *(
            writers[at % 4].write(
                [group(f"m{at}", [draft(f"c{at}a"), draft(f"c{at}b")])], silent=False
            )
            for at in range(20)
        )
    )
    if await database.fetch("SELECT date_trunc('minute', now())") != before:
        return  # The minute turned in the middle.
    assert sum(each.inserted for each in written) == 40
    assert sum(each.held_back for each in written) == 35
    bodies = [orjson.loads(row[0]) for row in await database.fetch("SELECT body FROM outbox")]
    assert sum(len(body["tags"]) for body in bodies) == 5
    assert [body["silenced"] for body in bodies if "silenced" in body] == [["R0010"]]


async def test_a_flood_is_stored_whole_and_told_in_part(store_settings: Settings) -> None:
    settings = replace(store_settings, announce_per_minute=3)
    async with open_store(settings) as store, open_channel(settings.listen, settings) as channel:
        serving = asyncio.ensure_future(store.serve())
        await store.database.wait_opened()
        client = StoreClient(channel)
        answers = [
            await client.tags.InsertTags(
                pb.InsertTagsRequest(groups=[group(f"m{at}", [draft(f"c{at}a"), draft(f"c{at}b")])])
            )
            for at in range(4)
        ]

        async def told_all() -> bool:
            return not (await client.tags.GetStatus(pb.GetStatusRequest())).outbox_count

        await until(told_all)
        store.server.request_stop()
        await serving
    assert sum(each.inserted_count for each in answers) == 8
    found = await announced(settings)
    held_back = sum(each.suppressed_count for each in answers)
    said = [payload for subject, payload in found if subject == "ttp.rule.suppressed"]
    told = [payload for subject, payload in found if subject == "ttp.tagged"]
    assert sum(len(payload["tag_uuids"]) for payload in told) == 8 - held_back  # type: ignore[arg-type]  # JSON
    # The minute may turn in the middle, once at most.
    assert held_back in {2, 3, 4, 5}
    assert {payload["rule_id"] for payload in said} == {"R0010"}
    assert {payload["attacker_uuid"] for payload in said} == {ATTACKER}
    assert {payload["limit_per_minute"] for payload in said} == {3}


async def test_a_full_outbox_refuses_tags_until_it_empties(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    gauge = OutboxGauge(database, 2)
    writer = TagWriter(database, lambda: None, gauge=gauge)
    for at in range(2):
        await gauge.look()
        await writer.write([group(f"m{at}", [draft(f"c{at}")])], silent=False)
    assert await gauge.look() == 2
    with pytest.raises(OutboxFullError):
        await writer.write([group("m2", [draft("c2")])], silent=False)
    await writer.write([group("m3", [draft("c3")])], silent=True)
    assert "the outbox is full" in caplog.text
    status = await gauge.status()
    assert (status.schema_version, status.outbox, status.limit) == (HEAD, 2, 2)
    assert status.oldest is not None
    await database.fetch("DELETE FROM outbox")
    await gauge.look()
    written = await writer.write([group("m2", [draft("c2")])], silent=False)
    assert (written.inserted, written.announced) == (1, 1)
