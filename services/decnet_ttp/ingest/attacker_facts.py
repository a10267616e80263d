# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a payload says of its attacker beside what it did: fingerprints, files, end points, origin.

Every producer calls these fields otherwise; one table knows the names. A value that does not look
like what it claims to be is no fact.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from decnet_ttp.core.addresses import canonical_ip
from decnet_ttp.ingest.fields import first_text, text, texts
from decnet_ttp.v1 import attacker_fact_pb2 as pb

#: Facts of one kind that one message tells at most.
MOST_OF_A_KIND = 256
#: Longest value and attribute, in characters; longer ones are cut, hashes never are that long.
_MAX_VALUE = 1_000
_MAX_ATTRIBUTE = 500
#: Headers from which on their order says something of the client.
_FEWEST_HEADERS = 4
_DIGEST_HEX = 32

_HEX = {
    pb.FACT_KIND_JARM: re.compile(r"[0-9a-f]{62}"),
    pb.FACT_KIND_HASSH: re.compile(r"[0-9a-f]{32}"),
    pb.FACT_KIND_JA3: re.compile(r"[0-9a-f]{32}"),
    pb.FACT_KIND_TLS_CERT_SHA256: re.compile(r"[0-9a-f]{64}"),
    pb.FACT_KIND_PAYLOAD_SHA256: re.compile(r"[0-9a-f]{64}"),
    pb.FACT_KIND_PAYLOAD_SIMHASH: re.compile(r"[0-9a-f]{8,64}"),
}
_COUNTRY = re.compile(r"[A-Z]{2}")
_ASN = re.compile(r"(?:AS)?([0-9]{1,10})")
_DOMAIN = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})+")
_HOST = re.compile(r"(?:[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*|\[[0-9a-fA-F:.]{2,45}\])")
_MOST_PORT = 65_535

#: Names of single texts and of lists, by what they hold.
_NAMES: dict[pb.FactKind, tuple[str, ...]] = {
    pb.FACT_KIND_JARM: ("jarm", "jarm_hash", "jarm_hashes"),
    pb.FACT_KIND_HASSH: ("hassh", "hassh_hash", "hassh_hashes", "hassh_server"),
    pb.FACT_KIND_JA3: ("ja3", "ja3_hash", "ja3_hashes"),
    pb.FACT_KIND_JA4H: ("ja4h",),
    pb.FACT_KIND_KEX_ORDER: ("kex_order", "kex_order_raw", "kex_algorithms", "kex_algs"),
    pb.FACT_KIND_TLS_CERT_SHA256: ("tls_cert_sha256", "cert_sha256", "cert_fingerprint_sha256"),
    pb.FACT_KIND_PAYLOAD_SIMHASH: ("payload_simhash", "payload_simhashes", "body_simhash"),
    pb.FACT_KIND_TOOL_GUESS: ("tool_guess", "tool_guesses"),
    pb.FACT_KIND_TCP_FINGERPRINT: ("tcp_fingerprint", "tcpfp", "tcpfp_hash", "tcpfp_raw"),
}
_KIND_OF = {name: kind for kind, names in _NAMES.items() for name in names}
_BANNERS = ("ssh_banner", "ssh_client_banner", "client_banner", "client_version")
_COUNTRIES = ("country_code", "country", "attacker_country")
_ASNS = ("asn", "attacker_asn", "as_number")
#: Fields of attributes, by the field whose value they belong to.
_ASN_NAMES = ("as_name", "asn_name", "as_org")
_LEAK = "ipv6_leak"
#: What a probe's bare result is, by the name of the probe.
_PROBES = {
    "jarm": pb.FACT_KIND_JARM,
    "hassh": pb.FACT_KIND_HASSH,
    "ja3": pb.FACT_KIND_JA3,
    "ja4h": pb.FACT_KIND_JA4H,
    "tcpfp": pb.FACT_KIND_TCP_FINGERPRINT,
    "tls_cert": pb.FACT_KIND_TLS_CERT_SHA256,
    "ssh_banner": pb.FACT_KIND_SSH_BANNER,
    "kex": pb.FACT_KIND_KEX_ORDER,
    "kex_order": pb.FACT_KIND_KEX_ORDER,
    "os": pb.FACT_KIND_OS_GUESS,
}
_RESULTS = (
    "hash",
    "fingerprint",
    "fingerprint_hash",
    "fingerprint_sha256",
    "sha256",
    "raw",
    "value",
)


class Fact(NamedTuple):
    """One fact, and how often its reporter says it was seen."""

    kind: pb.FactKind
    value: str
    attributes: Mapping[str, str] = MappingProxyType({})
    sightings: int = 1


