# SPDX-License-Identifier: AGPL-3.0-or-later
"""OpenCanary's JSON log: who tried to log in where, asked for what, and scanned."""

import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

import orjson

from decnet_ttp.sources.addresses import canonical_address
from decnet_ttp.sources.log_source import MAX_NAME
from decnet_ttp.sources.logfiles import FileNames
from decnet_ttp.sources.moments import parse_time
from decnet_ttp.sources.opencanary_types import HTTPS_PORTS, LOG_TYPES, OWN_MESSAGES, LogType
from decnet_ttp.sources.window import Window
from decnet_ttp.sources.windows import WINDOW_OPTION, WINDOW_S, WindowedLog

Fields = dict[str, Any]

MAX_PORT: Final = 65_535
_METHODS: Final = {3000: "GET", 3001: "POST", 3003: "GET"}
# OpenCanary's words for what it did not get.
_NOTHING: Final = frozenset({"", "<not supplied>", "<Password was not in the common list>"})
_TFTP: Final = {"READ": "download", "WRITE": "upload"}


class OpenCanarySource(WindowedLog):
    """One session per source address, node, service, port and window of time.

    A port scan touches many ports, so it is one session without a port of its own, with the ports
    in `dst_ports`. Redis and MongoDB commands are no shell commands; they stand in `op_text`.
    """

    summary = "Import OpenCanary's JSON logs."
    options: ClassVar = (WINDOW_OPTION,)
    names = FileNames(
        re.compile(r"\.jsonl?(?:$|[.\-_]\d)|\.log(?:$|[.\-_]\d)"),
        "OpenCanary log",
        "opencanary.log, opencanary.log.N, *.json",
    )

    def __init__(self, *, window: int = WINDOW_S, **bounds: int) -> None:
        super().__init__(window=window, **bounds)
        self._handlers: dict[str, Callable[[Window, str, int, Fields], None]] = {
            "auth": self._auth,
            "request": self._request,
            "command": self._command,
            "mongodb": self._mongodb,
            "transfer": self._transfer,
            "file": self._file_open,
            "version": self._version,
        }

    @staticmethod
    def first_time(lines: Sequence[bytes]) -> str | None:
        """See `LogSource.first_time`."""
        for line in lines:
            try:
                event = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            if isinstance(event, dict) and (time := _time(event)):
                return time
        return None

    def take(self, line: bytes, at: int, *, unended: bool = False) -> None:
        """See `LogSource.take`."""
        self.tally.lines += 1
        event = self.parse_object(line, at, unended=unended)
        if event is None:
            return
        number = event.get("logtype")
        if type(number) is not int:
            self.report("not-an-event", at, "no logtype; left out")
            return
        if number in OWN_MESSAGES:
            return
        source = event.get("src_host")
        address = canonical_address(source) if isinstance(source, str) else None
        if address is None:
            self.tally.sessions_skipped += 1
            self.report("no-attacker-address", at, "src_host is no address; left out")
            return
        ts = _time(event)
        if not ts:
            self.report("bad-timestamp", at, "missing or unreadable; taken as unknown")
        kind = LOG_TYPES.get(number)
        if kind is None:
            # A module of the user's own, or one that is newer than this table.
            kind = LogType("other", "touch", f"opencanary:{number}")
        fields = event.get("logdata")
        self._apply(
            event, kind, number, fields if isinstance(fields, dict) else {}, address, ts, at
        )

    def _apply(
        self,
        event: Fields,
        kind: LogType,
        number: int,
        fields: Fields,
        address: str,
        ts: str,
        at: int,
    ) -> None:
        node = event.get("node_id")
        sensor = node[:MAX_NAME] if isinstance(node, str) else ""
        port = _port(event.get("dst_port"))
        service = "https" if kind.service == "http" and port in HTTPS_PORTS else kind.service
        scan = kind.what == "scan"
        window = self.window(sensor, service, None if scan else port, address, ts, at)
        if kind.signal:
            self.add_value(window, "signals", kind.signal)
        if scan and port is not None:
            self.add_value(window, "dst_ports", port)
        if event.get("honeycred") is True:
            self.add_value(window, "signals", f"{service}:honey_credential")
        handler = self._handlers.get(kind.what)
        if handler is not None:
            handler(window, ts, number, fields)

    def _auth(self, window: Window, ts: str, _number: int, fields: Fields) -> None:
        username = _text(fields, "USERNAME", "UserName", "username", "USER")
        password = _text(fields, "PASSWORD", "Password", "VNC Password", "COMMUNITY_STRING")
        if fields.get("ERROR") is not None and username is None and password is None:
            return
        item = {
            "username": username,
            "password": password,
            "result": "failure",
            "service": window.key.service,
        }
        self.add(window, "auth_attempts", ts, item, f"{username}\0{password}")

    def _request(self, window: Window, ts: str, number: int, fields: Fields) -> None:
        path = _text(fields, "PATH") or ""
        agent = _text(fields, "USERAGENT") or ""
        host = _text(fields, "HOSTNAME") or ""
        method = _METHODS.get(number) or _text(fields, "REQUEST_TYPE") or ""
        headers = {"Host": host, "User-Agent": agent}
        item = {
            "method": method,
            "raw_url": path,
            "request_path": path.partition("?")[0],
            "user_agent": agent,
            "headers": {name: value for name, value in headers.items() if value},
            "host": host,
        }
        text = f"{method}\0{path}\0{host}\0{agent}"
        self.add(window, "http_requests", ts, item, text)
        if "USERNAME" in fields:
            self._auth(window, ts, number, fields)

    def _command(self, window: Window, ts: str, _number: int, fields: Fields) -> None:
        command, arguments = _text(fields, "CMD") or "", _text(fields, "ARGS") or ""
        if not command:
            return
        self.add_text(window, "op_text", f"{command} {arguments}".rstrip())
        if command.upper() == "AUTH":
            first, _, second = arguments.partition(" ")
            item = {
                "username": first if second else None,
                "password": second or first,
                "result": "failure",
                "service": window.key.service,
            }
            self.add(window, "auth_attempts", ts, item, arguments)

    def _mongodb(self, window: Window, ts: str, number: int, fields: Fields) -> None:
        if _text(fields, "username") is not None:
            self._auth(window, ts, number, fields)
        elif command := _text(fields, "command"):
            self.add_text(window, "op_text", f"{command} {_text(fields, 'query') or ''}".rstrip())

    def _transfer(self, window: Window, ts: str, _number: int, fields: Fields) -> None:
        name = _text(fields, "FILENAME") or ""
        direction = _TFTP.get(_text(fields, "OPCODE") or "", "upload")
        # Reading a file takes it from the decoy; only a write brings one in.
        if direction == "upload":
            item = {"direction": "upload", "url": None, "sha256": None, "filename": name}
            self.add(window, "payloads", ts, item, f"upload\0{name}")
        self.add_value(window, "signals", f"tftp:{'write' if direction == 'upload' else 'read'}")
        if "tftp_filename" not in window.texts:
            self.add_text(window, "tftp_filename", name[:MAX_NAME])

    def _file_open(self, window: Window, _ts: str, _number: int, fields: Fields) -> None:
        share, name = _text(fields, "SHARENAME") or "", _text(fields, "FILENAME") or ""
        self.add_text(window, "path", f"{share}/{name}")
        if action := _text(fields, "AUDITACTION"):
            self.add_value(window, "signals", f"smb:{action[:MAX_NAME]}")

    def _version(self, window: Window, _ts: str, _number: int, fields: Fields) -> None:
        version = _text(fields, "REMOTEVERSION")
        if version and window.client_version is None:
            window.client_version = version


def _time(event: Fields) -> str:
    # Older releases have local_time alone, which is UTC all the same.
    return parse_time(event.get("utc_time")) or parse_time(event.get("local_time")) or ""


def _port(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:6])  # From the kernel's log, ports are text.
    return value if type(value) is int and 0 < value <= MAX_PORT else None


def _text(fields: Fields, *names: str) -> str | None:
    for name in names:
        value = fields.get(name)
        if isinstance(value, str):
            return None if value in _NOTHING else value
    return None
