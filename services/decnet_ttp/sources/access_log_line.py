# SPDX-License-Identifier: AGPL-3.0-or-later
"""One line of a web server's access log, whichever server wrote it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from decnet_ttp.sources.moments import parse_time, time_text

_QUOTED: Final = r'"((?:[^"\\]|\\.)*)"'
# A quote inside a field is escaped by every server, so `] "` ends the time for certain.
_COMBINED: Final = re.compile(
    r"(?:(?P<host>[^\s:]+):(?P<port>\d{1,5}) )?(?P<address>\S+) \S+ [^\"]*?"
    r"\[(?P<time>[^\[\]\s]{20} [+-]\d{4})\] "
    + _QUOTED.replace("(", "(?P<request>", 1)
    + r" (?P<status>\d{3}|-) (?P<size>\d{1,18}|-)"
    + rf"(?: {_QUOTED.replace('(', '(?P<referer>', 1)} {_QUOTED.replace('(', '(?P<agent>', 1)})?",
)
_ESCAPE: Final = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_CONTROL: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "v": "\v", "f": "\f"}
_METHOD: Final = re.compile(r"[A-Za-z][A-Za-z_-]{0,31}")
_MONTHS: Final = dict(
    zip(
        "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(),  # noqa: SIM905 - reads as a row
        range(1, 13),
        strict=True,
    )
)
MAX_HEADERS: Final = 100
_MAX_SIZE: Final = 2**53


@dataclass(slots=True)
class Request:
    """A request as the log tells it; "" or None where it does not.

    Attributes:
        address: as written, perhaps none.
        ts: `YYYY-MM-DDTHH:MM:SS.ffffffZ`.
        target: as sent, not decoded.
        port: of the server.
        size_bytes: of the answer.
    """

    address: str = ""
    ts: str = ""
    method: str = ""
    target: str = ""
    status: int | None = None
    host: str = ""
    port: int | None = None
    user_agent: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    tls: bool = False
    size_bytes: int | None = None


def parse_combined(line: str) -> Request | None:
    """Reads the common and combined formats of Apache and nginx, with a virtual host in front too.

    None when the line has another form.
    """
    match = _COMBINED.match(line)
    if match is None:
        return None
    request = Request(address=match["address"], ts=clf_time(match["time"]))
    request.method, request.target = split_request(unescape(match["request"]))
    request.status = int(match["status"]) if match["status"] != "-" else None
    request.size_bytes = _size({"size": match["size"]})
    if match["host"]:
        request.host = match["host"]
        request.port = _port(match["port"])
    for name, value in (("Referer", match["referer"]), ("User-Agent", match["agent"])):
        if value and value != "-":
            request.headers[name] = unescape(value)
    request.user_agent = request.headers.get("User-Agent", "")
    return request


def parse_json(event: Mapping[str, Any]) -> Request | None:
    """Reads Caddy's form, and the names that nginx and Apache are commonly told to write.

    None when the event is no request.
    """
    inner = event.get("request")
    if isinstance(inner, dict):
        return _caddy(event, inner)
    request = Request(
        address=_text(event, "remote_addr", "client_ip", "clientip", "remote_ip", "client", "ip"),
        ts=_time(event),
        host=_text(event, "http_host", "host", "server_name", "vhost"),
        user_agent=_text(event, "http_user_agent", "user_agent", "agent", "userAgent"),
        status=_status(event),
        port=_port(event.get("server_port")),
        tls=_text(event, "scheme") == "https",
        size_bytes=_size(event),
    )
    line = _text(event, "request", "request_line")
    if line:
        request.method, request.target = split_request(line)
    request.method = _text(event, "request_method", "method", "verb") or request.method
    request.target = _text(event, "request_uri", "uri", "url", "path") or request.target
    if not request.target and not request.method:
        return None
    query = _text(event, "args", "query_string", "query")
    if query and "?" not in request.target:
        request.target += "?" + query.removeprefix("?")
    referer = _text(event, "http_referer", "http_referrer", "referer", "referrer")
    for name, value in (
        ("Host", request.host),
        ("User-Agent", request.user_agent),
        ("Referer", referer),
        ("X-Forwarded-For", _text(event, "http_x_forwarded_for", "x_forwarded_for")),
    ):
        if value:
            request.headers[name] = value
    return request


def _caddy(event: Mapping[str, Any], inner: Mapping[str, Any]) -> Request:
    request = Request(
        address=_text(inner, "client_ip", "remote_ip"),
        ts=parse_time(event.get("ts")) or "",
        method=_text(inner, "method"),
        target=_text(inner, "uri"),
        status=_status(event),
        host=_text(inner, "host"),
        tls=isinstance(inner.get("tls"), dict),
        size_bytes=_size(event),
    )
    if not request.address:
        # Before 2.5 the address stood with its port in one field.
        request.address = _text(inner, "remote_addr").rpartition(":")[0].strip("[]")
    headers = inner.get("headers")
    if isinstance(headers, dict):
        for name in list(headers)[:MAX_HEADERS]:
            values = headers[name]
            if isinstance(values, list):
                request.headers[name] = ", ".join(v for v in values if isinstance(v, str))
    if request.host:
        request.headers.setdefault("Host", request.host)
    request.user_agent = request.headers.get("User-Agent", "")
    return request


def split_request(line: str) -> tuple[str, str]:
    """Method and target of a request line; what is no request line is all target."""
    if line == "-":
        return "", ""
    method, space, rest = line.partition(" ")
    if not space or not _METHOD.fullmatch(method):
        return "", line
    target, space, version = rest.rpartition(" ")
    return (method, target) if space and version.startswith("HTTP/") else (method, rest)


def unescape(text: str) -> str:
    r"""Takes off what servers add to quoted fields: \\, \", \n and the like, \xHH for a byte."""
    if "\\" not in text:
        return text

    def byte(match: re.Match[str]) -> str:
        if match[1]:
            # A byte that is no UTF-8 by itself waits as a surrogate for those beside it.
            return bytes([int(match[1], 16)]).decode("utf-8", "surrogateescape")
        return _CONTROL.get(match[2], match[2])

    plain = _ESCAPE.sub(byte, text)
    return plain.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def clf_time(text: str) -> str:
    """`10/Oct/2000:13:55:36 -0700` in the form of `moments`, "" when it is no time."""
    try:
        day, month, year = int(text[:2]), _MONTHS[text[3:6]], int(text[7:11])
        moment = datetime.fromisoformat(
            f"{year:04}-{month:02}-{day:02}T{text[12:20]}{text[21:24]}:{text[24:26]}"
        )
    except (ValueError, KeyError):
        return ""
    return time_text(moment) or ""


