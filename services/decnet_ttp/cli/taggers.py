# SPDX-License-Identifier: AGPL-3.0-or-later
"""The taggers of an installation, of which there may be several."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from decnet_ttp.cli.connection import Connection, with_target

T = TypeVar("T")


def tagger_targets(connection: Connection) -> tuple[str, ...]:
    """Return the gRPC targets of the taggers.

    Raises:
        SettingsError: Neither a setting nor a running embedded installation names one.
    """
    return connection.targets("taggers")


async def with_taggers(connection: Connection, work: Callable[[Any], Awaitable[T]]) -> list[T]:
    """Do some work with the channel of each tagger in turn; gives what each gave.

    Raises:
        DecnetError: What a call answered; a tagger that is away is named with the cure.
    """
    return [
        await with_target(connection, "taggers", target, work)
        for target in tagger_targets(connection)
    ]
