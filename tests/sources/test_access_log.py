# SPDX-License-Identifier: AGPL-3.0-or-later
import gzip
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decnet_ttp.sources.access_log import AccessLogSource
from decnet_ttp.sources.access_log_line import clf_time, split_request, unescape

AGENT = "Mozilla/5.0 zgrab/0.x"


def combined(
    target: str, second: int, address: str = "198.51.100.7", *, agent: str = AGENT, hour: int = 10
) -> str:
    when = f"12/Mar/2024:{hour:02}:{second // 60:02}:{second % 60:02} +0100"
    return f'{address} - - [{when}] "GET {target} HTTP/1.1" 404 162 "-" "{agent}"'


def read(path: Path, **options: Any) -> tuple[list[dict[str, Any]], AccessLogSource]:
    source = AccessLogSource(**options)
    return [orjson.loads(message.payload) for message in source.read([str(path)])], source


def write(path: Path, *lines: str | dict[str, Any]) -> Path:
    texts = [line if isinstance(line, str) else orjson.dumps(line).decode() for line in lines]
    path.write_text("".join(f"{text}\n" for text in texts))
    return path


def test_requests_of_a_client_in_a_window_become_one_session(tmp_path: Path) -> None:
    log = write(tmp_path / "access.log", combined("/.env?x=1", 0), combined("/.git/config", 5), "")
    payloads, source = read(log, sensor="web01")
    assert len(payloads) == 1
    payload = payloads[0]
    ids = [item.pop("id") for item in payload["http_requests"]]
    assert len(set(ids)) == 2
    name = "http/web01//198.51.100.7/2024-03-12T09:00:00Z"
    assert payload == {
        "session_id": name,
        "source_id": name,
        "attacker_uuid": None,
        "attacker_ip": "198.51.100.7",
        "decky_id": "web01",
        "service": "http",
        "protocol": "http",
        "started_at": "2024-03-12T09:00:00.000000Z",
        "ended_at": "2024-03-12T09:00:05.000000Z",
        "duration_s": 5.0,
        "src_port": None,
        "dst_port": None,
        "client_version": None,
        "hassh": None,
        "closed": False,
        "commands": [],
        "auth_attempts": [],
        "payloads": [],
        "http_requests": [
            {
                "ts": f"2024-03-12T09:00:0{second}.000000Z",
                "method": "GET",
                "raw_url": target,
                "request_path": target.partition("?")[0],
                "user_agent": AGENT,
                "headers": {"User-Agent": AGENT},
                "status": 404,
                "host": "",
            }
            for second, target in ((0, "/.env?x=1"), (5, "/.git/config"))
        ],
    }
    assert source.tally.http_requests == 2
    assert not source.tally.problems


CADDY = {
    "level": "info",
    "ts": 1710234000.25,
    "logger": "http.log.access.log0",
    "msg": "handled request",
    "request": {
        "remote_ip": "203.0.113.9",
        "remote_port": "4711",
        "client_ip": "198.51.100.7",
        "proto": "HTTP/2.0",
        "method": "POST",
        "host": "shop.example",
        "uri": "/login?next=/",
        "headers": {"User-Agent": ["curl/8"], "Accept": ["*/*", "text/html"]},
        "tls": {"version": 772},
    },
    "status": 200,
}
NGINX = {
    "time_iso8601": "2024-03-12T10:00:00+01:00",
    "remote_addr": "198.51.100.7",
    "request": "POST /login?next=/ HTTP/1.1",
    "status": "200",
    "http_user_agent": "curl/8",
    "http_host": "shop.example",
    "http_referer": "-",
}
NGINX_PARTS = {
    "msec": "1710234000.000",
    "remote_addr": "198.51.100.7",
    "request_method": "POST",
    "uri": "/login",
    "args": "next=/",
    "status": 200,
    "http_user_agent": "curl/8",
    "host": "shop.example",
}
APACHE = {
    "time": "[12/Mar/2024:10:00:00 +0100]",
    "clientip": "::ffff:198.51.100.7",
    "verb": "POST",
    "request": "/login?next=/",
    "response": "200",
    "agent": "curl/8",
    "vhost": "shop.example",
}
VIRTUAL = (
    "shop.example:80 198.51.100.7 - eve [12/Mar/2024:10:00:00 +0100] "
    '"POST /login?next=/ HTTP/1.1" 200 5 "-" "curl/8"'
)


