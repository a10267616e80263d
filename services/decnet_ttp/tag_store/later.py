# SPDX-License-Identifier: AGPL-3.0-or-later
"""Calls that the protos promise and this release does not offer."""

from __future__ import annotations

from typing import NoReturn

from decnet_ttp.core.errors import UnimplementedError


def not_offered(call: str, instead: str) -> NoReturn:
    """Refuse a call.

    Args:
        call: Its name.
        instead: What serves meanwhile, as an imperative sentence without its full stop.

    Raises:
        UnimplementedError: Always.
    """
    raise UnimplementedError(f"{call} is not offered by this release; {instead}", call=call)
