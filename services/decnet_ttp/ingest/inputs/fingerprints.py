# SPDX-License-Identifier: AGPL-3.0-or-later
"""attacker.fingerprinted: the type of the envelope names the probe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from decnet_ttp.core.addresses import canonical_ip
from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.ingest.batch import Upstream
from decnet_ttp.ingest.directory_update import DirectoryUpdate
from decnet_ttp.ingest.fan_out import Sink
from decnet_ttp.ingest.fields import first_identifier, first_text, identifier, joined_id, text
from decnet_ttp.ingest.inputs.reading import SKIP, Input, digest, itself, put, subject_of
from decnet_ttp.ingest.inputs.telling import tell_attacker

_LEAK = "ipv6_leak"

#: Fields that hold the fingerprint, by the probe that takes it.
_HASHES = {
    "jarm": ("jarm", "jarm_hash"),
    "hassh": ("hassh", "hassh_server", "hassh_hash"),
    "tcpfp": ("tcpfp", "tcpfp_hash", "tcpfp_raw"),
    "tls_cert": ("fingerprint_sha256", "cert_sha256", "sha256"),
    "ja3": ("ja3", "ja3_hash"),
    "ja4h": ("ja4h",),
    "ja4_quic": ("ja4_quic",),
}
_ANY_HASH = ("hash", "fingerprint", "fingerprint_hash", "settings", "raw")
#: What an envelope says that does not name its probe.
_NO_PROBE = frozenset(
    {"", "fingerprinted", "attacker.fingerprinted", SourceKind.HTTP_FINGERPRINT.value}
)


def _probe(upstream: Upstream) -> str:
    named = upstream.kind.rpartition(".")[2]
    if named not in _NO_PROBE:
        return identifier(named)
    said = first_identifier(upstream.payload, "fingerprint_type", "probe", "kind", "type")
    return said or (named if named == SourceKind.HTTP_FINGERPRINT else "")


def _write_leak(upstream: Upstream, sink: Sink) -> int:
    """Write a leaked address; attacker, address and way of the leak identify it."""
    payload = upstream.payload
    addr = first_text(payload, "addr", "src_ip").strip()
    address, _, zone = addr.partition("%")
    body: dict[str, Any] = {**payload, "addr": canonical_ip(address) or addr}
    if zone:
        body.setdefault("on_iface", zone)
    if upstream.ip and ":" not in upstream.ip:
        body.setdefault("attacker_v4", upstream.ip)
    seen = payload.get("observed_at") or payload.get("seen_at")
    if isinstance(seen, str):
        body["observed_at"] = seen
    vector = text(payload.get("vector"))
    return put(
        sink,
        SourceKind.IPV6_LEAK,
        body,
        joined_id(f"{_LEAK}:{subject_of(upstream)}:{body['addr']}", f":{vector[:64]}"),
        payload.get("observed_at"),
        payload.get("seen_at"),
        payload.get("ts"),
        skip=SKIP - {"observed_at"} | {"src_ip"},
    )


def _write_fingerprint(upstream: Upstream, probe: str, sink: Sink) -> int:
    payload = upstream.payload
    body: dict[str, Any] = {**payload, "fingerprint_type": probe}
    found = first_text(payload, *_HASHES.get(probe, ()), *_ANY_HASH)
    body.setdefault("hash", found)
    if upstream.ip:
        body.setdefault("client_ip", upstream.ip)
    return put(
        sink,
        SourceKind.HTTP_FINGERPRINT,
        body,
        joined_id(
            f"fingerprint:{probe}:{subject_of(upstream)}", f":{digest(found or _content(payload))}"
        ),
        payload.get("observed_at"),
        payload.get("seen_at"),
        payload.get("ts"),
    )


def _content(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in payload.items() if key not in SKIP}


def _write(upstream: Upstream, sink: Sink) -> int:
    probe = _probe(upstream)
    if probe == _LEAK:
        return _write_leak(upstream, sink)
    return _write_fingerprint(upstream, probe, sink)


def _tell(upstream: Upstream, update: DirectoryUpdate) -> None:
    tell_attacker(upstream, update, probe=_probe(upstream))


FINGERPRINTED = Input(Upstream.read_anchor, itself, _write, _tell)
