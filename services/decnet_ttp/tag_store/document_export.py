# SPDX-License-Identifier: AGPL-3.0-or-later
"""Documents of the field about a scope, made from what is stored.

A document is made as a whole: its order, and the id of a bundle, follow from all that is in it. So
what goes into one is bounded, and few are made at a time, each in a thread beside the calls.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from enum import Enum
from uuid import UUID

from decnet_ttp.attack.catalogue import Catalogue
from decnet_ttp.core.errors import FailedPreconditionError, NotFoundError
from decnet_ttp.tag_store.adjustments import Adjustments
from decnet_ttp.tag_store.convert import attacker_message, tag_message, technique_message
from decnet_ttp.tag_store.database import Database
from decnet_ttp.tag_store.directory import Directory
from decnet_ttp.tag_store.documents import misp, navigator, stix
from decnet_ttp.tag_store.documents.actors import Actor
from decnet_ttp.tag_store.fact_servicer import fact_message, intel_message
from decnet_ttp.tag_store.facts import Facts
from decnet_ttp.tag_store.intel import Intel
from decnet_ttp.tag_store.names import Names
from decnet_ttp.tag_store.rollup_reader import RollupFilter, read_attackers, read_cells
from decnet_ttp.tag_store.scopes import Scope, ScopeKind, parse_scope
from decnet_ttp.tag_store.tag_reader import TagFilter, read_tags
from decnet_ttp.v1 import directory_service_pb2, scope_pb2, tag_pb2

#: Tags of a scope, and attackers of the fleet, that one document holds.
MAX_TAGS = 100_000
MAX_ATTACKERS = 20_000
#: Largest piece of a document, in bytes (the bound of ExportDocumentResponse).
CHUNK_BYTES = 64 * 1024

_AT_ONCE = 2
_TAGS_READ_AT_ONCE = 1_000
#: An attacker keeps fewer facts and records of intel.
_ALL_OF_ONE = 100_000

_Build = Callable[[], Iterable[bytes]]


class Form(Enum):
    """A format of documents."""

    NAVIGATOR = "navigator"
    STIX = "stix"
    MISP = "misp"


class NothingToExportError(NotFoundError):
    """Nothing of a scope has been tagged."""

    reason = "NOTHING_TO_EXPORT"


class ScopeTooLargeError(FailedPreconditionError):
    """A scope has more than one document holds."""

    reason = "SCOPE_TOO_LARGE"


class Documents:
    """Makes documents.

    Args:
        database: Where everything is.
        directory: Who is meant by a scope.
        names: Names of techniques.
        adjustments: What tags count for.
        catalogue: ATT&CK; techniques that it lacks are left out.
        max_tags: Tags of a scope that one document holds.
        max_attackers: Attackers of the fleet that one document holds.
    """

    def __init__(
        self,
        database: Database,
        directory: Directory,
        names: Names,
        adjustments: Adjustments,
        catalogue: Catalogue,
        *,
        max_tags: int = MAX_TAGS,
        max_attackers: int = MAX_ATTACKERS,
    ) -> None:
        self._database = database
        self._directory = directory
        self._names = names
        self._adjustments = adjustments
        self._catalogue = catalogue
        self._max_tags = max_tags
        self._max_attackers = max_attackers
        self._facts = Facts(database)
        self._intel = Intel(database)
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def make(self, scope: scope_pb2.Scope, form: Form) -> AsyncIterator[bytes]:
        """Yield a document in pieces of CHUNK_BYTES at most.

        Raises:
            InvalidArgumentError: The scope is none.
            NothingToExportError: Nothing of it has been tagged.
            ScopeTooLargeError: It has more than a document holds.
            AbortedError, ResourceExhaustedError, UnavailableError: The database said so.
        """
        async with self._turns:
            build = await self._builder(scope, form)
            whole = await asyncio.to_thread(lambda: b"".join(build()))
            for start in range(0, len(whole), CHUNK_BYTES):
                yield whole[start : start + CHUNK_BYTES]

    async def _builder(self, scope: scope_pb2.Scope, form: Form) -> _Build:
        located = await self._directory.locate(parse_scope(scope))
        if located is None:
            raise _nothing()
        if form is Form.NAVIGATOR:
            cells = await read_cells(self._database, located, RollupFilter())
            rows = [technique_message(cell, self._names) for cell in cells]
            subject = navigator.subject_of(scope)
            layers = navigator.build_layers(rows, self._catalogue, subject=subject).layers
            if not layers:
                raise _nothing()
            return lambda: [navigator.document(layers)]
        fleet = located.kind is ScopeKind.FLEET
        actors = await (self._fleet() if fleet else self._one_by_one(located))
        if not actors:
            raise _nothing()
        if form is Form.STIX:
            return lambda: stix.bundle(actors, self._catalogue)
        return lambda: misp.document(misp.events(actors, self._catalogue))

    async def _fleet(self) -> list[Actor]:
        actors: list[Actor] = []
        past = UUID(int=0)
        while found := await read_attackers(self._database, past):
            if len(actors) + len(found) > self._max_attackers:
                raise ScopeTooLargeError(
                    f"the fleet has more than {self._max_attackers} attackers, which one document "
                    "holds; export an identity, a campaign or an attacker, or the roll-ups"
                )
            known = {row.uuid: row for row in await self._directory.some([who for who, _ in found])}
            for past, cells in found:
                row = known.get(past)
                bare = directory_service_pb2.Attacker(uuid=str(past))
                attacker = bare if row is None else attacker_message(row)
                rows = [technique_message(cell, self._names) for cell in cells]
                actors.append(Actor(str(past), attacker, techniques=rows))
        return actors

    async def _one_by_one(self, scope: Scope) -> list[Actor]:
        tags: dict[tuple[UUID | None, UUID | None], list[tag_pb2.Tag]] = defaultdict(list)
        past, count = -1, 0
        while True:
            rows = await read_tags(
                self._database,
                scope,
                TagFilter(),
                limit=_TAGS_READ_AT_ONCE,
                past_seq=past,
                oldest_first=True,
            )
            count += len(rows)
            if count > self._max_tags:
                raise ScopeTooLargeError(
                    f"the {scope.kind} has more than {self._max_tags} tags, which one document "
                    "holds; export a smaller scope, a Navigator layer, or the tags"
                )
            standing = await self._adjustments.of_tags(rows)
            for row in rows:
                attacker = row.attacker_uuid
                tag = tag_message(row, self._names, standing.get(attacker))
                tags[attacker, None if attacker else row.identity_uuid].append(tag)
            if len(rows) < _TAGS_READ_AT_ONCE:
                break
            past = rows[-1].seq
        return [await self._actor(who, identity, own) for (who, identity), own in tags.items()]

    async def _actor(
        self, attacker: UUID | None, identity: UUID | None, tags: Sequence[tag_pb2.Tag]
    ) -> Actor:
        if attacker is None:
            named = directory_service_pb2.Attacker(identity_uuid=str(identity))
            return Actor(str(identity), named, tags=tags)
        row = await self._directory.attacker(attacker)
        bare = directory_service_pb2.Attacker(uuid=str(attacker))
        return Actor(
            str(attacker),
            bare if row is None else attacker_message(row),
            tags=tags,
            facts=[
                fact_message(fact)
                for fact in await self._facts.page(attacker, 0, _ALL_OF_ONE, None)
            ],
            intel=[
                intel_message(each) for each in await self._intel.page(attacker, _ALL_OF_ONE, "")
            ],
        )


def _nothing() -> NothingToExportError:
    return NothingToExportError(
        "nothing to export: nothing of this scope has been tagged; ListAttackers shows who has been"
    )