def facts_of(payload: Mapping[str, Any], *, probe: str = "", ip: str = "") -> Iterator[Fact]:
    """Yield what a payload says of its attacker.

    Args:
        payload: The producer's JSON object.
        probe: Name of the probe that made it, empty for other messages.
        ip: Canonical address of the attacker, empty when unknown.
    """
    for name in payload.keys() & _KIND_OF:
        yield from _hashes(_KIND_OF[name], texts(payload[name]))
    if probe in _PROBES:
        yield from _hashes(_PROBES[probe], [first_text(payload, *_RESULTS)])
    for names, read in _READERS:
        # Most messages have few of them, and there are many messages.
        if not names.isdisjoint(payload):
            yield from read(payload)
    if not _ENDPOINT_NAMES.isdisjoint(payload):
        yield from _endpoints(payload, ip)
    if probe == _LEAK:
        yield from _leak(payload)


def _cut(value: Any, most: int = _MAX_ATTRIBUTE) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = f"{value:g}" if isinstance(value, float) else str(value)
    return text(value).strip()[:most]


def _attributes(payload: Mapping[str, Any], **names: str) -> dict[str, str]:
    found = {ours: _cut(payload.get(theirs)) for ours, theirs in names.items()}
    return {name: value for name, value in found.items() if value}


def _hashes(kind: pb.FactKind, values: list[str]) -> Iterator[Fact]:
    pattern = _HEX.get(kind)
    for value in values[:MOST_OF_A_KIND]:
        plain = value.strip().lower() if pattern else value.strip()[:_MAX_VALUE]
        if plain and (pattern is None or (pattern.fullmatch(plain) and plain.strip("0"))):
            yield Fact(kind, plain)


def _behaviour(payload: Mapping[str, Any]) -> Iterator[Fact]:
    os_guess = first_text(payload, "os_guess", "os_genre")
    if os_guess:
        attributes = _attributes(payload, hop_distance="hop_distance")
        yield Fact(pb.FACT_KIND_OS_GUESS, _cut(os_guess), attributes)
    behaviour = first_text(payload, "behavior_class", "behaviour_class")
    if behaviour:
        names = {name: name for name in ("beacon_interval_s", "beacon_jitter_pct")}
        yield Fact(pb.FACT_KIND_BEHAVIOR_CLASS, _cut(behaviour), _attributes(payload, **names))


def _origin(payload: Mapping[str, Any]) -> Iterator[Fact]:
    for name in _COUNTRIES:
        country = text(payload.get(name)).strip().upper()
        if _COUNTRY.fullmatch(country):
            yield Fact(pb.FACT_KIND_COUNTRY, country)
            break
    for name in _ASNS:
        number = _ASN.fullmatch(_cut(payload.get(name)).upper())
        if number:
            named = _cut(first_text(payload, *_ASN_NAMES))
            value = str(int(number[1]))
            yield Fact(pb.FACT_KIND_ASN, value, {"name": named} if named else {})
            break


def _banners(payload: Mapping[str, Any]) -> Iterator[Fact]:
    for name in _BANNERS:
        for banner in texts(payload.get(name)):
            if banner.startswith("SSH-"):
                yield Fact(pb.FACT_KIND_SSH_BANNER, banner.strip()[:_MAX_VALUE])


def _endpoint(value: str) -> str:
    """Return host and port as one text, empty when it is none."""
    host, colon, port = value.strip().rpartition(":")
    if not colon or not port.isdecimal() or not 0 < int(port[:6]) <= _MOST_PORT:
        return ""
    return f"{host.lower()}:{int(port)}" if _HOST.fullmatch(host) else ""


def _endpoints(payload: Mapping[str, Any], ip: str) -> Iterator[Fact]:
    claims = [*texts(payload.get("c2_endpoint")), *texts(payload.get("c2_endpoints"))]
    host = first_text(payload, "c2_host", "c2_ip")
    if host:
        claims.append(f"{host}:{_cut(payload.get('c2_port'))}")
    if "ip:port" in texts(payload.get("threatfox_ioc_types") or payload.get("ioc_type")):
        claims += texts(payload.get("threatfox_iocs") or payload.get("threatfox_ioc"))
    if payload.get("feodo_listed") is True and ip:
        bracketed = f"[{ip}]" if ":" in ip else ip
        claims.append(f"{bracketed}:{_cut(payload.get('feodo_port'))}")
    for claim in claims[:MOST_OF_A_KIND]:
        if endpoint := _endpoint(claim):
            yield Fact(pb.FACT_KIND_C2_ENDPOINT, endpoint)


