# SPDX-License-Identifier: AGPL-3.0-or-later
"""What ingest tells of a session from its commands, requests and log-ins."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decnet_ttp.ingest.aggregates import complete_session, most_shared_password
from decnet_ttp.ingest.shell_sessions import paths_read
from decnet_ttp.v1 import event_pb2


def completed(service: str = "ssh", **payload: Any) -> event_pb2.SessionPayload:
    session = event_pb2.SessionPayload(service=service)
    complete_session(session, payload)
    return session


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("cat /root/.aws/credentials", ["/root/.aws/credentials"]),
        ("cat .env | grep KEY", [".env"]),
        ("sudo head -n 3 '/etc/x y'", ["/etc/x"]),
        ("cd /srv && cat ./a ../b; less -S c/d", ["./a", "../b", "c/d"]),
        ("scp root@198.51.100.7:/etc/shadow .", ["/etc/shadow", "."]),
        ("cat x > /etc/motd", []),
        ("ls /root/.ssh", []),
        ("concat /a", []),
        ("cat \0/a", ["/a"]),
    ],
)
def test_paths_are_those_that_are_read(text: str, paths: list[str]) -> None:
    assert list(paths_read(text)) == paths


def test_texts_left_behind_are_joined_with_those_of_files() -> None:
    session = completed(
        commands=["ls", {"command_text": "echo 'pay' > /root/NOTE"}],
        payloads=[{"payload_text": "or else"}],
    )
    assert session.note_text == "echo 'pay' > /root/NOTE\nor else"


def test_what_the_producer_sent_stands() -> None:
    session = event_pb2.SessionPayload(service="ssh", note_text="sent", paths=["/sent"])
    complete_session(session, {"commands": ["cat /a", "echo x > y"]})
    assert (session.note_text, list(session.paths)) == ("sent", ["/sent"])


def test_a_data_store_has_no_shell() -> None:
    session = completed(service="redis", commands=["cat /etc/passwd", "echo x > y"])
    assert not session.paths
    assert not session.note_text


@pytest.mark.parametrize(
    ("text", "signals", "image"),
    [
        ("docker run --privileged -it alpine sh", ["privileged:true"], "alpine"),
        ("docker run --privileged=false alpine", [], "alpine"),
        ("podman run -v /:/host:ro --pid=host img", ["bind:/:/host:ro", "pid:host"], "img"),
        ("docker container create --cap-add SYS_ADMIN img", ["cap_add:sys_admin"], "img"),
        ("docker run --mount type=bind,src=/etc,dst=/e --name x img", ["bind:/etc"], "img"),
        ("docker run -v data:/data img --privileged", [], "img"),
        ("docker ps --privileged", [], ""),
    ],
)
def test_containers_are_read_from_commands(text: str, signals: list[str], image: str) -> None:
    session = completed(commands=[text])
    assert (list(session.signals), session.container_image) == (signals, image)


def test_containers_are_read_from_requests() -> None:
    host = {"Privileged": True, "Binds": ["/:/h", 7], "CapAdd": ["ALL"], "PidMode": "host"}
    body = json.dumps({"Image": "alpine", "HostConfig": {**host, "Mounts": [{"Source": "/etc"}]}})
    requests = [{"raw_url": "/v1.41/containers/create?name=x", "body": body}]
    session = completed(service="docker", http_requests=requests)
    assert session.container_image == "alpine"
    assert sorted(session.signals) == [
        "bind:/:/h",
        "bind:/etc",
        "cap_add:all",
        "pid:host",
        "privileged:true",
    ]


@pytest.mark.parametrize("body", ["", "[]", "{", '{"HostConfig": 3}', '{"Image": "\\ud800"}', 5])
def test_a_wrong_body_asks_for_no_container(body: object) -> None:
    session = completed(http_requests=[{"raw_url": "/containers/create", "body": body}])
    assert not session.signals
    assert not session.container_image


def test_the_password_of_most_accounts_is_told_by_its_digest() -> None:
    attempts = [{"username": user, "password": "a"} for user in ("root", "ROOT", "x", "y")]
    digest, accounts = most_shared_password([*attempts, {"username": "z", "password": "b"}])
    assert accounts == 3
    assert digest == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    assert most_shared_password("x") == most_shared_password([{"username": 1}]) == ("", 0)


@given(
    st.lists(
        st.one_of(
            st.text(alphabet=" cat/.-v:=,>|echodkrun\0'\"\n\t", max_size=60),
            st.dictionaries(st.sampled_from(["command_text", "text"]), st.text(max_size=9)),
            st.none(),
        ),
        max_size=6,
    )
)
def test_no_commands_make_it_fail_or_tell_without_bounds(commands: list[Any]) -> None:
    session = completed(commands=[*commands, "docker run " + "-v /a:/b" * 99, "cat /x" * 9_999])
    assert len(session.paths) <= 256
    assert len(session.signals) <= 64
    assert all("\0" not in each for each in (*session.paths, *session.signals))
