# SPDX-License-Identifier: AGPL-3.0-or-later
"""Logs: one line a record, readable by programs, whatever a record carries."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decnet_ttp.runtime.logs import JSONFormatter, TextFormatter

_ODD: list[Any] = [
    2**80,
    float("nan"),
    float("inf"),
    "lone \udcff surrogate",
    b"\xff",
    {1: "a", None: "b"},
    {("a", 1): "c"},
    {"deep": [{"x": {3}}]},
    object(),
    Path("/x"),
    datetime(2026, 1, 1, tzinfo=UTC),
    "line\nbreak \x1b[31m",
]


def _record(message: str = "handled", **extra: Any) -> logging.LogRecord:
    record = logging.makeLogRecord(
        {"name": "decnet_ttp.x", "levelno": 20, "levelname": "INFO", "msg": message, "created": 0.5}
    )
    record.__dict__.update(extra)
    return record


def _cycle() -> list[Any]:
    cycle: list[Any] = []
    cycle.append(cycle)
    return cycle


def test_json_line_has_the_record_and_its_fields() -> None:
    line = JSONFormatter().format(_record(batch=3, reason="UNAVAILABLE", empty=None))
    assert json.loads(line) == {
        "batch": 3,
        "reason": "UNAVAILABLE",
        "empty": None,
        "time": "1970-01-01T00:00:00.500000+00:00",
        "level": "info",
        "logger": "decnet_ttp.x",
        "message": "handled",
    }


def test_json_line_of_a_failure_has_its_traceback() -> None:
    try:
        int("broken")
    except ValueError:
        record = _record(exc_info=sys.exc_info())
    line = json.loads(JSONFormatter().format(record))
    assert line["traceback"].startswith("Traceback (most recent call last):")
    assert line["traceback"].endswith("'broken'")


def test_field_named_like_one_of_ours_does_not_hide_it() -> None:
    line = json.loads(JSONFormatter().format(_record(level="x", time="y", logger="z")))
    assert (line["level"], line["logger"]) == ("info", "decnet_ttp.x")
    assert line["time"].startswith("1970-01-01")


@pytest.mark.parametrize("value", [*_ODD, _cycle()], ids=lambda value: type(value).__name__)
def test_odd_values_cost_no_line(value: Any) -> None:
    """Both formats give exactly one line, free of control characters."""
    for formatter in (JSONFormatter(), TextFormatter()):
        text = formatter.format(_record(value=value, batch=3))
        assert text.isprintable()
        assert "handled" in text
    assert "batch=3" in text
    assert json.loads(JSONFormatter().format(_record(value=value)))["message"] == "handled"


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_is_one_line(message: str, value: str) -> None:
    line = JSONFormatter().format(_record(message, value=value))
    assert "\n" not in line
    assert json.loads(line).keys() >= {"message", "value"}


def test_text_line_is_for_people() -> None:
    assert TextFormatter().format(_record(batch=3)) == (
        "00:00:00.500 INFO    decnet_ttp.x: handled batch=3"
    )


_PROGRAM = """
import logging, sys
from decnet_ttp.runtime.logs import configure_logging
configure_logging(sys.argv[1], sys.argv[2])
configure_logging(sys.argv[1], sys.argv[2])
for level in ("debug", "info", "warning"):
    getattr(logging.getLogger("decnet_ttp.x"), level)("said", extra={"batch": 3})
logging.getLogger("nats.aio").info("chatter")
"""


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", ["debug", "info", "warning"]),
        ("info", ["info", "warning"]),
        ("warning", ["warning"]),
    ],
)
def test_configured_process_logs_json_to_standard_error(level: str, expected: list[str]) -> None:
    """Without a terminal `auto` is JSON; setting up twice does not log twice."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, level, "auto"], capture_output=True, check=True, text=True
    )
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.stdout == ""
    assert [line["level"] for line in lines] == expected
    assert {(line["message"], line["batch"]) for line in lines} == {("said", 3)}


def test_configured_process_logs_text_on_demand() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, "warning", "text"],
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stderr.endswith(" WARNING decnet_ttp.x: said batch=3\n")
