# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp tags`: the evidence behind a technique, newest first."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from decnet_ttp.cli.addresses import AttackerAddresses
from decnet_ttp.cli.connection import Connection, Listing, connection_options, run, with_channel
from decnet_ttp.cli.evidence import evidence_cell
from decnet_ttp.cli.output import (
    Cell,
    confidence_cell,
    json_option,
    moment,
    on_terminal,
    print_plain,
    print_records,
    printable,
    stream_messages,
    terminal_width,
)
from decnet_ttp.cli.scopes import limit_option, say_truncated, scope_options
from decnet_ttp.cli.techniques import technique_name

if TYPE_CHECKING:
    from grpc.aio import Channel

    from decnet_ttp.v1.scope_pb2 import Scope
    from decnet_ttp.v1.tag_pb2 import Tag

DEFAULT_LIMIT = 100

_TECHNIQUE: Final = re.compile(r"T\d{4}(\.\d{3})?")
_COLUMNS = ("time (UTC)", "technique", "rule", "conf", "attacker", "session")
_PLAIN_COLUMNS = (
    "time (UTC)",
    "technique",
    "rule",
    "version",
    "confidence",
    "attacker",
    "session",
    "source",
    "evidence",
    "effective",
    "adjustments",
)
# A terminal shows this much of a session's id; --json and a pipe show all of it.
_SESSION_WIDTH = 16
# Beside all other columns a name needs this much to say something.
_OTHER_COLUMNS, _SHORTEST_NAME = 82, 30


def _techniques(
    _ctx: click.Context, _param: click.Parameter, value: Sequence[str]
) -> tuple[str, ...]:
    found = [part.upper() for text in value for part in re.split(r"[\s,]+", text) if part]
    for technique in found:
        if not _TECHNIQUE.fullmatch(technique):
            raise click.BadParameter(
                f"{printable(technique, 20)} is no technique; they look like T1059 or T1059.004"
            )
    return tuple(found)


@click.command()
@click.argument("more", metavar="[T]...", nargs=-1, callback=_techniques)
@click.option(
    "--technique",
    "-t",
    "chosen",
    multiple=True,
    metavar="T...",
    callback=_techniques,
    help="Only these techniques (with their sub-techniques) or sub-techniques.",
)
@click.option("--tactic", metavar="TA", default="", help="Only this tactic, such as TA0002.")
@click.option("--rule", metavar="R", default="", help="Only this rule, such as R0014.")
@click.option("--retired", is_flag=True, help="Tags that are retired as well; they are marked.")
@scope_options
@limit_option(DEFAULT_LIMIT, rows="tags")
@json_option
@connection_options
def tags(
    connection: Connection,
    *,
    more: tuple[str, ...],
    chosen: tuple[str, ...],
    tactic: str,
    rule: str,
    scope: Scope,
    limit: int,
    retired: bool,
    as_json: bool,
) -> None:
    """Show the tags of the fleet or of one scope with their evidence, newest first.

    Newest is what was stored last; the time shown is that of the event.
    """

    async def work(channel: Channel) -> bool:
        found = _Tags(
            channel, scope, _distinct(chosen + more), tactic.upper(), rule, limit, retired=retired
        )
        if as_json:
            await stream_messages(found)
        elif on_terminal():
            await _print_records(channel, [tag async for tag in found])
        else:
            await _print_plain(found)
        if not as_json and not found.shown:
            click.echo("no tags: nothing of this scope has been tagged so", err=True)
        return found.truncated

    if run(with_channel(connection, "tag_store", work)):
        say_truncated(limit, "tags")


def _distinct(techniques: Iterable[str]) -> list[str]:
    """Drop what is named twice and sub-techniques whose technique is asked for as a whole."""
    named = list(dict.fromkeys(techniques))
    return [name for name in named if "." not in name or name.partition(".")[0] not in named]


