# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the rule-store counts, for its heart-beats and its metrics page."""

from __future__ import annotations

from collections.abc import Mapping

from decnet_ttp.rule_store.revisions import RevisionLog
from decnet_ttp.rule_store.rule_book import RuleBook
from decnet_ttp.runtime.figures import Family, Figure, gauge


class Figures:
    """Tells them.

    Args:
        book: The rules.
        revisions: Their history.
        backend: Where definitions come from.
    """

    def __init__(self, book: RuleBook, revisions: RevisionLog, *, backend: str) -> None:
        self._book = book
        self._revisions = revisions
        self._backend = backend

    async def progress(self) -> Mapping[str, Figure]:
        """Return what a heart-beat carries."""
        return {
            "rules": len(self._book.rule_ids),
            "problems": len(self._book.problems),
            "revision": self._revisions.revision,
            "rules_compiled": self._book.compiled.total(),
            "state_changes": self._book.state_changes.total(),
        }

    async def counted(self) -> list[Family]:
        """Return the rules, and what changed of them."""
        book = self._book
        return [
            Family(
                "rules_compiled",
                "counter",
                "Definitions put in force.",
                {(rule_id, self._backend): n for rule_id, n in book.compiled.items()},
                ("rule_id", "backend"),
            ),
            Family(
                "rule_state_changes",
                "counter",
                "States put in force; default is the end of one.",
                dict(book.state_changes),
                ("rule_id", "new_state"),
            ),
            gauge("rules", "Rules in force.", len(book.rule_ids)),
            gauge("rule_problems", "Problems of files no rule comes from.", len(book.problems)),
            gauge("rules_revision", "Revision of the rules.", self._revisions.revision),
        ]