def _files(payload: Mapping[str, Any]) -> Iterator[Fact]:
    for entry in _objects(payload.get("payloads")):
        for fact in _hashes(pb.FACT_KIND_PAYLOAD_SHA256, texts(entry.get("sha256"))):
            names = {"filename": "filename", "url": "url"}
            yield fact._replace(attributes=_attributes(entry, **names))
        yield from _hashes(pb.FACT_KIND_PAYLOAD_SIMHASH, texts(entry.get("simhash")))
    yield from _hashes(pb.FACT_KIND_PAYLOAD_SHA256, texts(payload.get("attachment_sha256s")))


def _mail(payload: Mapping[str, Any]) -> Iterator[Fact]:
    for name in texts(payload.get("rcpt_domains"))[:MOST_OF_A_KIND]:
        domain = name.strip().lower().rstrip(".")
        if _DOMAIN.fullmatch(domain):
            yield Fact(pb.FACT_KIND_SMTP_DOMAIN, domain)


def _http(payload: Mapping[str, Any]) -> Iterator[Fact]:
    requests = payload.get("http_requests")
    seen: set[str] = set()
    for request in [payload, *(requests if isinstance(requests, list) else ())][:MOST_OF_A_KIND]:
        if not isinstance(request, dict):
            continue
        if request is not payload:
            yield from _hashes(pb.FACT_KIND_JA4H, texts(request.get("ja4h")))
            yield from _hashes(pb.FACT_KIND_JA3, texts(request.get("ja3")))
        quirk = _quirk(request)
        if quirk is not None and quirk.value not in seen:
            seen.add(quirk.value)
            yield quirk
    for entry in _objects(payload.get("http_quirks")) + _objects(payload.get("http_quirk")):
        quirk = _quirk({**entry, "header_order": entry.get("order") or entry.get("header_order")})
        if quirk is not None:
            yield quirk


def _objects(value: Any) -> list[dict[str, Any]]:
    entries = value if isinstance(value, list) else [value]
    return [entry for entry in entries if isinstance(entry, dict)][:MOST_OF_A_KIND]


def _quirk(request: Mapping[str, Any]) -> Fact | None:
    """Return the order and spelling of a request's headers, None when they are not told."""
    sent = request.get("header_order")
    names = sent.split(",") if isinstance(sent, str) else texts(sent)
    headers = request.get("headers")
    if not names and isinstance(headers, dict) and len(headers) >= _FEWEST_HEADERS:
        names = [name for name in headers if isinstance(name, str)]
    names = [text(name).strip()[:64] for name in names[:64] if text(name).strip()]
    if not names:
        return None
    order = ",".join(name.lower() for name in names)
    casing = _cut(request.get("casing_category")) or _casing(names)
    value = hashlib.sha256(f"{order}|{casing}".encode()).hexdigest()[:_DIGEST_HEX]
    attributes = {"order": order[:_MAX_ATTRIBUTE], "casing_category": casing}
    attributes |= _attributes(request, tool_guess="tool_guess")
    return Fact(pb.FACT_KIND_HTTP_QUIRK, value, attributes)


def _casing(names: list[str]) -> str:
    if all(name == name.lower() for name in names):
        return "lower"
    if all(name == name.upper() for name in names):
        return "upper"
    return "title" if all(name == name.title() for name in names) else "mixed"


def _leak(payload: Mapping[str, Any]) -> Iterator[Fact]:
    claimed, _, _ = first_text(payload, "addr", "src_ip").strip().partition("%")
    address = canonical_ip(claimed) or ""
    if ":" not in address:
        return
    names = {name: name for name in ("mac_oui", "iid_kind", "vector", "on_iface")}
    count = payload.get("leak_count") or payload.get("count")
    times = count if isinstance(count, int) and 0 < count < 2**31 else 1
    yield Fact(pb.FACT_KIND_IPV6_LINK_LOCAL, address, _attributes(payload, **names), times)


_READERS: tuple[tuple[frozenset[str], Callable[[Mapping[str, Any]], Iterator[Fact]]], ...] = (
    (
        frozenset({"os_guess", "os_genre", "behavior_class", "behaviour_class"}),
        _behaviour,
    ),
    (frozenset((*_COUNTRIES, *_ASNS)), _origin),
    (frozenset(_BANNERS), _banners),
    (frozenset({"payloads", "attachment_sha256s"}), _files),
    (frozenset({"rcpt_domains"}), _mail),
    (frozenset({"http_requests", "http_quirks", "http_quirk", "header_order", "headers"}), _http),
)
_ENDPOINT_NAMES = frozenset(
    {
        *("c2_endpoint", "c2_endpoints", "c2_host", "c2_ip"),
        *("threatfox_ioc", "threatfox_iocs", "feodo_listed"),
    }
)