class _Tags:
    """The tags of several techniques, merged newest first.

    Attributes:
        shown: How many were given out.
        truncated: Whether there are more than the limit; known at the end.
    """

    def __init__(
        self,
        channel: Channel,
        scope: Scope,
        techniques: Sequence[str],
        tactic: str,
        rule: str,
        limit: int,
        *,
        retired: bool,
    ) -> None:
        from decnet_ttp.v1.tag_store_service_pb2 import ListTagsRequest
        from decnet_ttp.v1.tag_store_service_pb2_grpc import TagStoreServiceStub

        stub = TagStoreServiceStub(channel)
        self._limit = limit
        self.shown = 0
        self.truncated = False
        self._listings = [
            Listing(
                stub.ListTags,
                ListTagsRequest(
                    scope=scope,
                    technique_id=technique.partition(".")[0],
                    sub_technique_id=technique if "." in technique else "",
                    tactic=tactic,
                    rule_id=rule,
                    include_retired=retired,
                ),
                "tags",
                limit=limit,
            )
            for technique in techniques or [""]
        ]

    async def __aiter__(self) -> AsyncIterator[Tag]:
        streams = [aiter(listing) for listing in self._listings]
        heads: dict[int, Tag] = {}
        drawn = list(range(len(streams)))
        while True:
            for at in drawn:
                head = await anext(streams[at], None)
                if head is not None:
                    heads[at] = head
            if not heads:
                break
            if self._limit and self.shown == self._limit:
                self.truncated = True
                return
            newest = max(heads, key=lambda at: _stored(heads[at]))
            self.shown += 1
            yield heads.pop(newest)
            drawn = [newest]
        self.truncated = any(listing.truncated for listing in self._listings)


def _stored(tag: Tag) -> tuple[int, int]:
    return tag.create_time.seconds, tag.create_time.nanos


def _when(tag: Tag) -> str:
    return moment(tag.observe_time if tag.HasField("observe_time") else tag.create_time)


def _technique(tag: Tag, room: int) -> Cell:
    shown = tag.sub_technique_id or tag.technique_id
    if room >= _SHORTEST_NAME:
        shown = printable(f"{shown} {technique_name(tag)}".rstrip(), room)
    return Cell(shown, "bold")


async def _print_plain(found: _Tags) -> None:
    async for tag in found:
        if found.shown == 1:
            print_plain(_PLAIN_COLUMNS)
        print_plain(
            [
                _when(tag),
                tag.sub_technique_id or tag.technique_id,
                tag.rule_id,
                str(tag.rule_version),
                f"{tag.confidence:.2f}",
                tag.anchor.attacker_uuid or tag.anchor.identity_uuid,
                tag.session_id,
                tag.source_kind,
                evidence_cell(tag.evidence),
                f"{_effective(tag):.2f}",
                _adjustments(tag),
            ]
        )


def _effective(tag: Tag) -> float:
    return tag.effective_confidence if tag.adjustments else tag.confidence


def _confidence(tag: Tag) -> Cell:
    """Return what a tag counts for, and behind it what its rule said where that is another."""
    cell = confidence_cell(_effective(tag))
    if not tag.adjustments:
        return cell
    return replace(cell, text=f"{cell.text} ({tag.confidence:.2f})")


def _adjustments(tag: Tag) -> str:
    notes = [
        f"{each.rule_id} v{each.rule_version} {each.amount:+.2f} {each.reason} ({each.source_id})"
        for each in tag.adjustments
    ]
    if tag.HasField("retirement"):
        notes.append(f"retired by {tag.retirement.uuid}")
    return "; ".join(notes)


async def _print_records(channel: Channel, found: Sequence[Tag]) -> None:
    if not found:
        return
    addresses = AttackerAddresses(channel)
    await addresses.look_up(tag.anchor.attacker_uuid for tag in found)
    width = terminal_width() - 4
    records: list[tuple[list[str | Cell], Cell]] = []
    for tag in found:
        attacker = tag.anchor.attacker_uuid
        label = f"{tag.source_kind}: "
        if tag.HasField("retirement"):
            label = f"retired {moment(tag.retirement.create_time)}; {label}"
        if tag.adjustments:
            label = f"{printable(_adjustments(tag), width // 2)}; {label}"
        evidence = evidence_cell(tag.evidence, max(width - len(label), 20))
        records.append(
            (
                [
                    _when(tag),
                    _technique(tag, terminal_width() - _OTHER_COLUMNS),
                    f"{tag.rule_id} v{tag.rule_version}",
                    _confidence(tag),
                    addresses.get(attacker) or f"identity {tag.anchor.identity_uuid}",
                    printable(tag.session_id or "-", _SESSION_WIDTH),
                ],
                Cell(
                    label + evidence.text,
                    marks=tuple(
                        (low + len(label), high + len(label)) for low, high in evidence.marks
                    ),
                ),
            )
        )
    print_records(_COLUMNS, records)
