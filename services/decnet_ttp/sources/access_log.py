# SPDX-License-Identifier: AGPL-3.0-or-later
"""Access logs of web servers: combined and JSON, of nginx, Apache and Caddy."""

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import orjson

from decnet_ttp.sources.access_log_line import Request, parse_combined, parse_json
from decnet_ttp.sources.addresses import canonical_address
from decnet_ttp.sources.json_text import repair
from decnet_ttp.sources.log_source import MAX_NAME
from decnet_ttp.sources.logfiles import FileNames
from decnet_ttp.sources.protocol import SourceOption
from decnet_ttp.sources.windows import WINDOW_OPTION, WINDOW_S, WindowedLog


def sensor_name(text: str) -> str:
    """A decoy's name given by the user.

    Raises:
        ValueError: it is too long.
    """
    if len(text) > MAX_NAME:
        raise ValueError(f"use at most {MAX_NAME} characters")
    return text


SENSOR_OPTION: Final = SourceOption(
    name="sensor",
    metavar="NAME",
    doc="Name of the decoy, which the log does not tell; keeps several servers apart.",
    parse=sensor_name,
)


class AccessLogSource(WindowedLog):
    """One session per client address and window of time, with its requests.

    The client is whom the server itself names; a forwarded-for header is the client's own claim.
    """

    summary = "Import access logs of nginx, Apache and Caddy."
    options: ClassVar = (SENSOR_OPTION, WINDOW_OPTION)
    names = FileNames(
        re.compile(r"access.*\.(?:log|json)|\.access|access_log|\.log(?:$|[.\-_]\d)"),
        "access log",
        "access.log, access.log.N, access_log, *.log",
    )

    def __init__(self, *, sensor: str = "", window: int = WINDOW_S, **bounds: int) -> None:
        super().__init__(window=window, **bounds)
        self._sensor = sensor

    @staticmethod
    def first_time(lines: Sequence[bytes]) -> str | None:
        """See `LogSource.first_time`."""
        return next((r.ts for r in map(_parse, lines) if r is not None and r.ts), None)

    def take(self, line: bytes, at: int, *, unended: bool = False) -> None:
        """See `LogSource.take`."""
        self.tally.lines += 1
        request = _parse(line)
        if request is None:
            if unended:
                self.report("truncated-line", at, "the file ends inside it; left out")
            else:
                self.report("not-a-request", at, "neither combined nor JSON; left out")
            return
        address = canonical_address(request.address)
        if address is None:
            self.tally.sessions_skipped += 1
            self.report("no-attacker-address", at, "no client address in the line; left out")
            return
        if not request.ts:
            self.report("bad-timestamp", at, "missing or unreadable; taken as unknown")
        service = "https" if request.tls else "http"
        window = self.window(self._sensor, service, request.port, address, request.ts, at)
        text = line.decode("utf-8", "replace").strip()
        self.add(window, "http_requests", request.ts, _item(request), text)


#: Calls that give what a store holds: Elasticsearch, OpenSearch and CouchDB.
_READS_A_STORE: Final = re.compile(
    r"/_(?:search|msearch|async_search|mget|sql|source|all_docs|find|bulk_get|changes)(?:/|$)"
)
_FOUND: Final = frozenset({200, 206})


def _parse(line: bytes) -> Request | None:
    if line.lstrip()[:1] == b"{":
        try:
            event = orjson.loads(line)
        except orjson.JSONDecodeError:
            try:
                event = repair(line)
            except ValueError:
                return None
        return parse_json(event) if isinstance(event, dict) else None
    return parse_combined(line.decode("utf-8", "replace").strip())


def _item(request: Request) -> dict[str, Any]:
    path = request.target.partition("?")[0]
    item = {
        "method": request.method,
        "raw_url": request.target,
        "request_path": path,
        "user_agent": request.user_agent,
        "headers": request.headers,
        "status": request.status,
        "host": request.host,
    }
    # Only of a data store does the size of an answer say that something was read: pages are large.
    if request.size_bytes and request.status in _FOUND and _READS_A_STORE.search(path):
        item["bytes_read"] = request.size_bytes
    return item
