# SPDX-License-Identifier: AGPL-3.0-or-later
"""Names, links and matrix order, as the loaded ATT&CK release has them."""

from __future__ import annotations

from decnet_ttp.attack.catalogue import Catalogue

_AFTER_ALL_TACTICS = 1_000


class Names:
    """What the questions need of the catalogue. Ids of other releases have no names."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._order = {tactic: index for index, tactic in enumerate(catalogue.tactics)}

    def tactic(self, tactic: str) -> str:
        """Return the name of a tactic, empty when the release has none."""
        return self._catalogue.tactic_name(tactic) or ""

    def technique(self, technique_id: str) -> str:
        """Return the name of a technique, empty when the release has none."""
        return self._catalogue.technique_name(technique_id) or ""

    def sub_technique(self, sub_technique_id: str) -> str:
        """Return "Parent: Child", empty when the release has no such sub-technique."""
        return self._catalogue.full_name(sub_technique_id) or ""

    def link(self, technique_id: str, sub_technique_id: str) -> str:
        """Return the page of the sub-technique, or of the technique where there is none."""
        return self._catalogue.link(sub_technique_id or technique_id) or ""

    def tactic_order(self, tactic: str) -> int:
        """Return a tactic's place in the matrix; unknown ones come last."""
        return self._order.get(tactic, _AFTER_ALL_TACTICS)
