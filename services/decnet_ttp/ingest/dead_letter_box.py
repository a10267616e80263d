# SPDX-License-Identifier: AGPL-3.0-or-later
"""The dead letters as operators see them: listed, shown, sent through again, dropped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import nats.errors
from nats.js.api import Header, RawStreamMsg
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError as NoSuchMessage

from decnet_ttp.core.errors import InvalidArgumentError, NotFoundError, UnavailableError
from decnet_ttp.ingest.dead_letters import DETAIL, LAST_ATTEMPT, REASON, Reason
from decnet_ttp.ingest.delivery import ATTEMPTS, FIRST_ATTEMPT, ORIGIN_SEQUENCE, ORIGIN_SUBJECT
from decnet_ttp.ingest.inputs.catalogue import input_for
from decnet_ttp.ingest.shelf import NatsShelf
from decnet_ttp.runtime.bus import Bus
from decnet_ttp.runtime.paging import decode_token as read_token
from decnet_ttp.runtime.paging import encode_token, page_limit, request_arguments
from decnet_ttp.runtime.streams import DLQ_STREAM, EVENTS_STREAM
from decnet_ttp.v1 import ingest_service_pb2 as pb

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

#: Letters one request may name.
MAX_NAMED = 1_000
#: Letters read from the bus at once.
_AT_ONCE = 32
#: Letters a listing looks through for one page before it hands out a shorter one.
_MOST_LOOKED_AT = 20_000


class DeadLetterBox:
    """The stream of dead letters.

    Args:
        bus: Connection to NATS.
        shelf: Takes letters that go through ingest again.
    """

    def __init__(self, bus: Bus, shelf: NatsShelf) -> None:
        self._bus = bus
        self._shelf = shelf

    async def page(self, request: pb.ListDeadLettersRequest) -> pb.ListDeadLettersResponse:
        """Return a page, newest first.

        Raises:
            InvalidArgumentError: A field cannot be.
            UnavailableError: The bus is away.
        """
        limit = page_limit(request.page_size)
        arguments = request_arguments(request)
        reason = _reason(request.reason)
        before = _before(request.page_token, arguments)
        page = pb.ListDeadLettersResponse()
        async with _answering():
            state = (await self._bus.js.stream_info(DLQ_STREAM)).state
            sequence = min(before, state.last_seq + 1) - 1
            looked = 0
            while sequence >= max(state.first_seq, 1):
                if len(page.dead_letters) == limit or looked >= _MOST_LOOKED_AT:
                    page.next_page_token = encode_token([sequence + 1], arguments)
                    return page
                chunk = range(sequence, max(sequence - _AT_ONCE, state.first_seq - 1, 0), -1)
                for letter in await asyncio.gather(*(self._get(item) for item in chunk)):
                    sequence -= 1
                    looked += 1
                    if letter is None or not _wanted(letter, reason, request.origin_subject):
                        continue
                    page.dead_letters.append(_as_message(letter))
                    if len(page.dead_letters) == limit:
                        break
        return page

    async def get(self, sequence: int) -> pb.DeadLetter:
        """Return one letter with its bytes.

        Raises:
            NotFoundError: There is none.
            UnavailableError: The bus is away.
        """
        async with _answering():
            (letter,) = await self._named([sequence])
        found = _as_message(letter)
        found.content = letter.data or b""
        return found

    async def replay(self, request: pb.ReplayDeadLettersRequest) -> int:
        """Send letters through ingest again, and remove them; returns how many.

        What is interrupted in between may be sent twice, which adds nothing.

        Raises:
            InvalidArgumentError: Too many are named.
            NotFoundError: One is not there; nothing was sent.
            UnavailableError: The bus is away.
        """
        reason = _reason(request.reason)
        async with _answering():
            if request.sequences:
                letters = await self._named(_checked(request.sequences))
                for letter in letters:
                    await self._send(letter)
                return len(letters)
            state = (await self._bus.js.stream_info(DLQ_STREAM)).state
            count = 0
            # What fails again lands behind the end of now.
            for start in range(max(state.first_seq, 1), state.last_seq + 1, _AT_ONCE):
                chunk = range(start, min(start + _AT_ONCE, state.last_seq + 1))
                for found in await asyncio.gather(*(self._get(item) for item in chunk)):
                    if found is not None and _wanted(found, reason, request.origin_subject):
                        await self._send(found)
                        count += 1
        return count

    async def drop(self, sequences: Sequence[int]) -> int:
        """Remove letters for good; returns how many.

        Raises:
            InvalidArgumentError: None is named, or too many.
            NotFoundError: One is not there; nothing was removed.
            UnavailableError: The bus is away.
        """
        if not sequences:
            raise InvalidArgumentError("no letter is named; name 1 to 1000", field="sequences")
        async with _answering():
            letters = await self._named(_checked(sequences))
            for letter in letters:
                await self._remove(letter)
        return len(letters)

    async def _get(self, sequence: int) -> RawStreamMsg | None:
        try:
            return await self._bus.js.get_msg(DLQ_STREAM, sequence)
        except NoSuchMessage:
            return None

    async def _named(self, sequences: Sequence[int]) -> list[RawStreamMsg]:
        letters = []
        for sequence in sequences:
            letter = await self._get(sequence) if sequence > 0 else None
            if letter is None:
                raise NotFoundError(f"there is no dead letter {sequence}", sequence=str(sequence))
            letters.append(letter)
        return letters

    async def _send(self, letter: RawStreamMsg) -> None:
        headers = letter.headers or {}
        subject = headers.get(ORIGIN_SUBJECT, "")
        if subject and input_for(subject) is None:
            # Another service's letter goes back to the subject that the service reads.
            await self._bus.js.publish(
                subject,
                letter.data or b"",
                stream=EVENTS_STREAM,
                headers={Header.MSG_ID: f"replay:{letter.seq}"},
            )
            await self._remove(letter)
            return
        kept = {
            name: headers[name]
            for name in (ORIGIN_SUBJECT, ORIGIN_SEQUENCE, ATTEMPTS)
            if name in headers
        }
        # Its time begins anew: an operator expects more than one last try.
        kept[FIRST_ATTEMPT] = headers.get(LAST_ATTEMPT, "") or headers.get(FIRST_ATTEMPT, "")
        kept[Header.MSG_ID] = f"replay:{letter.seq}"
        await self._shelf.hand_in(f"replay.letter.{letter.seq}", letter.data or b"", kept)
        await self._remove(letter)

    async def _remove(self, letter: RawStreamMsg) -> None:
        try:
            await self._bus.js.delete_msg(DLQ_STREAM, letter.seq or 0)
        except NoSuchMessage:
            return


@asynccontextmanager
async def _answering() -> AsyncIterator[None]:
    """Tell the caller when the bus is away."""
    try:
        yield
    except (nats.errors.Error, JetStreamError, TimeoutError, OSError) as error:
        raise UnavailableError("the bus is away; try again") from error


def _checked(sequences: Sequence[int]) -> list[int]:
    if len(sequences) > MAX_NAMED:
        raise InvalidArgumentError(
            f"{len(sequences)} letters are named; name at most {MAX_NAMED}", field="sequences"
        )
    return list(dict.fromkeys(sequences))


def _reason(text: str) -> str:
    if text and text not in Reason.__members__:
        raise InvalidArgumentError(
            f"reason is none of {', '.join(Reason.__members__)}", field="reason"
        )
    return text


def _before(token: str, arguments: bytes) -> int:
    key = read_token(token, arguments)
    if key is None:
        return 2**63 - 1
    if len(key) != 1 or not isinstance(key[0], int):
        raise InvalidArgumentError(
            "page_token was not made by this service; send the next_page_token of the page before",
            field="page_token",
        )
    return key[0]


def _wanted(letter: RawStreamMsg, reason: str, origin_subject: str) -> bool:
    headers = letter.headers or {}
    return (not reason or headers.get(REASON) == reason) and (
        not origin_subject or headers.get(ORIGIN_SUBJECT) == origin_subject
    )


def _set_time(into: Timestamp, text: str) -> None:
    try:
        into.FromDatetime(datetime.fromisoformat(text))
    except ValueError:
        into.Clear()


def _number(headers: dict[str, Any], name: str) -> int:
    text = str(headers.get(name, ""))
    return int(text) if text.isascii() and text.isdigit() else 0


def _as_message(letter: RawStreamMsg) -> pb.DeadLetter:
    headers = letter.headers or {}
    found = pb.DeadLetter(
        sequence=letter.seq or 0,
        reason=headers.get(REASON, ""),
        detail=headers.get(DETAIL, ""),
        origin_subject=headers.get(ORIGIN_SUBJECT, ""),
        origin_sequence=_number(headers, ORIGIN_SEQUENCE),
        attempt_count=_number(headers, ATTEMPTS),
        size_bytes=len(letter.data or b""),
    )
    for field, name in (("first_attempt_time", FIRST_ATTEMPT), ("last_attempt_time", LAST_ATTEMPT)):
        if headers.get(name):
            _set_time(getattr(found, field), headers[name])
    return found
