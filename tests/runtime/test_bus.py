# SPDX-License-Identifier: AGPL-3.0-or-later
"""The bus: streams that are made once, envelopes, and a connection that comes back."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import resource
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from nats.js.errors import ServerError

from decnet_ttp.embedded.nats import NatsServer
from decnet_ttp.runtime.bus import Bus, BusRefusedError, Envelope, EnvelopeError, connect_bus
from decnet_ttp.runtime.config import Settings, SettingsError
from decnet_ttp.runtime.streams import DLQ_STREAM, EVENTS_STREAM, TTP_STREAM, ensure_streams
from runtime.served import until

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)


@pytest_asyncio.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    """A connection to a fresh NATS."""
    connected = await connect_bus(Settings(nats_url=nats_url), name="test")
    # A disk that is slow for a while is no failure of a test.
    yield Bus(connected.nc, connected.nc.jetstream(timeout=60.0))
    await connected.close()


@given(
    st.dictionaries(_TEXT, _JSON, max_size=4), _TEXT, _TEXT, st.floats(min_value=0, max_value=1e12)
)
def test_envelope_comes_back_as_it_was(
    payload: dict[str, Any], kind: str, ident: str, stamp: float
) -> None:
    sent = Envelope("attacker.session.ended", kind, payload, ident, stamp)
    assert Envelope.decode(sent.encode(), subject="attacker.session.ended") == sent


def test_envelope_on_the_wire_has_the_documented_keys() -> None:
    sent = Envelope("ttp.tagged", "tagged", {"a": 1}, "abc", 1.5)
    assert orjson.loads(sent.encode()) == {
        "v": 1,
        "id": "abc",
        "topic": "ttp.tagged",
        "type": "tagged",
        "ts": 1.5,
        "payload": {"a": 1},
    }
    assert sent.headers == {"Nats-Msg-Id": "abc"}


def test_envelopes_have_ids_of_their_own() -> None:
    assert Envelope("a.b", "b", {}).id != Envelope("a.b", "b", {}).id


def test_topic_is_the_subject_whatever_the_envelope_says() -> None:
    data = orjson.dumps({"topic": "credential.forged", "payload": {}})
    assert Envelope.decode(data, subject="attacker.observed").topic == "attacker.observed"


def test_envelope_of_other_producers_may_lack_everything_but_its_payload() -> None:
    found = Envelope.decode(b'{"payload":{"a":1},"id":7,"type":[],"ts":"now"}', subject="a.b")
    assert found == Envelope("a.b", "", {"a": 1}, "", 0.0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'{"payload":NaN}', "not JSON"),
        (b"[1]", "a JSON list instead of an object"),
        (b'"text"', "a JSON str instead of an object"),
        (b"null", "a JSON NoneType instead of an object"),
        (b"{}", "no object under payload"),
        (b'{"payload":[]}', "no object under payload"),
        (b'{"v":2,"payload":{}}', "envelope version is not 1"),
        (b'{"v":"1","payload":{}}', "envelope version is not 1"),
        (b'{"payload":' * 100_000, "not JSON"),
        (b'{"a":"\\ud800","payload":' + b"[" * 100_000, "not JSON"),
    ],
)
def test_bytes_that_are_no_envelope_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(EnvelopeError, match=f"^{reason}"):
        Envelope.decode(data, subject="a.b")


def test_refusal_quotes_nothing_of_the_content() -> None:
    with pytest.raises(EnvelopeError) as caught:
        Envelope.decode(b'{"payload":{"password":"hunter2"}, oops', subject="a.b")
    assert "hunter2" not in str(caught.value)


@given(st.binary(max_size=64))
def test_any_bytes_are_an_envelope_or_refused(data: bytes) -> None:
    with pytest.raises(EnvelopeError):
        Envelope.decode(data, subject="a.b")


@pytest.mark.parametrize(
    ("text", "read"),
    [("\\ud800", "?"), ("a\\udcffb", "a?b"), ("\\udc00\\ud800", "??"), ("\\ud83d\\ude00", "😀")],
)
def test_lone_surrogates_become_question_marks(text: str, read: str) -> None:
    """Python producers escape undecodable bytes so; the rest of the message is still good."""
    data = b'{"payload":{"command":"%s","n":[1,2.5,null]}}' % text.encode()
    assert Envelope.decode(data, subject="a.b").payload == {"command": read, "n": [1, 2.5, None]}


@given(st.text(max_size=20))
def test_anything_the_standard_library_writes_is_read(text: str) -> None:
    """Including what is no Unicode text; keys too."""
    found = Envelope.decode(json.dumps({"payload": {text: text}}).encode(), subject="a.b")
    expected = text.encode("utf-8", "replace").decode()
    assert found.payload == {expected: expected}


async def test_no_url_is_a_settings_error() -> None:
    with pytest.raises(SettingsError, match="DECNET_TTP_NATS_URL is not set"):
        await connect_bus(Settings(), name="test")


async def test_streams_are_made_as_documented(bus: Bus) -> None:
    await ensure_streams(bus.js, Settings(events_max_age_days=2, events_max_bytes=50_000_000))
    configs = {
        name: (await bus.js.stream_info(name)).config
        for name in (EVENTS_STREAM, TTP_STREAM, DLQ_STREAM)
    }
    assert {name: config.subjects for name, config in configs.items()} == {
        "DECNET_EVENTS": [
            *("attacker.>", "identity.>", "credential.>"),
            *("campaign.>", "email.>", "canary.>"),
        ],
        "DECNET_TTP": ["ttp.>", "attribution.>"],
        "DECNET_TTP_DLQ": ["dlq.ttp.>"],
    }
    assert [config.max_age for config in configs.values()] == [172_800.0, 172_800.0, 0.0]
    assert {config.max_bytes for config in configs.values()} == {50_000_000}
    assert {config.duplicate_window for config in configs.values()} == {120.0}
    assert {config.storage for config in configs.values()} == {"file"}


async def test_streams_that_stand_are_left_as_their_operator_set_them(bus: Bus) -> None:
    await ensure_streams(bus.js)
    config = (await bus.js.stream_info(EVENTS_STREAM)).config
    await bus.js.update_stream(config.evolve(max_age=3600.0, subjects=["attacker.>", "email.>"]))
    await bus.js.publish("attacker.observed", b"kept")
    await ensure_streams(bus.js, Settings(events_max_age_days=1))
    info = await bus.js.stream_info(EVENTS_STREAM)
    assert (info.config.max_age, info.config.subjects) == (3600.0, ["attacker.>", "email.>"])
    assert info.state.messages == 1


async def test_stream_larger_than_the_disk_is_made_smaller(bus: Bus) -> None:
    """A bound nobody's disk can keep must not keep a small machine from starting."""
    await ensure_streams(bus.js, Settings(events_max_bytes=10**16))
    for name in (EVENTS_STREAM, TTP_STREAM, DLQ_STREAM):
        assert 0 < ((await bus.js.stream_info(name)).config.max_bytes or 0) < 10**16