@pytest.mark.parametrize("line", [CADDY, NGINX, NGINX_PARTS, APACHE, VIRTUAL])
def test_every_known_form_tells_the_same_request(
    tmp_path: Path, line: str | dict[str, Any]
) -> None:
    payloads, source = read(write(tmp_path / "access.log", line))
    assert not source.tally.problems
    assert payloads[0]["attacker_ip"] == "198.51.100.7"
    assert payloads[0]["started_at"].startswith("2024-03-12T09:00:00")
    assert payloads[0]["service"] == ("https" if line is CADDY else "http")
    request = payloads[0]["http_requests"][0]
    assert request["method"] == "POST"
    assert request["raw_url"] == "/login?next=/"
    assert request["user_agent"] == "curl/8"
    assert request["host"] == "shop.example"
    assert request["status"] == 200


def ids_of(payloads: list[dict[str, Any]]) -> list[str]:
    return sorted(item["id"] for p in payloads for item in p["http_requests"])


def test_ids_do_not_depend_on_cuts_rotation_compression_or_order(tmp_path: Path) -> None:
    """A log in one piece, rotated and compressed, or disordered within its linger: same ids."""
    lines = [
        combined(
            f"/{number % 7}", number % 3600, f"198.51.100.{number % 5}", hour=10 + number // 3600
        )
        for number in range(0, 9000, 13)
    ]
    whole, _ = read(write(tmp_path / "access.log", *lines))
    rotated = tmp_path / "rotated"
    rotated.mkdir()
    write(rotated / "access.log", *lines[500:])
    write(rotated / "access.log.1", *lines[200:500])
    (rotated / "access.log.2.gz").write_bytes(
        gzip.compress("".join(f"{line}\n" for line in lines[:200]).encode())
    )
    joined, source = read(rotated)
    assert joined == whole
    assert source.tally.files == 3
    shuffled = [line for at in range(0, len(lines), 10) for line in reversed(lines[at : at + 10])]
    disordered, _ = read(write(tmp_path / "disordered.log", *shuffled))
    assert {p["source_id"] for p in disordered} == {p["source_id"] for p in whole}
    assert ids_of(disordered) == ids_of(whole)
    pieces = [
        read(write(tmp_path / f"piece{at}.log", *lines[at : at + 100]))[0]
        for at in range(0, len(lines), 100)
    ]
    assert sorted(item for piece in pieces for item in ids_of(piece)) == ids_of(whole)
    assert len(set(ids_of(whole))) == len(lines)


@pytest.mark.parametrize(
    ("target", "answer", "size_bytes"),
    [
        ("/logs/_search?size=9", "200 5000", 5_000),
        ("/_sql", "206 7", 7),
        ("/logs/_search", "404 5000", None),
        ("/logs/_search", "200 -", None),
        ("/index.html?q=/_search", "200 5000", None),
    ],
)
def test_what_a_data_store_gave_is_told_by_its_size(
    target: str, answer: str, size_bytes: int | None, tmp_path: Path
) -> None:
    line = combined(target, 1).replace("404 162", answer)
    (session,), _ = read(write(tmp_path / "a.log", line))
    assert session["http_requests"][0].get("bytes_read") == size_bytes


def test_every_form_tells_the_size_of_an_answer(tmp_path: Path) -> None:
    nginx = {"remote_addr": "198.51.100.7", "time_iso8601": "2026-11-21T10:00:00+00:00"}
    nginx |= {"request": "GET /db/_all_docs HTTP/1.1", "status": "200", "body_bytes_sent": "9"}
    asked = {"remote_ip": "198.51.100.7", "method": "GET", "uri": "/a/_mget"}
    caddy = {"request": asked, "ts": 1_790_000_000.5, "status": 200, "size": 11}
    for line, size_bytes in ((nginx, 9), (caddy, 11)):
        (session,), _ = read(write(tmp_path / "a.log", line))
        assert session["http_requests"][0]["bytes_read"] == size_bytes


def test_equal_requests_within_a_second_are_two_happenings(tmp_path: Path) -> None:
    payloads, _ = read(write(tmp_path / "access.log", *[combined("/", 1)] * 3))
    ids = [item["id"] for item in payloads[0]["http_requests"]]
    assert [item.partition("-")[2] for item in ids] == ["", "2", "3"]


