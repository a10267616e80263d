# SPDX-License-Identifier: AGPL-3.0-or-later
"""Finding tags that the rules of today no longer make.

The version of a rule is part of a tag's identity, so tags of an older version are never made
again. Whether a newer version says the same of an event only its new evaluation tells. A run
therefore notes all tags of other versions once, by their events, and judges those of each batch
of history by what the rules made of it; no index on events is needed that every writer would pay.
Tags whose events are no longer kept are never judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from decnet_ttp.tag_store.database import Database

# S608: the statements are put together from constants of ours; every value is bound.
_FORGET_OLD = "DELETE FROM superseded_candidates WHERE noted_at < now() - interval '7 days'"
_FORGET = "DELETE FROM superseded_candidates WHERE run_uuid = $1"
_NOTE = """
    INSERT INTO superseded_candidates (run_uuid, source_kind, source_id, tag_uuid, rule_gone)
    SELECT $1, t.source_kind, t.source_id, t.uuid, r.rule_id IS NULL
    FROM tags t
    LEFT JOIN unnest($2::text[], $3::integer[], $4::boolean[])
        AS r (rule_id, rule_version, passed_over) ON r.rule_id = t.rule_id
    WHERE t.retirement_uuid IS NULL
        AND (r.rule_id IS NULL OR (t.rule_version < r.rule_version AND NOT r.passed_over))
    ON CONFLICT DO NOTHING
"""
_COUNT = "SELECT count(*) FROM superseded_candidates WHERE run_uuid = $1"
_OF_EVENTS = """
    SELECT t.uuid, t.source_kind, t.source_id, t.rule_id, t.rule_version, t.technique_id,
        coalesce(t.sub_technique_id, ''), k.rule_gone
    FROM (SELECT DISTINCT * FROM unnest($2::text[], $3::text[])) AS u (source_kind, source_id)
    JOIN superseded_candidates k ON k.run_uuid = $1
        AND k.source_kind = u.source_kind AND k.source_id = u.source_id
    JOIN tags t ON t.uuid = k.tag_uuid
    WHERE t.retirement_uuid IS NULL
    ORDER BY t.uuid
"""


class RuleOfToday(NamedTuple):
    """Version of a rule, and whether what it does not make now is no reason to judge by."""

    rule_version: int
    passed_over: bool


class Candidate(NamedTuple):
    """A tag of another version than its rule has, or of a rule that is gone."""

    uuid: UUID
    source_kind: str
    source_id: str
    rule_id: str
    rule_version: int
    technique_id: str
    sub_technique_id: str
    rule_gone: bool

    @property
    def said(self) -> tuple[str, str, str, str, str]:
        """What it says, whatever the version: event, rule, technique."""
        return (
            self.source_kind,
            self.source_id,
            self.rule_id,
            self.technique_id,
            self.sub_technique_id,
        )


class Superseded:
    """Notes and gives out candidates.

    Every call raises AbortedError, ResourceExhaustedError or UnavailableError when the database
    says so, and may be sent again.

    Args:
        database: Where.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, run: UUID, rules: Mapping[str, RuleOfToday]) -> int:
        """Note the tags a run has to judge; returns how many.

        Args:
            run: The run.
            rules: Every rule there is.
        """
        await self._database.fetch(_FORGET_OLD)
        await self._database.fetch(
            _NOTE,
            run,
            list(rules),
            [rule.rule_version for rule in rules.values()],
            [rule.passed_over for rule in rules.values()],
        )
        return int((await self._database.fetch(_COUNT, run))[0][0])

    async def of_events(self, run: UUID, events: Sequence[tuple[str, str]]) -> list[Candidate]:
        """Return the candidates of some events, by kind and id, that are not retired."""
        rows = await self._database.fetch(
            _OF_EVENTS, run, [kind for kind, _ in events], [ident for _, ident in events]
        )
        return [Candidate(*row) for row in rows]

    async def forget(self, run: UUID) -> None:
        """Let the notes of a run go."""
        await self._database.fetch(_FORGET, run)