async def test_the_first_stream_leaves_room_for_the_others(bus: Bus) -> None:
    """Also where its bound, halved often enough, is nearly all that the disk has."""
    room = await _largest_stream(bus)
    await ensure_streams(bus.js, Settings(events_max_bytes=room * 8 + 7))
    info = await bus.js.stream_info(EVENTS_STREAM)
    assert info.config.max_bytes == room // 2
    assert await _largest_stream(bus) > 0


async def test_a_stream_whose_files_cannot_be_made_yet_is_made_a_moment_later(
    tmp_path: Path,
) -> None:
    """As while NATS clears away those of a deleted one of that name; here it may open no file."""
    server = NatsServer(tmp_path / "nats")
    await server.start()
    connected = await connect_bus(Settings(nats_url=server.url), name="test")
    try:
        pid = server.pid
        assert pid is not None
        _, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (1, most))
        with pytest.raises(ServerError, match="error creating store for stream"):
            await connected.js.add_stream(name="OTHER", subjects=["other"])
        making = asyncio.create_task(ensure_streams(connected.js))
        await asyncio.wait((making,), timeout=0.5)
        assert not making.done()
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, most))
        assert EVENTS_STREAM in await making
    finally:
        await connected.close()
        await server.stop()


#: What NATS answers when a stream's bound is more than what is left of its disk.
INSUFFICIENT_STORAGE = 10047


