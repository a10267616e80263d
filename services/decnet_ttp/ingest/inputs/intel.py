# SPDX-License-Identifier: AGPL-3.0-or-later
"""attacker.intel.enriched, and the same verdict again when a session of the attacker ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.ingest.batch import Upstream
from decnet_ttp.ingest.directory_update import DirectoryUpdate, moment_of
from decnet_ttp.ingest.fan_out import Sink
from decnet_ttp.ingest.fields import first_identifier, joined_id, text, texts
from decnet_ttp.ingest.inputs.reading import SKIP, Input, digest, itself, put, subject_of
from decnet_ttp.ingest.inputs.telling import tell_attacker
from decnet_ttp.ingest.moments import read_moment

#: Single values that some providers send where the payload has a list, and shorter names.
_LISTS = {
    "threat_type": "threatfox_threat_types",
    "ioc_type": "threatfox_ioc_types",
}
_NAMES = {
    "categories": "abuseipdb_categories",
    "malware_family": "feodo_malware_family",
}
#: Where each provider's verdict, score and signals stand.
_PROVIDERS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "aggregate": ("aggregate_verdict", "aggregate_score", ("providers",)),
    "abuseipdb": ("abuseipdb_verdict", "abuseipdb_score", ("abuseipdb_categories",)),
    "greynoise": ("greynoise_classification", "", ("greynoise_name", "greynoise_tags")),
    "feodo": ("feodo_listed", "", ("feodo_malware_family",)),
    "threatfox": (
        "threatfox_verdict",
        "threatfox_confidence",
        ("threatfox_threat_types", "threatfox_ioc_types", "threatfox_malware_families"),
    ),
}
_MAX_TEXT = 512
_MOST_SIGNALS = 256
_MOST_SCORE = 100.0

#: Fields that change although the verdict stays.
_VOLATILE = ("_at", "_ts", "_until")
#: Where the time of a verdict stands, the best first.
_TIMES = ("enriched_at", "observed_at", "ts")


def verdict(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the providers say, under one set of names, without ids and times."""
    found = {
        key: value
        for key, value in payload.items()
        if key not in SKIP and value is not None and not key.endswith(_VOLATILE)
    }
    for short, name in _NAMES.items():
        if short in found and name not in found:
            found[name] = found[short]
    for short, name in _LISTS.items():
        if short in found and name not in found:
            found[name] = texts(found[short])
    return found


def timed(upstream: Upstream) -> Mapping[str, Any]:
    """Return the intel record of a message with a time: its own, else that of the message.

    Which of two verdicts about an attacker is the later must not hang on when they are handled:
    messages are delivered again, and looked at again with later sessions.
    """
    payload, stamp = upstream.payload, Timestamp()
    if any(read_moment(payload.get(name), stamp) for name in _TIMES):
        return payload
    if not read_moment(upstream.sent_s, stamp):
        return payload
    return {**payload, "observed_at": upstream.sent_s}


def write_verdict(upstream: Upstream, payload: Mapping[str, Any], sink: Sink) -> int:
    """Write an intel event; its id is the record and a digest of the verdict.

    The same verdict thus makes the same tags, whether it comes with its enrichment or with a
    later session, and a changed one makes its own.

    Args:
        upstream: The message whose anchor the event has.
        payload: The intel record.
        sink: Gives the events to fill in.
    """
    said = verdict(payload)
    record = first_identifier(payload, "source_id", "id", "uuid") or subject_of(upstream)
    return put(
        sink,
        SourceKind.INTEL,
        said,
        joined_id(f"intel:{record}", f":{digest(said)}"),
        *map(payload.get, _TIMES),
    )


def _write(upstream: Upstream, sink: Sink) -> int:
    return write_verdict(upstream, timed(upstream), sink)


def _tell(upstream: Upstream, update: DirectoryUpdate) -> None:
    """Tell each provider's last word, and what they say of origin and end points."""
    tell_attacker(upstream, update)
    if not upstream.attacker_uuid:
        return
    said = verdict(upstream.payload)
    stated = moment_of(upstream, *_TIMES)
    for provider, (word, score, signals) in _PROVIDERS.items():
        names = [name for name in (word, score, *signals) if said.get(name) not in (None, "", [])]
        if not names:
            continue
        record = update.intel_records.add(
            attacker_uuid=upstream.attacker_uuid, provider=provider, observe_time=stated
        )
        claim = said.get(word)
        record.verdict = ("listed" if claim is True else text(claim))[:_MAX_TEXT]
        figure = said.get(score)
        if isinstance(figure, int | float) and 0 <= figure <= _MOST_SCORE:
            record.score = float(figure)
        found = [item for name in signals for item in _signals(said.get(name))]
        record.signals.extend(dict.fromkeys(found[:_MOST_SIGNALS]))


def _signals(value: Any) -> list[str]:
    if isinstance(value, list):
        value = [str(item) if isinstance(item, int) else item for item in value]
    return [item[:_MAX_TEXT] for item in texts(value)]


INTEL_ENRICHED = Input(Upstream.read_anchor, itself, _write, _tell)
