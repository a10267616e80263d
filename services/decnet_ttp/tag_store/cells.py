# SPDX-License-Identifier: AGPL-3.0-or-later
"""Numbers for the cells of the matrix, so that a roll-up's key is short."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.rollup_counts import Cell

_INSERT = """
    INSERT INTO cells (tactic, technique_id, sub_technique_id)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[])
    ON CONFLICT DO NOTHING
"""
_SELECT = """
    SELECT c.id, c.tactic, c.technique_id, c.sub_technique_id
    FROM cells c JOIN unnest($1::text[], $2::text[], $3::text[]) AS u (tactic, technique, sub)
        ON c.tactic = u.tactic AND c.technique_id = u.technique
        AND c.sub_technique_id IS NOT DISTINCT FROM u.sub
"""


class Cells:
    """Ids of cells; a cell once numbered keeps its number for ever, so they are remembered."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ids: dict[Cell, int] = {}

    async def number(self, wanted: Iterable[Cell]) -> Mapping[Cell, int]:
        """Return the ids of cells, among others, numbering those that are new.

        Runs outside of the caller's transaction: what is remembered must not be rolled back.

        Raises:
            AbortedError, ResourceExhaustedError, UnavailableError: The database said so.
        """
        missing = sorted(
            {cell for cell in wanted if cell not in self._ids},
            key=lambda cell: (cell[0], cell[1], cell[2] or ""),
        )
        if missing:
            columns = tuple(list(column) for column in zip(*missing, strict=True))
            async with self._database.connection() as connection:
                await connection.execute(_INSERT, *columns)
                for number, *cell in await connection.fetch(_SELECT, *columns):
                    self._ids[cell[0], cell[1], cell[2]] = number
        return self._ids