async def _largest_stream(bus: Bus) -> int:
    """Return the bytes that a stream could still reserve, within a mebibyte."""
    fits, too_large = 0, 10**16
    while too_large - fits > 1024 * 1024:
        size = (fits + too_large) // 2
        try:
            # One of its own each: NATS may still be clearing away the files of one deleted before.
            await bus.js.add_stream(name=f"PROBE{size}", subjects=["probe"], max_bytes=size)
        except ServerError as error:
            if error.err_code != INSUFFICIENT_STORAGE:
                raise
            too_large = size
        else:
            await bus.js.delete_stream(f"PROBE{size}")
            fits = size
    return fits


async def test_same_id_is_stored_once(bus: Bus) -> None:
    await ensure_streams(bus.js)
    sent = Envelope("attacker.observed", "observed", {})
    first = await bus.js.publish(sent.topic, sent.encode(), headers=sent.headers)
    again = await bus.js.publish(sent.topic, sent.encode(), headers=sent.headers)
    assert not first.duplicate
    assert again.duplicate
    assert (await bus.js.stream_info(EVENTS_STREAM)).state.messages == 1


@pytest.mark.faults
async def test_connection_comes_back_after_the_server_was_killed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The same connection works again, what was acknowledged is there, the outage is told once."""
    caplog.set_level(logging.INFO, "decnet_ttp")
    server = NatsServer(tmp_path / "nats")
    await server.start()
    connected = await connect_bus(Settings(nats_url=server.url), name="test")
    try:
        await ensure_streams(connected.js)
        await connected.js.publish("attacker.observed", b"before")
        url = server.url
        assert server._process is not None
        await server._process.stop(signal.SIGKILL, 10.0)
        await until(lambda: not connected.nc.is_connected)
        await server.start()
        assert server.url == url
        await until(lambda: connected.nc.is_connected)
        await connected.js.publish("attacker.observed", b"after")
        assert (await connected.js.stream_info(EVENTS_STREAM)).state.messages == 2
    finally:
        await connected.close()
        await server.stop()
    said = [record.message for record in caplog.records if record.name == "decnet_ttp.runtime.bus"]
    assert said.count("bus connected again") == 1
    # The cut, and not the closing at the end of the test.
    assert said.count("bus disconnected") == 1
    kinds = [r.__dict__["error"] for r in caplog.records if r.message == "bus error"]
    assert len(kinds) == len(set(kinds))


async def test_refused_password_ends_the_waiting_where_that_is_asked_for(nats_url: str) -> None:
    wrong = Settings(nats_url=nats_url.replace("decnet_ttp:", "decnet_ttp:wr0ng", 1))
    with pytest.raises(BusRefusedError) as refused:
        await connect_bus(wrong, name="test", once_refused_give_up=True)
    assert "wr0ng" not in str(refused.value)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await connect_bus(wrong, name="test")


async def test_connect_waits_for_a_server_that_starts_late(tmp_path: Path) -> None:
    """And says why it waits, without the password."""
    server = NatsServer(tmp_path / "nats")
    await server.start()
    url = server.url
    await server.stop()
    connecting = asyncio.ensure_future(connect_bus(Settings(nats_url=url), name="test"))
    await server.start()
    connected = await asyncio.wait_for(connecting, 60)
    assert connected.nc.is_connected
    await connected.close()
    assert connected.nc.is_closed
    await connected.close()
    await server.stop()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_connecting_with_a_refused_password_ends_when_cancelled(nats_url: str) -> None:
    """Whenever the cancellation comes: while it connects, is refused, closes or waits."""
    place = nats_url.rpartition("@")[2]
    wrong = Settings(nats_url=f"nats://decnet_ttp:wrong@{place}")

    async def attempt(number: int) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2 + number * 0.001):
                await connect_bus(wrong, name="test")

    async with asyncio.timeout(120):
        await asyncio.gather(*map(attempt, range(100)))
    # The client of NATS leaves the socket of an attempt cut in its middle to the collector.
    gc.collect()
