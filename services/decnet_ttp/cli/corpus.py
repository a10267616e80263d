# SPDX-License-Identifier: AGPL-3.0-or-later
"""Corpora: rows of JSON lines, plain or gzipped, and the events they become."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, cast

import orjson

from decnet_ttp.core.addresses import attacker_uuid
from decnet_ttp.core.errors import InvalidArgumentError
from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.ingest.batch import Upstream
from decnet_ttp.ingest.fan_out import write_session
from decnet_ttp.ingest.inputs.catalogue import input_for
from decnet_ttp.ingest.payloads import fill
from decnet_ttp.v1 import event_pb2

_GZIP_MAGIC: Final = b"\x1f\x8b"

_SESSIONS: Final = "attacker.session.ended"

#: Kinds that come as a message of their own: its subject and the type of its envelope.
_MESSAGES: Final[Mapping[str, tuple[str, str]]] = {
    SourceKind.EMAIL: ("email.received", "received"),
    SourceKind.INTEL: ("attacker.intel.enriched", "intel.enriched"),
    SourceKind.IDENTITY: ("identity.formed", "formed"),
    SourceKind.CREDENTIAL: ("credential.reuse.detected", "reuse.detected"),
    # The payload names its probe.
    SourceKind.HTTP_FINGERPRINT: ("attacker.fingerprinted", ""),
    SourceKind.IPV6_LEAK: ("attacker.fingerprinted", "ipv6_leak"),
    SourceKind.CANARY_FINGERPRINT: ("canary.token.triggered", "triggered"),
}

#: Kinds that travel within a session, and the list of the session that holds them.
_LISTS: Final[Mapping[str, str]] = {
    SourceKind.COMMAND: "commands",
    SourceKind.HTTP_REQUEST: "http_requests",
    SourceKind.AUTH_ATTEMPT: "auth_attempts",
    SourceKind.PAYLOAD: "payloads",
}


class CorpusError(InvalidArgumentError):
    """A row that is none; the text says where and what is missing."""

    reason = "CORPUS_INVALID"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a corpus.

    Attributes:
        id: Its id, as it stands there.
        kind: Source kind; of a message of the bus the type of its envelope.
        payload: What a producer would send.
        techniques: Techniques it shows; None when nobody said.
        benign: Whether it is innocent; None when nobody said.
        topic: Subject, of a message of the bus; empty for a row of a corpus.
    """

    id: str | int
    kind: str
    payload: dict[str, Any]
    techniques: tuple[str, ...] | None = None
    benign: bool | None = None
    topic: str = ""


def read_rows(paths: Iterable[Path]) -> Iterator[Row]:
    """Yield the rows of files in order; `-` is standard input.

    Raises:
        CorpusError: A line is no row, or a file cannot be read to its end.
    """
    for path in paths:
        number = 0
        try:
            with _open(path) as lines:
                for number, line in enumerate(lines, start=1):
                    if not line.isspace():
                        yield _row(line, f"{path}:{number}")
        except (OSError, EOFError, zlib.error) as error:
            text = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise CorpusError(
                f"{path}: cannot be read after line {number} ({text}); name a readable file of "
                "JSON lines, gzipped or not"
            ) from error


@contextmanager
def _open(path: Path) -> Iterator[IO[bytes]]:
    with ExitStack() as stack:
        raw = sys.stdin.buffer if str(path) == "-" else stack.enter_context(path.open("rb"))
        buffered = cast("io.BufferedReader", raw)
        if buffered.peek(2)[:2] == _GZIP_MAGIC:
            yield cast("IO[bytes]", stack.enter_context(gzip.open(buffered)))
        else:
            yield buffered


def _row(line: bytes, place: str) -> Row:
    try:
        data = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise CorpusError(f"{place}: not JSON ({error.msg}); one object a line") from error
    return row_of(data, place)


def row_of(data: Any, place: str) -> Row:
    """Make a row of a JSON value.

    Raises:
        CorpusError: It is none.
    """
    if not isinstance(data, dict):
        raise CorpusError(f"{place}: no JSON object; one object a line")
    ident, kind, payload = data.get("id", ""), data.get("source_kind"), data.get("payload")
    techniques, benign = data.get("techniques"), data.get("benign")
    if not isinstance(ident, str | int):
        raise CorpusError(f"{place}: id is no text; give the row one")
    if not isinstance(kind, str) or not kind:
        raise CorpusError(f"{place}: no source_kind; name one, for example command or session")
    if not isinstance(payload, dict):
        raise CorpusError(f"{place}: payload is no object; give the fields of the {kind}")
    if techniques is not None and not (
        isinstance(techniques, list) and all(isinstance(each, str) for each in techniques)
    ):
        raise CorpusError(f'{place}: techniques is no list of ids; write for example ["T1105"]')
    if benign is not None and not isinstance(benign, bool):
        raise CorpusError(f"{place}: benign is neither true nor false")
    return Row(ident, kind, payload, None if techniques is None else tuple(techniques), benign)


def write_events(
    row: Row, origin_id: str, sink: Callable[[str], Sequence[event_pb2.Event]]
) -> None:
    """Write the events of a row into a sink, as ingest does with what producers send.

    Args:
        row: A session becomes one event for itself and one for each of its parts, a message of
            the bus what ingest makes of it, everything else one event.
        origin_id: Identifier of the row; that of its events where these have none.
        sink: Gives the events to fill in, by kind.
    """

    def own(kind: str) -> Sequence[event_pb2.Event]:
        return sink(kind) if kind == row.kind else ()

    if row.topic:
        _write_message(Upstream(origin_id, row.topic, row.payload, 0, kind=row.kind), sink)
    elif row.kind == SourceKind.SESSION:
        _write_message(Upstream(origin_id, _SESSIONS, row.payload, 0), sink)
    elif (name := _LISTS.get(row.kind)) is not None:
        write_session({name: [row.payload]}, origin_id, own)
    elif (message := _MESSAGES.get(row.kind)) is not None:
        topic, envelope = message
        _write_message(Upstream(origin_id, topic, row.payload, 0, kind=envelope), own)
    else:
        for event in sink(row.kind):
            fill(event, row.kind, row.payload, frozenset())
            event.source_id = origin_id


def _write_message(upstream: Upstream, sink: Callable[[str], Sequence[event_pb2.Event]]) -> None:
    source = input_for(upstream.topic)
    if source is None:
        return
    source.read_anchor(upstream)
    if upstream.ip and not upstream.attacker_uuid:
        # What the directory would answer: ids of events are made of it.
        upstream.attacker_uuid = str(attacker_uuid(upstream.ip))
    source.write(upstream, sink)


def events_of(row: Row, kinds: Container[str]) -> list[event_pb2.Event]:
    """Return the events of a row, of some kinds only."""
    events: list[event_pb2.Event] = []

    def sink(kind: str) -> list[event_pb2.Event]:
        if kind not in kinds:
            return []
        events.append(event_pb2.Event())
        return events[-1:]

    write_events(row, str(row.id) or "row", sink)
    return events
