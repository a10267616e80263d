# SPDX-License-Identifier: AGPL-3.0-or-later
"""A peer that is away, told once and not with every try."""

from __future__ import annotations

import logging

from decnet_ttp.core.errors import DecnetError, PermissionDeniedError, UnauthenticatedError
from decnet_ttp.runtime.unreached import needs_operator


class Outage:
    """Logs why a peer cannot be used: once for each reason, until it could be.

    What ends by itself is information; what waits for an operator, such as a token that is not
    known, is a warning.

    Args:
        log: Where to.
        peer: Name of the peer.
    """

    def __init__(self, log: logging.Logger, peer: str) -> None:
        self._log = log
        self._peer = peer
        self._told: set[str] = set()

    def failed(self, error: DecnetError) -> None:
        """Tell of a failed try."""
        denied = isinstance(error, UnauthenticatedError | PermissionDeniedError)
        level = logging.WARNING if denied or needs_operator(error.reason) else logging.INFO
        if error.reason in self._told:
            level = logging.DEBUG
        self._told.add(error.reason)
        self._log.log(level, "%s away", self._peer, extra={"reason": error.reason})

    def over(self) -> None:
        """Note that the peer answered."""
        self._told.clear()
