# SPDX-License-Identifier: AGPL-3.0-or-later
"""Who may write tags of an attacker while what its tags count for is being changed.

Writers of new tags only add to what others wrote, so any number of them share an attacker. Who
changes an effect, deletes or retires holds it alone. These are advisory locks, since a shared lock
on a row lets newcomers past whoever waits to be alone; here newcomers queue behind it. They are
taken before anything else in a transaction, all at once and in order, so nobody who waits for one
has written what another one waits for.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from decnet_ttp.tag_store.effects import Effect

#: Attackers that fall on one lock share it; so a batch of very many attackers takes this many locks
#: of the server's table, and no more.
STRIPES = 256
#: First half of the keys ("ttpA" in ASCII); the second is the stripe.
_CLASS = 0x74747041

#: Tries to be alone before one that waits for as long as it takes.
_TRIES = 30
#: By how much each try waits longer than the one before, and how long at most, in milliseconds.
_STEP_MS = 15
_MAX_WAIT_MS = 200
#: Longest pause between tries, in seconds.
_PAUSE_S = 0.05

_SHARE = "SELECT pg_advisory_xact_lock_shared($1, u.key) FROM unnest($2::integer[]) AS u (key)"
_HOLD = "SELECT pg_advisory_xact_lock($1, u.key) FROM unnest($2::integer[]) AS u (key)"
# The release before holds these rows in place of the locks; so its writers are kept off, too.
_HOLD_ROWS = """
    SELECT a.uuid, a.effect_amount, a.effect_ceiling FROM attackers a
    WHERE a.uuid = ANY($1::uuid[]) ORDER BY a.uuid FOR NO KEY UPDATE
"""

_HOLD_IDENTITY_ROWS = """
    SELECT FROM rollup_identity r WHERE r.identity_uuid = ANY($1::uuid[])
    ORDER BY r.identity_uuid, r.day, r.cell_id, r.band FOR UPDATE
"""
_UNMARK = """
    WITH gone AS (
        DELETE FROM running_counts WHERE attacker_uuid = ANY($1::uuid[]) RETURNING run_uuid
    )
    DELETE FROM running_count_additions d USING gone g WHERE d.run_uuid = g.run_uuid
"""


def _keys(attackers: Iterable[UUID]) -> list[int]:
    return sorted({attacker.int % STRIPES for attacker in attackers})


async def share_attackers(connection: Any, attackers: Iterable[UUID]) -> None:
    """Let what tags of some attackers count for stay as it is until the transaction ends.

    To be called before the transaction writes anything.
    """
    keys = _keys(attackers)
    if keys:
        await connection.execute(_SHARE, _CLASS, keys)


async def hold_attackers(connection: Any, attackers: Sequence[UUID]) -> dict[UUID, Effect]:
    """Let nobody else write tags of some attackers until the transaction ends.

    To be called before the transaction writes anything.

    Returns:
        The effect on each that is known.
    """
    if not attackers:
        return {}
    await connection.execute(_HOLD, _CLASS, _keys(attackers))
    held = await connection.fetch(_HOLD_ROWS, attackers)
    return {uuid: Effect(amount, ceiling) for uuid, amount, ceiling in held}


async def hold_to_change(
    connection: Any, attackers: Sequence[UUID], identities: Sequence[UUID] = ()
) -> None:
    """Let the roll-ups of some anchors stay as they are until the transaction changes their tags.

    Counts under way of the attackers begin anew; see the module `live_counts`.
    """
    if attackers:
        await hold_attackers(connection, attackers)
        await connection.execute(_UNMARK, attackers)
    if identities:
        await connection.execute(_HOLD_IDENTITY_ROWS, identities)


async def hold_attacker_patiently(connection: Any, attacker: UUID) -> Effect | None:
    """Do as hold_attackers, without making writers wait for long.

    Whoever waits to be alone makes those wait that come after, so this gives up after a moment and
    comes again. After some 6 s it waits for its turn.

    Returns:
        The effect in force; None for an attacker that is not known.
    """
    for attempt in range(1, _TRIES + 1):
        try:
            async with connection.transaction():
                wait_ms = min(attempt * _STEP_MS, _MAX_WAIT_MS)
                await connection.execute(f"SET LOCAL lock_timeout = {wait_ms}")
                held = await hold_attackers(connection, [attacker])
                await connection.execute("SET LOCAL lock_timeout = 0")
                return held.get(attacker)
        except asyncpg.LockNotAvailableError:
            await asyncio.sleep(random.random() * _PAUSE_S)  # noqa: S311 - nothing secret
    return (await hold_attackers(connection, [attacker])).get(attacker)
