# SPDX-License-Identifier: AGPL-3.0-or-later
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decnet_ttp.sources.opencanary import OpenCanarySource
from decnet_ttp.sources.opencanary_types import LOG_TYPES

SAMPLE = Path(__file__).parents[2] / "examples" / "opencanary-sample.log"


def event(logtype: int, second: float, **fields: Any) -> dict[str, Any]:
    minute, rest = divmod(second, 60)
    return {
        "dst_host": "192.0.2.1",
        "dst_port": 22,
        "local_time": f"2024-03-12 09:{int(minute):02}:{rest:09.6f}",
        "utc_time": f"2024-03-12 09:{int(minute):02}:{rest:09.6f}",
        "logdata": fields.pop("logdata", {}),
        "logtype": logtype,
        "node_id": "canary01",
        "src_host": "198.51.100.7",
        "src_port": 4711,
        **fields,
    }


def write(path: Path, events: list[Any]) -> Path:
    path.write_bytes(b"".join(orjson.dumps(item) + b"\n" for item in events))
    return path


def read(path: Path) -> tuple[list[dict[str, Any]], OpenCanarySource]:
    source = OpenCanarySource()
    return [orjson.loads(message.payload) for message in source.read([str(path)])], source


def test_real_log_tells_every_attempt_request_and_command() -> None:
    """Recorded by examples/record_opencanary.py from a real OpenCanary and real clients."""
    payloads, source = read(SAMPLE)
    assert not source.tally.problems
    by_service = {(p["attacker_ip"], p["service"]): p for p in payloads}
    attempts = {
        key: [(item["username"], item["password"]) for item in p["auth_attempts"]]
        for key, p in by_service.items()
        if p["auth_attempts"]
    }
    assert attempts == {
        ("127.0.0.61", "ssh"): [("root", "123456"), ("root", "password")],
        ("127.0.0.61", "ftp"): [("anonymous", "guest@example.com"), ("admin", "admin")],
        ("127.0.0.61", "telnet"): [("root", "xc3511")],
        ("127.0.0.62", "http"): [("admin", "nas123")],
        ("127.0.0.63", "mysql"): [("root", "000102030405060708090a0b0c0d0e0f10111213")],
        ("127.0.0.63", "redis"): [(None, "foobared")],
        ("127.0.0.63", "mssql"): [("sa", None)],
        ("127.0.0.64", "vnc"): [(None, None)],
        ("127.0.0.64", "rdp"): [("administr", None)],
    }
    assert {p["decky_id"] for p in payloads} == {"canary01"}
    ssh = by_service["127.0.0.61", "ssh"]
    assert ssh["client_version"] == "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u6"
    requests = by_service["127.0.0.62", "http"]["http_requests"]
    assert [(item["method"], item["raw_url"]) for item in requests] == [
        ("GET", "/index.html"),
        ("POST", "/index.html"),
    ]
    assert requests[0]["user_agent"] == "Mozilla/5.0 (compatible; Nikto/2.5.0)"
    assert by_service["127.0.0.63", "redis"]["op_text"] == (
        "AUTH foobared\nCONFIG SET dir /root/.ssh\nCONFIG SET dbfilename authorized_keys\nINFO"
    )


def test_port_scan_is_one_session_with_its_ports(tmp_path: Path) -> None:
    events = [event(5001, n, dst_port=str(20 + n % 3)) for n in range(9)] + [
        event(5004, 10, dst_port="80")
    ]
    payloads, source = read(write(tmp_path / "opencanary.log", events))
    assert not source.tally.problems
    assert len(payloads) == 1
    assert payloads[0]["service"] == "portscan"
    assert payloads[0]["dst_port"] is None
    assert payloads[0]["dst_ports"] == [20, 21, 22, 80]
    assert payloads[0]["signals"] == ["portscan:syn", "portscan:nmap_xmas"]


def test_transfers_files_and_honey_credentials_are_told(tmp_path: Path) -> None:
    events = [
        event(10001, 1, dst_port=69, logdata={"FILENAME": "rtr-confg", "OPCODE": "READ"}),
        event(10001, 2, dst_port=69, logdata={"FILENAME": "x.bin", "OPCODE": "WRITE"}),
        event(5000, 3, dst_port=445, logdata={"SHARENAME": "hr", "FILENAME": "pay.xlsx"}),
        event(4002, 4, logdata={"USERNAME": "root", "PASSWORD": "x"}, honeycred=True),
        event(99007, 5, logdata={"anything": 1}),
        event(1001, 6, src_host=""),
    ]
    payloads, source = read(write(tmp_path / "opencanary.log", events))
    assert not source.tally.problems
    by_service = {p["service"]: p for p in payloads}
    assert by_service["tftp"]["tftp_filename"] == "rtr-confg"
    assert [item["filename"] for item in by_service["tftp"]["payloads"]] == ["x.bin"]
    assert by_service["smb"]["path"] == "hr/pay.xlsx"
    assert by_service["ssh"]["signals"] == ["ssh:honey_credential"]
    assert by_service["other"]["signals"] == ["opencanary:99007"]


@pytest.mark.parametrize("cut", range(1, 27, 5))
def test_ids_do_not_depend_on_where_the_log_is_cut(tmp_path: Path, cut: int) -> None:
    lines = SAMPLE.read_bytes().splitlines(keepends=True)
    (tmp_path / "head.log").write_bytes(b"".join(lines[:cut]))
    (tmp_path / "tail.log").write_bytes(b"".join(lines[cut:]))
    pieces = [read(tmp_path / name)[0] for name in ("head.log", "tail.log")]
    whole, _ = read(SAMPLE)

    def ids(payloads: list[dict[str, Any]]) -> set[str]:
        return {
            item["id"]
            for p in payloads
            for k in ("auth_attempts", "http_requests")
            for item in p[k]
        }

    assert ids(pieces[0]) | ids(pieces[1]) == ids(whole)
    assert {p["source_id"] for piece in pieces for p in piece} == {p["source_id"] for p in whole}


def test_what_cannot_be_used_is_counted(tmp_path: Path) -> None:
    log = write(
        tmp_path / "opencanary.log",
        [
            {"logtype": "4002"},
            event(4002, 1, src_host="nobody"),
            event(4002, 1, utc_time="never", local_time=None, logdata=7),
            [],
        ],
    )
    with log.open("ab") as out:
        out.write(b"broken\n{")
    payloads, source = read(log)
    assert source.tally.problems == {
        "not-an-event": 1,
        "no-attacker-address": 1,
        "bad-timestamp": 1,
        "not-an-object": 1,
        "not-json": 1,
        "truncated-line": 1,
    }
    assert len(payloads) == 1


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 70_000), st.text(max_size=8), st.just({}), st.just([])
)
FIELDS = ["USERNAME", "PASSWORD", "PATH", "CMD", "ARGS", "FILENAME", "OPCODE", "SHARENAME", "ERROR"]


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "logtype": st.one_of(st.sampled_from(sorted(LOG_TYPES)), ODD),
                "src_host": st.one_of(st.just("198.51.100.7"), ODD),
                "logdata": st.one_of(st.dictionaries(st.sampled_from(FIELDS), ODD), ODD),
            },
            optional={"utc_time": ODD, "dst_port": ODD, "node_id": ODD, "honeycred": ODD},
        ),
        max_size=20,
    )
)
def test_no_input_ends_the_reading(tmp_path: Path, events: list[dict[str, Any]]) -> None:
    payloads, source = read(write(tmp_path / "opencanary.log", events))
    assert sum(len(p["auth_attempts"]) for p in payloads) == source.tally.auth_attempts
