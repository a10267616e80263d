# SPDX-License-Identifier: AGPL-3.0-or-later
"""A request's adjustments, checked before anything is written."""

from __future__ import annotations

from collections.abc import Iterable

from decnet_ttp.core.errors import InvalidArgumentError
from decnet_ttp.tag_store.adjustments import AdjustmentRow
from decnet_ttp.tag_store.convert import read_time
from decnet_ttp.tag_store.fields import check_text, parse_uuid
from decnet_ttp.v1 import tag_pb2

#: Adjustments one request may carry.
MAX_ADJUSTMENTS = 10_000

_MAX_RULE_VERSION = 2**31 - 1


def read_adjustments(groups: Iterable[tag_pb2.TagGroup]) -> list[AdjustmentRow]:
    """Return the adjustments of a request.

    Raises:
        InvalidArgumentError: There are too many, or a field cannot be; names it and the cure.
    """
    rows: list[AdjustmentRow] = []
    for index, group in enumerate(groups):
        if not group.adjustments:
            continue
        path = f"groups[{index}]"
        attacker = parse_uuid(group.anchor.attacker_uuid, f"{path}.anchor.attacker_uuid")
        if len(rows) + len(group.adjustments) > MAX_ADJUSTMENTS:
            raise InvalidArgumentError(
                f"groups hold more than {MAX_ADJUSTMENTS} adjustments; send fewer at once",
                field="groups",
            )
        for number, draft in enumerate(group.adjustments):
            at = f"{path}.adjustments[{number}]"
            # False for NaN too, which compares with nothing.
            if not -1.0 <= draft.amount <= 1.0:
                raise InvalidArgumentError(
                    f"{at}.amount is {draft.amount}; use -1 to 1", field=f"{at}.amount"
                )
            if not 1 <= draft.rule_version <= _MAX_RULE_VERSION:
                raise InvalidArgumentError(
                    f"{at}.rule_version is {draft.rule_version}; versions begin at 1",
                    field=f"{at}.rule_version",
                )
            rows.append(
                AdjustmentRow(
                    attacker,
                    check_text(draft.rule_id, f"{at}.rule_id", required=True),
                    draft.rule_version,
                    draft.amount,
                    check_text(draft.reason, f"{at}.reason"),
                    check_text(draft.source_kind, f"{at}.source_kind", required=True),
                    check_text(draft.source_id, f"{at}.source_id", required=True),
                    read_time(draft.observe_time, f"{at}.observe_time")
                    if draft.HasField("observe_time")
                    else None,
                )
            )
    return rows
