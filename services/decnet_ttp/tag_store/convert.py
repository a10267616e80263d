# SPDX-License-Identifier: AGPL-3.0-or-later
"""Rows of the store as messages of the wire."""

from __future__ import annotations

from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from decnet_ttp.core.addresses import canonical_ip
from decnet_ttp.core.errors import InvalidArgumentError
from decnet_ttp.tag_store.adjustments import Adjustment, Standing
from decnet_ttp.tag_store.batch import TagRow
from decnet_ttp.tag_store.directory import AttackerRow
from decnet_ttp.tag_store.effects import adjusted
from decnet_ttp.tag_store.names import Names
from decnet_ttp.tag_store.phases import Decky
from decnet_ttp.tag_store.rollup_counts import adjustable
from decnet_ttp.tag_store.rollup_reader import CellCount
from decnet_ttp.tag_store.ticks import to_ticks, to_timestamp
from decnet_ttp.v1 import directory_service_pb2, rollup_service_pb2, scope_pb2, tag_pb2


def _text(uuid: UUID | None) -> str:
    return "" if uuid is None else str(uuid)


def read_time(stamp: Timestamp, field: str) -> int:
    """Return a time of a request in ticks.

    Raises:
        InvalidArgumentError: It lies outside the years 1 to 9999.
    """
    try:
        return to_ticks(stamp)
    except ValueError as error:
        raise InvalidArgumentError(
            f"{field} lies outside the years 1 to 9999; leave it out or correct it", field=field
        ) from error


def tag_message(row: TagRow, names: Names, standing: Standing | None = None) -> tag_pb2.Tag:
    """Return a stored tag.

    Args:
        row: The tag.
        names: Names of the ATT&CK release.
        standing: Verdicts about its attacker; None when there are none.
    """
    sub_technique_id = row.sub_technique_id or ""
    tag = tag_pb2.Tag(
        uuid=str(row.uuid),
        anchor=scope_pb2.Anchor(
            attacker_uuid=_text(row.attacker_uuid), identity_uuid=_text(row.identity_uuid)
        ),
        session_id=row.session_id or "",
        decky_id=row.decky_id or "",
        source_kind=row.source_kind,
        source_id=row.source_id,
        tactic=row.tactic,
        tactic_name=names.tactic(row.tactic),
        technique_id=row.technique_id,
        technique_name=names.technique(row.technique_id),
        sub_technique_id=sub_technique_id,
        sub_technique_name=names.sub_technique(sub_technique_id),
        confidence=row.confidence,
        rule_id=row.rule_id,
        rule_version=row.rule_version,
        evidence=tag_pb2.Evidence.FromString(row.evidence),
        attack_release=row.attack_release,
        mitre_uri=names.link(row.technique_id, sub_technique_id),
        create_time=to_timestamp(row.created_at),
        effective_confidence=row.confidence,
    )
    if row.observed_at is not None:
        tag.observe_time.CopyFrom(to_timestamp(row.observed_at))
    if standing is not None and adjustable(row):
        tag.effective_confidence = adjusted(row.confidence, standing.in_force)
        tag.adjustments.extend(_adjustment(each) for each in standing.acting)
    return tag


def retirement_message(
    uuid: UUID, requested_by: str, reason: str, created_at: int
) -> tag_pb2.Retirement:
    """Return a retirement; its time is in ticks."""
    return tag_pb2.Retirement(
        uuid=str(uuid),
        requested_by=requested_by,
        reason=reason,
        create_time=to_timestamp(created_at),
    )


def _adjustment(adjustment: Adjustment) -> tag_pb2.Adjustment:
    row = adjustment.row
    message = tag_pb2.Adjustment(
        rule_id=row.rule_id,
        rule_version=row.rule_version,
        amount=row.amount,
        ceiling=adjustment.ceiling,
        reason=row.reason,
        source_kind=row.source_kind,
        source_id=row.source_id,
    )
    if row.observed_at is not None:
        message.observe_time.CopyFrom(to_timestamp(row.observed_at))
    return message


def technique_message(cell: CellCount, names: Names) -> rollup_service_pb2.TechniqueRow:
    """Return a cell of the matrix."""
    return rollup_service_pb2.TechniqueRow(
        tactic=cell.tactic,
        tactic_name=names.tactic(cell.tactic),
        technique_id=cell.technique_id,
        technique_name=names.technique(cell.technique_id),
        sub_technique_id=cell.sub_technique_id,
        sub_technique_name=names.sub_technique(cell.sub_technique_id),
        count=cell.tags,
        first_seen_time=to_timestamp(cell.first_seen),
        last_seen_time=to_timestamp(cell.last_seen),
        confidence_max=cell.confidence_max,
        mitre_uri=names.link(cell.technique_id, cell.sub_technique_id),
        identity_count=cell.identity_count,
    )


def attacker_message(row: AttackerRow) -> directory_service_pb2.Attacker:
    """Return an attacker."""
    return directory_service_pb2.Attacker(
        uuid=str(row.uuid),
        ip=canonical_ip(row.ip) or "",
        identity_uuid=_text(row.identity_uuid),
        first_seen_time=to_timestamp(row.first_seen),
        last_seen_time=to_timestamp(row.last_seen),
        tag_count=row.tag_count,
        technique_count=row.technique_count,
    )


def phases_message(decky: Decky) -> rollup_service_pb2.DeckyPhases:
    """Return the phases on one decoy."""
    return rollup_service_pb2.DeckyPhases(
        decky_id=decky.decky_id,
        first_phase=decky.first.phase,
        first_seen_time=to_timestamp(decky.first.first_seen),
        last_phase=decky.last.phase,
        last_seen_time=to_timestamp(decky.last.last_seen),
        observations=[
            rollup_service_pb2.PhaseRow(
                tactic=seen.tactic,
                phase=seen.phase,
                first_seen_time=to_timestamp(seen.first_seen),
                last_seen_time=to_timestamp(seen.last_seen),
                count=seen.tags,
            )
            for seen in decky.seen
        ],
    )
