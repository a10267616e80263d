# SPDX-License-Identifier: AGPL-3.0-or-later
"""An outage is one line, at the level of who has to act."""

from __future__ import annotations

import logging

import pytest

from decnet_ttp.core.errors import DecnetError, UnauthenticatedError, UnavailableError
from decnet_ttp.runtime.outage import Outage

_log = logging.getLogger("decnet_ttp.test")


def expired() -> DecnetError:
    """As the boundary makes it out of a failed handshake."""
    error = UnavailableError("away")
    error.reason = "CERTIFICATE_EXPIRED"  # type: ignore[misc] # as the boundary does
    return error


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (UnavailableError("away"), "INFO"),
        (UnauthenticatedError("who?"), "WARNING"),
        (expired(), "WARNING"),
    ],
)
def test_each_reason_is_told_once_until_the_peer_answers(
    caplog: pytest.LogCaptureFixture, error: DecnetError, level: str
) -> None:
    caplog.set_level("INFO")
    outage = Outage(_log, "rule-store")
    for _ in range(3):
        outage.failed(error)
    outage.over()
    outage.failed(error)
    told = [(r.levelname, r.message, r.__dict__["reason"]) for r in caplog.records]
    assert told == [(level, "rule-store away", error.reason)] * 2
