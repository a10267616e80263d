# SPDX-License-Identifier: AGPL-3.0-or-later
"""What an input adapter promises, and the values that it yields."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from importlib.metadata import entry_points
from typing import Final, Protocol, Self

import orjson

from decnet_ttp.core.errors import FailedPreconditionError, NotFoundError

ENTRY_POINT_GROUP: Final = "decnet_ttp.sources"
LISTED_PER_REASON: Final = 5


def escape(part: str) -> str:
    """Keeps the parts of a source id apart when one holds the separator."""
    if "/" in part or "%" in part or "#" in part:
        return part.replace("%", "%25").replace("/", "%2F").replace("#", "%23")
    return part


class SourceUnknownError(NotFoundError):
    """No adapter of that name is installed."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(
            f"no input adapter is called {name!r}: it is not among the installed entry points; "
            f"use one of {', '.join(known) or '(none is installed)'}",
            name=name,
        )


class SourceUnusableError(FailedPreconditionError):
    """The adapter of that name cannot be imported."""

    def __init__(self, name: str, where: str, cause: str) -> None:
        super().__init__(
            f"the input adapter {name!r} ({where}) cannot be imported: {cause}; repair or remove "
            "the package that brings it",
            name=name,
        )


@dataclass(frozen=True, slots=True)
class Upstream:
    """One message for the bus, its payload serialised once.

    `id` is a function of what happened alone, so that publishing the same happening again, today or
    in a year, is recognised as the same message. `ts` is the happening's end in epoch seconds, None
    where the log does not say.
    """

    topic: str
    type: str
    id: str
    ts: float | None
    payload: bytes
    weight: int = 1

    @classmethod
    def of(
        cls,
        topic: str,
        kind: str,
        source_id: str,
        payload: dict[str, object],
        ts: float | None,
        weight: int = 1,
    ) -> Self:
        """Serialises `payload` and derives the id: blake2b-128 of source id, NUL, payload bytes."""
        body = orjson.dumps(payload)
        digest = blake2b(source_id.encode(), digest_size=16)
        digest.update(b"\0")
        digest.update(body)
        return cls(topic, kind, digest.hexdigest(), ts, body, weight)

    def envelope(self, now: float) -> bytes:
        """The bus envelope as JSON; `now` (epoch seconds) stands in for a time the log lacks."""
        return orjson.dumps(
            {
                "v": 1,
                "id": self.id,
                "topic": self.topic,
                "type": self.type,
                "ts": now if self.ts is None else self.ts,
                "payload": orjson.Fragment(self.payload),
            }
        )


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the input that could not be used, or only in part.

    `detail` says what was done about it; it never quotes the input, which is an attacker's text.
    `line` counts from 1; 0 means the file as a whole.
    """

    reason: str
    file: str
    line: int
    detail: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.reason}: {self.detail}"


@dataclass(slots=True)
class Tally:
    """Running counts of one reading, brought up to date by the adapter as it goes.

    `bytes_done` and `bytes_total` are bytes on disk (compressed where the file is), for a progress
    bar; `bytes_total` is 0 for standard input.
    """

    files: int = 0
    lines: int = 0
    sessions: int = 0
    sessions_skipped: int = 0
    commands: int = 0
    auth_attempts: int = 0
    payloads: int = 0
    http_requests: int = 0
    mails: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    listed: list[Problem] = field(default_factory=list)

    def note(self, problem: Problem) -> None:
        """Counts a problem; the first few of each reason are kept to be shown."""
        self.problems[problem.reason] += 1
        if self.problems[problem.reason] <= LISTED_PER_REASON:
            self.listed.append(problem)


@dataclass(frozen=True, slots=True)
class SourceOption:
    """A choice that an adapter leaves to its user.

    Attributes:
        name: keyword of the adapter's constructor; `decky_id` is `--decky-id` on the command line.
        metavar: what stands for the value in the help, for example `SECONDS`.
        doc: one sentence for the help.
        parse: makes the keyword's value from text.
        default: text that counts when the option is absent; "" leaves the keyword out.
        variable: environment variable that counts before the default, "" for none.
        writes: the adapter changes files with it, so that `--dry-run` leaves it out.

    `parse` raises ValueError, whose text says what is allowed.
    """

    name: str
    metavar: str
    doc: str
    parse: Callable[[str], object] = str
    default: str = ""
    variable: str = ""
    writes: bool = False


class Source(Protocol):
    """An input adapter, used for one reading.

    Its class is constructed with keywords for the options that it declares, all of which it may be
    constructed without. It may have two class attributes: `summary`, one sentence for the command
    line, and `options`, a tuple of `SourceOption`.
    """

    tally: Tally

    def read(self, paths: Sequence[str]) -> Iterator[Upstream]:
        """Yields the messages that files, directories and `-` (standard input) hold.

        What cannot be used is noted in `tally` and never ends the reading. Memory is bounded by
        what is unfinished in the log at one time, not by its length.

        Raises:
            FileNotFoundError: a path does not exist; raised before the first message.
        """


def source_names() -> list[str]:
    """The adapters that are installed."""
    return sorted({point.name for point in entry_points(group=ENTRY_POINT_GROUP)})


def load_class(name: str) -> Callable[..., Source]:
    """Finds an adapter's class by its entry point name.

    Raises:
        SourceUnknownError: none of that name is installed.
        SourceUnusableError: it is, but cannot be imported.
    """
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if point.name == name:
            try:
                found: Callable[..., Source] = point.load()
            except (ImportError, AttributeError) as error:
                raise SourceUnusableError(name, point.value, str(error)) from error
            return found
    raise SourceUnknownError(name, source_names())


def load(name: str, **options: object) -> Source:
    """Makes an adapter, found by its entry point name.

    Raises:
        SourceUnknownError: none of that name is installed.
    """
    return load_class(name)(**options)
