# SPDX-License-Identifier: AGPL-3.0-or-later
"""What sensors say of a session in words of their own: signals, classes, guesses of tools."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.tagger.fields import extra_text
from decnet_ttp.v1 import event_pb2

#: Longest word of a sensor that is read, in characters.
_MAX_WORD: Final = 512
#: Guesses that are read at most.
_MAX_GUESSES: Final = 64

#: Paths of a host that hand it over when a container has them. What containers commonly share
#: (/etc/localtime, /etc/hosts, /etc/ssl) is none of them.
_HOST_PATHS: Final = frozenset(
    {
        "/", "/boot", "/dev", "/etc", "/home", "/proc", "/root", "/run", "/var", "/var/run",
        "/etc/cron.d", "/etc/crontab", "/etc/kubernetes", "/etc/passwd", "/etc/shadow",
        "/etc/sudoers", "/etc/sudoers.d", "/root/.ssh", "/run/containerd/containerd.sock",
        "/run/docker.sock", "/var/lib/docker", "/var/lib/kubelet", "/var/run/docker.sock",
        "/var/spool/cron", "/var/spool/cron/crontabs",
    }
)  # fmt: skip

#: Other signals that mean the same.
_SIGNALS: Final = frozenset(
    {"privileged:true", "pid:host", "pidmode:host", "cap_add:sys_admin", "cap_add:all"}
)

#: How the signals begin that a watcher of ports raises; those of nmap name it behind that.
_PORT_SCAN: Final = "portscan:"

#: What sensors call the classes.
_CLASSES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "brute_force": "brute_force", "bruteforce": "brute_force", "brute_forcing": "brute_force",
        "scanning": "scanning", "scanner": "scanning", "scan": "scanning",
        "beaconing": "beaconing", "beacon": "beaconing",
    }
)  # fmt: skip

#: A word that names a tool, with a version behind it at most.
_WORD: Final = re.compile(r"[a-z0-9_]{2,32}", re.ASCII)
#: Tools that name themselves in the banner of SSH, or in the agent of HTTP.
_NAMED: Final = re.compile(r"(?<![a-z0-9])(hydra|nmap|sqlmap)(?![a-z0-9])", re.ASCII)


def escape_of(signal: str) -> str | None:
    """Return a signal in one spelling when it means a container that owns its host.

    Args:
        signal: As a sensor sends it, such as ``privileged:true`` or ``bind:/etc:/mnt:ro``.
    """
    word = signal[:_MAX_WORD].strip().lower().replace("=", ":", 1).replace(": ", ":")
    if word in _SIGNALS:
        return word
    kind, _, rest = word.partition(":")
    if kind not in {"bind", "mount", "volume"} or not rest.startswith("/"):
        return None
    # Two leading slashes are kept by POSIX and mean the same here.
    host = posixpath.normpath("/" + rest.partition(":")[0].strip().lstrip("/"))
    return f"bind:{host}" if host in _HOST_PATHS else None


def sent_class(event: event_pb2.Event) -> str:
    """Return the class that a sensor put a session in, by our name; empty when it is in none."""
    text = extra_text(event, "behavior_class", "behaviour_class")[:_MAX_WORD].strip().lower()
    found = _CLASSES.get(text.replace("-", "_").replace(" ", "_"), "")
    if not found and any(each.startswith(_PORT_SCAN) for each in event.session.signals):
        return "scanning"
    return found


def _guesses(event: event_pb2.Event) -> Iterator[str]:
    """Yield what a sensor guessed: words, or objects that name the tool."""
    yield extra_text(event, "tool_guess")
    if any(each.startswith(f"{_PORT_SCAN}nmap_") for each in event.session.signals):
        yield "nmap"
    if not event.HasField("extra") or "tool_guesses" not in event.extra.fields:
        return
    guesses = event.extra.fields["tool_guesses"]
    yield guesses.string_value
    for each in guesses.list_value.values[:_MAX_GUESSES]:
        yield each.string_value
        for name in ("tool", "name"):
            if name in each.struct_value.fields:
                yield each.struct_value.fields[name].string_value


def tools_of(event: event_pb2.Event) -> frozenset[str]:
    """Return the tools that a sensor guessed or that name themselves, in lower case."""
    if event.source_kind == SourceKind.HTTP_REQUEST:
        agent = event.http_request.user_agent
    else:
        agent = event.session.client_version
    found = {match[1] for match in _NAMED.finditer(agent[:_MAX_WORD].lower())}
    for guess in _guesses(event):
        first = _WORD.match(guess[:_MAX_WORD].strip().lower())
        if first:
            found.add(first[0])
    return frozenset(found)
