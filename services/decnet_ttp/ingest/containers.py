# SPDX-License-Identifier: AGPL-3.0-or-later
"""How a container was asked for, in a command or over Docker's interface, as a decoy signals it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import orjson

from decnet_ttp.v1 import event_pb2

#: Signals of one session at most, characters of a signal, and of a body that is read.
_MOST_SIGNALS: Final = 64
_LONGEST: Final = 256
_LONGEST_BODY: Final = 64 * 1024
#: Words of a command that are looked at.
_MOST_WORDS: Final = 256

_RUN: Final = re.compile(
    r"\b(?:docker|podman|nerdctl)\b(?:\s+container)?\s+(?:run|create)\s([^;&|\n]*)"
)
_CREATE: Final = re.compile(r"^(?:/v\d[\d.]*)?/containers/create(?:\?|$)")
#: Options of `docker run` that stand before their value.
_WITH_VALUE: Final = frozenset(
    [
        "-a",
        "-c",
        "-e",
        "-h",
        "-l",
        "-m",
        "-p",
        "-u",
        "-v",
        "-w",
        "--name",
        "--mount",
        "--volume",
        "--pid",
        "--cap-add",
        "--cap-drop",
        "--net",
        "--network",
        "--env",
        "--env-file",
        "--user",
        "--workdir",
        "--publish",
        "--restart",
        "--entrypoint",
        "--device",
        "--hostname",
        "--label",
        "--memory",
        "--cpus",
        "--platform",
        "--ipc",
        "--uts",
        "--userns",
        "--security-opt",
        "--volumes-from",
        "--runtime",
        "--log-driver",
        "--add-host",
        "--dns",
        "--ip",
        "--gpus",
        "--shm-size",
        "--tmpfs",
        "--ulimit",
    ]
)


def container_of_command(text: str, session: event_pb2.SessionPayload) -> None:
    """Add what `docker run` and its like in a command line ask for."""
    for run in _RUN.finditer(text):
        words = run[1].split()[:_MOST_WORDS]
        image = ""
        position = 0
        while position < len(words) and not image:
            word = words[position].strip("'\"")
            position += 1
            if not word.startswith("-"):
                image = word
                continue
            name, equals, value = word.partition("=")
            if not equals and name in _WITH_VALUE and position < len(words):
                value = words[position].strip("'\"")
                position += 1
            for signal in _of_option(name, value):
                _add(session, signal)
        if image and not session.container_image:
            session.container_image = image[:_LONGEST]


def _of_option(name: str, value: str) -> Iterator[str]:
    match name:
        case "--privileged" if value != "false":
            yield "privileged:true"
        case "-v" | "--volume" if value.startswith("/"):
            yield f"bind:{value}"
        case "--mount":
            options = dict(part.partition("=")[::2] for part in value.split(","))
            source = options.get("source") or options.get("src") or ""
            if source.startswith("/"):
                yield f"bind:{source}"
        case "--pid" if value == "host":
            yield "pid:host"
        case "--cap-add":
            yield f"cap_add:{value.lower()}"


def container_of_request(request: dict[str, Any], session: event_pb2.SessionPayload) -> None:
    """Add what a request to make a container asks for; any other request asks for none."""
    url, body = request.get("raw_url"), request.get("body")
    if not isinstance(url, str) or not isinstance(body, str) or len(body) > _LONGEST_BODY:
        return
    if not _CREATE.match(url):
        return
    try:
        wanted = orjson.loads(body)
    except orjson.JSONDecodeError:
        return
    if not isinstance(wanted, dict):
        return
    host = wanted.get("HostConfig")
    if isinstance(host, dict):
        for signal in _of_host_config(host):
            _add(session, signal)
    image = wanted.get("Image")
    if isinstance(image, str) and not session.container_image:
        session.container_image = image[:_LONGEST]


def _of_host_config(host: dict[str, Any]) -> Iterator[str]:
    if host.get("Privileged") is True:
        yield "privileged:true"
    if host.get("PidMode") == "host":
        yield "pid:host"
    for bind in _list(host.get("Binds")):
        if isinstance(bind, str) and bind.startswith("/"):
            yield f"bind:{bind}"
    for mount in _list(host.get("Mounts")):
        source = mount.get("Source") if isinstance(mount, dict) else None
        if isinstance(source, str) and source.startswith("/"):
            yield f"bind:{source}"
    for capability in _list(host.get("CapAdd")):
        if isinstance(capability, str):
            yield f"cap_add:{capability.lower()}"


def _list(value: Any) -> list[Any]:
    return value[:_MOST_SIGNALS] if isinstance(value, list) else []


def _add(session: event_pb2.SessionPayload, signal: str) -> None:
    signal = signal[:_LONGEST].replace("\0", "")
    if len(session.signals) < _MOST_SIGNALS and signal not in session.signals:
        session.signals.append(signal)
