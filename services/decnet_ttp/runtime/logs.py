# SPDX-License-Identifier: AGPL-3.0-or-later
"""Structured logs: identifiers and counts, never contents."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

import orjson

_PLAIN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in record.__dict__.items() if key not in _PLAIN}


def _printable(value: object) -> str:
    """Keep a value on its line, and control characters off the terminal."""
    text = str(value)
    return text if text.isprintable() else ascii(text)


class JSONFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Render time, level, logger, message, the extra fields and a traceback."""
        # Our own keys come last: a field that happens to bear such a name does not hide them.
        line: dict[str, object] = {
            **_fields(record),
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        except orjson.JSONEncodeError:
            # Huge numbers, lone surrogates and cycles are no reason to lose a line.
            plain = {key: ascii(value) for key, value in _fields(record).items()}
            return json.dumps(line | plain)


class TextFormatter(logging.Formatter):
    """A line for people: time, level, message, then key=value."""

    def format(self, record: logging.LogRecord) -> str:
        """Render the record."""
        stamp = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S.%f")[:-3]
        extra = "".join(f" {key}={_printable(value)}" for key, value in _fields(record).items())
        text = f"{stamp} {record.levelname:<7} {record.name}: {record.getMessage()}{extra}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


def configure_logging(level: str = "info", style: str = "auto") -> None:
    """Send the log of the whole process to standard error.

    Args:
        level: Lowest level that is logged.
        style: "text", "json", or "auto" (text on a terminal, else JSON).
    """
    handler = logging.StreamHandler(sys.stderr)
    text = style == "text" or (style == "auto" and sys.stderr.isatty())
    handler.setFormatter(TextFormatter() if text else JSONFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("alembic", "nats", "watchfiles"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