def _time(event: Mapping[str, Any]) -> str:
    for name in ("time_iso8601", "timestamp", "@timestamp", "time", "ts", "date", "msec"):
        value = event.get(name)
        if name == "msec" and isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                continue
        if isinstance(value, str) and (text := clf_time(value.strip("[]"))):
            return text
        if parsed := parse_time(value):
            return parsed
    local = event.get("time_local")
    return clf_time(local) if isinstance(local, str) else ""


def _status(event: Mapping[str, Any]) -> int | None:
    for name in ("status", "response", "status_code"):
        value = event.get(name)
        if isinstance(value, str) and value.isascii() and value.isdigit():
            value = int(value[:4])
        if type(value) is int and 0 < value < 1000:  # noqa: PLR2004 - three digits by definition
            return value
    return None


def _size(event: Mapping[str, Any]) -> int | None:
    for name in ("body_bytes_sent", "bytes_sent", "size", "bytes", "response_size"):
        value = event.get(name)
        if isinstance(value, str) and value.isascii() and value.isdigit():
            value = int(value[:18])
        if type(value) is int and 0 <= value < _MAX_SIZE:
            return value
    return None


def _port(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:6])
    return value if type(value) is int and 0 < value < 2**16 else None


def _text(event: Mapping[str, Any], *names: str) -> str:
    for name in names:
        value = event.get(name)
        if isinstance(value, str) and value not in {"", "-"}:
            return value
    return ""
