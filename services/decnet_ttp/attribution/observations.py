# SPDX-License-Identifier: AGPL-3.0-or-later
"""From a message on the bus to an observation, or the reason why it is none."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from decnet_ttp.attribution.primitives import Registry, ValueRefusedError
from decnet_ttp.attribution.states import Sample
from decnet_ttp.runtime.bus import Envelope, EnvelopeError

SUBJECT_PREFIX = "attacker.observation."

#: Bounds on what is stored of one observation.
MAX_VALUE_BYTES = 16 * 1024
MAX_PRIMITIVE_CHARS = 200
MAX_REFERENCE_CHARS = 1024

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST_S = 946_684_800.0  # the year 2000: before it no sensor of ours ran
_MAX_AHEAD_S = 86_400.0
_MAX_SECONDS = 1e11  # beyond it a time has no date
_NUMBERS = (int, float)


class RefusedError(ValueError):
    """A message that is no observation.

    Args:
        reason: Stable word for the count of refusals.
        message: One line for people, without content.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Observation(NamedTuple):
    """One observation of one attacker.

    Attributes:
        key: Digest of evidence and primitive, of which there is one observation each.
        attacker: Attacker it was observed of.
        primitive: Dotted name.
        value: Value as canonical JSON.
        confidence: Confidence of the sensor, 0 to 1.
        at: End of the observation window, microseconds since the epoch.
        produced: When the extractor told it, microseconds since the epoch; of two observations
            on the same evidence the later told one counts.
        observation_id: Identifier the extractor gave it.
        evidence_ref: Pointer to the recording.
        source: Name of the sensor.
    """

    key: UUID
    attacker: UUID
    primitive: str
    value: str
    confidence: float
    at: int
    produced: int
    observation_id: str
    evidence_ref: str
    source: str

    @property
    def version(self) -> tuple[int, str, int, str, UUID]:
        """What orders several observations on the same evidence: the greatest one counts."""
        return (self.produced, self.observation_id, self.at, self.value, self.attacker)

    @property
    def sample(self) -> Sample:
        """The observation as the mergers see it."""
        return Sample(self.at, self.key, self.value)


def to_datetime(micros: int) -> datetime:
    """Return microseconds since the epoch as a time in UTC, without a detour over floats."""
    return _EPOCH + timedelta(microseconds=micros)


def to_micros(moment: datetime) -> int:
    """Return a time as microseconds since the epoch."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def canonical_json(value: Any) -> str:
    """Return JSON in which equal values are equal texts."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def evidence_key(evidence_ref: str, primitive: str) -> UUID:
    """Return the identity of an observation: digests of evidence (80 bits) and primitive (48).

    An extractor tells many primitives of one recording at once. Keys that begin with the
    recording put them side by side in the index, so that a batch touches few of its pages.
    """
    return UUID(bytes=_digest(evidence_ref, 10) + _digest(primitive, 6))


# An extractor tells many primitives of one recording, and so of one attacker, in a row.
@lru_cache(maxsize=1024)
def _digest(text: str, size: int) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=size).digest()


def read_observation(
    data: bytes, *, subject: str, published_s: float, registry: Registry
) -> Observation:
    """Read one message.

    Args:
        data: The envelope.
        subject: Subject it came on.
        published_s: When the bus took it, in seconds since the epoch; what claims to be observed
            more than a day later is refused, so that no one clock can freeze a state.
        registry: Which values primitives may have.

    Raises:
        RefusedError: It is no observation; the error says why.
    """
    try:
        envelope = Envelope.decode(data, subject=subject)
    except EnvelopeError as error:
        raise RefusedError("undecodable", str(error)) from error
    payload = envelope.payload
    primitive = subject.removeprefix(SUBJECT_PREFIX)
    if len(primitive) > MAX_PRIMITIVE_CHARS:
        raise RefusedError("primitive_too_long", "the primitive's name is too long")
    if payload.get("primitive", primitive) != primitive:
        raise RefusedError("primitive_mismatch", "primitive in the payload differs from the topic")
    if payload.get("v", 1) != 1:
        raise RefusedError("unknown_version", "the observation's version is not 1")
    value = _value(payload.get("value"), primitive, registry)
    at = _moment(payload, envelope, published_s)
    ident = _text(payload, "id", envelope.id)
    evidence = _text(payload, "evidence_ref", "") or f"id:{ident}"
    if evidence == "id:":
        raise RefusedError("no_identity", "neither evidence_ref nor id is given")
    produced = payload.get("ts", envelope.ts)
    return Observation(
        key=evidence_key(evidence, primitive),
        attacker=_attacker(payload),
        primitive=primitive,
        value=value,
        confidence=_confidence(payload),
        at=at,
        produced=_micros(produced) if _is_number(produced) else at,
        observation_id=ident,
        evidence_ref=evidence,
        source=_text(payload, "source", ""),
    )


def _value(value: Any, primitive: str, registry: Registry) -> str:
    try:
        registry[primitive].check(value)
    except ValueRefusedError as error:
        raise RefusedError(error.reason, str(error)) from error
    text = canonical_json(value)
    if len(text.encode()) > MAX_VALUE_BYTES:
        raise RefusedError("value_too_large", f"the value is over {MAX_VALUE_BYTES} bytes")
    return text


def _is_number(value: Any) -> bool:
    return isinstance(value, _NUMBERS) and not isinstance(value, bool) and abs(value) < _MAX_SECONDS


def _micros(seconds: float) -> int:
    return round(seconds * 1e6)


def _moment(payload: dict[str, Any], envelope: Envelope, published_s: float) -> int:
    window = payload.get("window")
    end = window.get("end_ts") if isinstance(window, dict) else None
    if end is None:
        end = payload.get("ts", envelope.ts)
    if not _is_number(end):
        raise RefusedError("time_missing", "window.end_ts is no number of seconds")
    if not _EARLIEST_S <= end <= published_s + _MAX_AHEAD_S:
        raise RefusedError("time_out_of_bounds", "the window ends before 2000 or in the future")
    return _micros(end)


def _text(payload: dict[str, Any], field: str, default: str) -> str:
    text = payload.get(field)
    if text is None:
        return default
    if not isinstance(text, str) or len(text) > MAX_REFERENCE_CHARS or "\0" in text:
        raise RefusedError("reference_malformed", f"{field} is no text of a bounded length")
    return text


def _confidence(payload: dict[str, Any]) -> float:
    confidence = payload.get("confidence", 1.0)
    if not _is_number(confidence) or not 0.0 <= confidence <= 1.0:
        raise RefusedError("confidence_out_of_bounds", "confidence is not within 0 to 1")
    return float(confidence)


def _attacker(payload: dict[str, Any]) -> UUID:
    text = payload.get("attacker_uuid")
    if not isinstance(text, str):
        raise RefusedError("no_attacker", "attacker_uuid is not given")
    try:
        return _uuid(text)
    except ValueError as error:
        raise RefusedError("no_attacker", "attacker_uuid is no UUID") from error


@lru_cache(maxsize=1024)
def _uuid(text: str) -> UUID:
    return UUID(text)