def test_hostile_lines_are_kept_or_counted(tmp_path: Path) -> None:
    """TLS on the plain port, quotes, escapes and bytes that are no text are requests too."""
    log = tmp_path / "access.log"
    start = b"198.51.100.7 - - [12/Mar/2024:10:00:01 +0100] "
    log.write_bytes(
        start
        + rb'"\x16\x03\x01\x00\xEE" 400 166 "-" "-"'
        + b"\n"
        + start
        + rb'"GET /?q=\"><script> HTTP/1.1" 200 1 "-" "\\\"x\" y"'
        + b"\n"
        + start
        + b'"GET /\xff HTTP/1.1" 200 1 "-" "-"\n'
        + start
        + b'"-" 408 0 "-" "-"\n'
        + b"garbage\n"
        + b'{"remote_addr": "198.51.100.7"}\n'
        + b'host.example - - [12/Mar/2024:10:00:01 +0100] "GET / HTTP/1.1" 200 1\n'
        + b'198.51.100.7 - - [32/Mar/2024:10:00:01 +0100] "GET / HTTP/1.1" 200 1\n'
        + start
        + b'"GET /half'
    )
    payloads, source = read(log)
    assert source.tally.problems == {
        "not-a-request": 2,
        "no-attacker-address": 1,
        "bad-timestamp": 1,
        "truncated-line": 1,
    }
    requests = [item for p in payloads for item in p["http_requests"] if item["ts"]]
    assert [(item["method"], item["raw_url"]) for item in requests] == [
        ("", "\x16\x03\x01\x00\ufffd"),
        ("GET", '/?q="><script>'),
        ("GET", "/\ufffd"),
        ("", ""),
    ]
    assert requests[1]["user_agent"] == '\\"x" y'
    undated = [p for p in payloads if p["started_at"] is None]
    assert [p["session_id"].rpartition("/")[2] for p in undated] == ["undated"]


def test_memory_is_bounded_by_evicting_and_splitting(tmp_path: Path) -> None:
    lines = [combined(f"/{n}", n % 60, f"198.51.{n % 4}.7") for n in range(100)]
    log = write(tmp_path / "access.log", *lines)
    payloads, source = read(log, max_open=2)
    assert source.tally.problems["evicted"] > 90
    assert len(ids_of(payloads)) == len(set(ids_of(payloads))) == 100
    heavy = write(tmp_path / "heavy.log", *[combined(f"/{n}", n % 60) for n in range(4500)])
    parts, source = read(heavy)
    assert [(p["part"], len(p["http_requests"])) for p in parts] == [(1, 2000), (2, 2000), (3, 500)]
    assert len({p["source_id"] for p in parts}) == 3
    assert source.tally.sessions == 1


def test_a_line_made_to_exhaust_the_parser_costs_linear_time(tmp_path: Path) -> None:
    stamp = '[12/Mar/2024:10:00:01 +0100] "'
    log = write(
        tmp_path / "access.log",
        "1.2.3.4 - " + stamp * 30_000,
        "1.2.3.4 - " + "[" * 900_000,
        "a " * 450_000,
    )
    started = time.process_time()
    _, source = read(log)
    assert source.tally.problems["not-a-request"] == 3
    assert time.process_time() - started < 3


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.text(max_size=30).map(lambda t: combined("/" + t, 1).encode("utf-8", "replace")),
            st.dictionaries(
                st.sampled_from([*NGINX, *NGINX_PARTS, *APACHE, *CADDY, "time_local"]),
                st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=9), st.just({})),
            ).map(
                lambda d: (
                    orjson.dumps(d, option=orjson.OPT_NON_STR_KEYS, default=str)
                    if all(not isinstance(v, int) or -(2**63) <= v < 2**63 for v in d.values())
                    else b"{}"
                )
            ),
        ),
        max_size=20,
    )
)
def test_no_input_ends_the_reading(tmp_path: Path, lines: list[bytes]) -> None:
    log = tmp_path / "access.log"
    log.write_bytes(b"\n".join(lines))
    payloads, source = read(log)
    assert sum(len(p["http_requests"]) for p in payloads) == source.tally.http_requests


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("GET / HTTP/1.1", ("GET", "/")),
        ("GET /a b c HTTP/1.0", ("GET", "/a b c")),
        ("GET /old", ("GET", "/old")),
        ("\x03\x00\x00/*", ("", "\x03\x00\x00/*")),
        ("-", ("", "")),
        ("", ("", "")),
    ],
)
def test_request_lines_are_split_as_servers_do(line: str, expected: tuple[str, str]) -> None:
    assert split_request(line) == expected


def test_escapes_are_taken_off() -> None:
    assert unescape(r"\xc3\xa9 \"q\" \\ \n") == 'é "q" \\ \n'
    assert clf_time("10/Oct/2000:13:55:36 -0700") == "2000-10-10T20:55:36.000000Z"
    assert clf_time("10/Okt/2000:13:55:36 -0700") == ""
