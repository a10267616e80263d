# SPDX-License-Identifier: AGPL-3.0-or-later
"""`decnet-ttp watch`: live, what is being tagged now."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from decnet_ttp.cli.connection import Connection, connection_options, run
from decnet_ttp.cli.output import (
    Cell,
    confidence_cell,
    json_text,
    moment_of,
    on_terminal,
    print_line,
)
from decnet_ttp.core.errors import FailedPreconditionError, UnavailableError
from decnet_ttp.runtime.config import SettingsError

if TYPE_CHECKING:
    from decnet_ttp.cli.addresses import AttackerAddresses
    from decnet_ttp.cli.tail import Tail
    from decnet_ttp.runtime.bus import Bus, Envelope
    from decnet_ttp.runtime.config import Settings

TAGGED_SUBJECT = "ttp.tagged"

_CONNECT_S = 5.0
# Names are a comfort: a catalogue that is not there by then is done without for the moment. It is
# read in milliseconds; only one that has to be compiled first, or a busy machine, takes longer.
_NAMES_WAIT_S = 10.0
_NAMES_POLL_S = 0.02

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _since(_ctx: click.Context, _param: click.Parameter, value: str | None) -> timedelta | None:
    if value is None:
        return None
    found = re.fullmatch(r"(\d{1,6})([smhd])", value.strip().lower())
    if found is None:
        raise click.BadParameter("a span of time looks like 30s, 10m, 2h or 1d")
    return timedelta(seconds=int(found[1]) * _UNITS_S[found[2]])


@click.command()
@click.option(
    "--since", callback=_since, metavar="SPAN", help="Begin with the last 30s, 10m, 2h or 1d."
)
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N messages.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@connection_options
def watch(
    connection: Connection, *, since: timedelta | None, count: int | None, as_json: bool
) -> None:
    """Show what is being tagged, one line per message that gave new tags, until Ctrl-C."""
    settings = replace(connection.settings, nats_url=connection.nats_url)
    # What the bus logs for operators is told here in words of this command.
    logging.getLogger("decnet_ttp").addHandler(logging.NullHandler())
    try:
        run(_follow(connection, settings, since=since, count=count, as_json=as_json))
    except KeyboardInterrupt:
        # This is how a person ends it.
        sys.exit(0)


async def _follow(
    connection: Connection,
    settings: Settings,
    *,
    since: timedelta | None,
    count: int | None,
    as_json: bool,
) -> None:
    import nats.errors
    from nats.js.errors import NotFoundError

    from decnet_ttp.cli.tail import Tail
    from decnet_ttp.runtime.streams import TTP_STREAM

    place = _without_credentials(settings.nats_url)
    async with AsyncExitStack() as stack:
        show = _show_json if as_json else await _lines(connection, settings, stack)
        bus = await open_bus(settings, "watch")
        stack.push_async_callback(bus.leave)
        try:
            tail = Tail(bus, stream=TTP_STREAM, subject=TAGGED_SUBJECT, report=_report)
            await tail.open(datetime.now(UTC) - since if since else None)
            start = f"the last {since}" if since else "now"
            click.echo(f"watching {TAGGED_SUBJECT} from {start} on; Ctrl-C ends", err=True)
            await _show_each(tail, show, count)
        except NotFoundError as error:
            raise FailedPreconditionError(
                f"the bus {place} has no stream {TTP_STREAM}; start the services, which make it"
            ) from error
        except (nats.errors.Error, TimeoutError) as error:
            raise UnavailableError(
                f"the bus {place} gives no messages ({type(error).__name__}); see that it runs "
                "with JetStream"
            ) from error


async def _show_each(
    tail: Tail, show: Callable[[Envelope, datetime], Awaitable[None]], count: int | None
) -> None:
    from decnet_ttp.runtime.bus import Envelope, EnvelopeError

    shown = 0
    async with aclosing(aiter(tail)) as messages:
        async for message in messages:
            try:
                envelope = Envelope.decode(message.data, subject=message.subject)
            except EnvelopeError as error:
                click.echo(f"decnet-ttp: a message was passed over: {error}", err=True)
                continue
            await show(envelope, message.metadata.timestamp)
            shown += 1
            if shown == count:
                return


async def _show_json(envelope: Envelope, _stored: datetime) -> None:
    body = {
        "id": envelope.id,
        "topic": envelope.topic,
        "type": envelope.type,
        "ts": envelope.ts,
        "payload": envelope.payload,
    }
    sys.stdout.write(json_text(body) + "\n")
    sys.stdout.flush()


async def _lines(connection: Connection, settings: Settings, stack: AsyncExitStack) -> _Lines:
    """Return what shows lines: with names, and on a terminal with addresses, where there are."""
    from decnet_ttp.cli.addresses import AttackerAddresses
    from decnet_ttp.runtime.clients import open_channel

    names = _Names(settings)
    addresses = None
    if on_terminal():
        try:
            target = connection.target("tag_store")
        except SettingsError:
            # Only the bus is needed; whoever names no tag-store sees UUIDs.
            pass
        else:
            channel = await stack.enter_async_context(open_channel(target, settings))
            addresses = AttackerAddresses(channel)
    return _Lines(names, addresses)


class _Lines:
    """Shows a message as a line."""

    def __init__(self, names: _Names, addresses: AttackerAddresses | None) -> None:
        self._names = names
        self._addresses = addresses

    async def __call__(self, envelope: Envelope, stored: datetime) -> None:
        payload = envelope.payload
        confidence = payload.get("confidence_max")
        await self._names.arrive()
        techniques = _most_exact(
            _texts(payload, "techniques_added"), _texts(payload, "sub_techniques_added")
        )
        print_line(
            [
                moment_of(envelope.ts or stored.timestamp()),
                Cell(await self._anchor(payload), "bold"),
                _text(payload, "session_id") or "-",
                Cell(", ".join(map(self._names.label, techniques)) or "-", "cyan"),
                " ".join(_texts(payload, "rule_ids")) or "-",
                confidence_cell(confidence) if isinstance(confidence, int | float) else "-",
            ]
        )

    async def _anchor(self, payload: dict[str, Any]) -> str:
        attacker, identity = _text(payload, "attacker_uuid"), _text(payload, "identity_uuid")
        if attacker and self._addresses:
            await self._addresses.look_up([attacker])
            return self._addresses.get(attacker)
        return attacker or (f"identity {identity}" if identity else "-")


async def open_bus(settings: Settings, command: str) -> Bus:
    """Connect to the bus for a command.

    Raises:
        UnavailableError: It cannot be reached within a few seconds.
    """
    import nats.errors

    from decnet_ttp.runtime.bus import BusRefusedError, connect_bus

    try:
        async with asyncio.timeout(_CONNECT_S):
            return await connect_bus(
                settings, name=f"decnet-ttp {command}", once_refused_give_up=True
            )
    except BusRefusedError as error:
        raise UnavailableError(str(error)) from error
    except (TimeoutError, OSError, nats.errors.Error) as error:
        raise UnavailableError(
            f"the bus {_without_credentials(settings.nats_url)} cannot be reached "
            f"({type(error).__name__}); start it with `decnet-ttp up`, or name another with "
            "DECNET_TTP_NATS_URL"
        ) from error


def _without_credentials(url: str) -> str:
    return re.sub(r"//[^/,]*@", "//", url)


def _report(change: str) -> None:
    click.echo(change, err=True)


def _most_exact(techniques: list[str], sub_techniques: list[str]) -> list[str]:
    """Name a technique by its sub-techniques where there are any."""
    parents = {sub.partition(".")[0] for sub in sub_techniques}
    return sorted({*sub_techniques, *(one for one in techniques if one not in parents)})


def _text(payload: dict[str, Any], key: str) -> str:
    value = payload.get(key)
    return value if isinstance(value, str) else ""


def _texts(payload: dict[str, Any], key: str) -> list[str]:
    values = payload.get(key)
    return [one for one in values if isinstance(one, str)] if isinstance(values, list) else []


class _Names:
    """Names of techniques, as soon as the catalogue is loaded; ids alone until then."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._catalogue: Any = None
        self._waited_for = False
        # A bundle that must be compiled first takes seconds, which Ctrl-C must not wait for.
        self._loading = threading.Thread(target=self._load, name="catalogue", daemon=True)
        self._loading.start()

    def _load(self) -> None:
        from decnet_ttp.attack import AttackError, load_catalogue

        try:
            self._catalogue = load_catalogue(
                bundle=self._settings.attack_bundle,
                sha256=self._settings.attack_sha256,
                cache_dir=self._settings.attack_cache_dir,
            )
        except AttackError as error:
            click.echo(f"decnet-ttp: techniques are shown without names: {error}", err=True)

    async def arrive(self) -> None:
        """Wait for the catalogue, but not long, and before the first line only."""
        if self._waited_for:
            return
        self._waited_for = True
        with suppress(TimeoutError):
            async with asyncio.timeout(_NAMES_WAIT_S):
                while self._loading.is_alive():  # noqa: ASYNC110 - it may outlive the loop's events
                    await asyncio.sleep(_NAMES_POLL_S)

    def label(self, technique: str) -> str:
        """Return the id with its name, when that is known."""
        name = self._catalogue.full_name(technique) if self._catalogue else None
        return f"{technique} {name}" if name else technique
