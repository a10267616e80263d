# SPDX-License-Identifier: AGPL-3.0-or-later
"""Evidence in one line, with what matched in view and marked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from decnet_ttp.cli.output import Cell, one_line

if TYPE_CHECKING:
    from decnet_ttp.v1.tag_pb2 import (
        AuthAttemptEvidence,
        CanaryFingerprintEvidence,
        CommandEvidence,
        CredentialEvidence,
        EmailEvidence,
        Evidence,
        FileEvidence,
        HttpFingerprintEvidence,
        HttpRequestEvidence,
        IdentityEvidence,
        IntelEvidence,
        Ipv6LeakEvidence,
        OtherEvidence,
        SessionEvidence,
    )


def evidence_cell(evidence: Evidence, width: int | None = None) -> Cell:
    """Return evidence as one line without control characters.

    Args:
        evidence: Of any kind; an empty one gives a dash.
        width: Characters at most; the first match stays in view. None: everything.
    """
    kind = evidence.WhichOneof("evidence")
    if kind is None:
        return Cell("-")
    shown = getattr(evidence, kind)
    text = one_line(_SENTENCES[kind](shown))
    tokens = [one_line(token) for token in getattr(shown, "matched_tokens", ()) if token]
    elsewhere = list(dict.fromkeys(token for token in tokens if token not in text))
    if elsewhere:
        text += "  matched: " + ", ".join(elsewhere)
    marks = sorted({_span(text, token) for token in tokens})
    return _in_view(text, marks, width)


def _span(text: str, token: str) -> tuple[int, int]:
    """Find a token, preferably where it stands as a word of its own."""
    first = at = text.find(token)
    while at >= 0:
        end = at + len(token)
        if not (_joined(text[at - 1 : at], token[0]) or _joined(token[-1], text[end : end + 1])):
            return at, end
        at = text.find(token, at + 1)
    return first, first + len(token)


def _joined(left: str, right: str) -> bool:
    return left.isalnum() and right.isalnum()


def _in_view(text: str, marks: Sequence[tuple[int, int]], width: int | None) -> Cell:
    if width is None or len(text) <= width:
        return Cell(text, marks=tuple(marks))
    start = 0
    if marks and marks[0][1] > width - 1:
        start = max(0, min(marks[0][0] - width // 4, len(text) - width + 1))
    head = "…" if start else ""
    room = width - len(head)
    tail = "…" if len(text) - start > room else ""
    cut = text[start : start + room - len(tail)]
    shift = len(head) - start
    inside = (
        (max(low + shift, len(head)), min(high + shift, len(head) + len(cut)))
        for low, high in marks
    )
    kept = tuple((low, high) for low, high in inside if low < high)
    return Cell(f"{head}{cut}{tail}", marks=kept)


def _list(parts: Iterable[str]) -> str:
    return ", ".join(part for part in parts if part)


def _named(name: str, values: Iterable[str]) -> str:
    listed = _list(values)
    return f"{name} {listed}" if listed else ""


def _command(shown: CommandEvidence) -> str:
    return shown.command_text


def _http_request(shown: HttpRequestEvidence) -> str:
    text = f"{shown.method} {shown.raw_url}".strip()
    in_agent = any(token and token in shown.user_agent for token in shown.matched_tokens)
    return f"{text}  user agent: {shown.user_agent}" if in_agent else text


def _auth_attempt(shown: AuthAttemptEvidence) -> str:
    return _list(
        [
            f"{shown.service or 'a'} log-in" + (f" as {shown.username}" if shown.username else ""),
            f"{shown.fail_count} failed" if shown.HasField("fail_count") else "",
            f"{shown.password_count} passwords" if shown.HasField("password_count") else "",
        ]
    )


def _file(shown: FileEvidence) -> str:
    name = f"as {shown.filename}" if shown.filename else ""
    digest = f"sha256 {shown.sha256}" if shown.sha256 else ""
    return " ".join(filter(None, (shown.direction, shown.url, name, digest)))


def _session(shown: SessionEvidence) -> str:
    figures = _list(f"{name} {value:g}" for name, value in sorted(shown.figures.items()))
    steps = ", then ".join(
        f"{step.step}{f' ({step.count} times)' if step.count > 1 else ''} at {step.offset_s:g} s"
        for step in sorted(shown.steps, key=lambda each: each.offset_s)
    )
    facts = ", ".join(filter(None, (figures, steps)))
    text = f"{shown.service} session".strip()
    return f"{text}: {facts}" if facts else text


def _email(shown: EmailEvidence) -> str:
    return _list(
        [
            _named("kit", [shown.matched_kit]),
            _named("trigger", [shown.matched_trigger]),
            _named("link to", [shown.matched_url_host]),
            _named("signals", shown.matched_signals),
            _named("subject key words", shown.matched_subject_keywords),
            _named("body key words", shown.matched_body_keywords),
            _named("headers", shown.matched_header_names),
            f"{shown.rcpt_count} recipients" if shown.rcpt_count else "",
            f"{shown.encoded_bytes} encoded bytes" if shown.encoded_bytes else "",
        ]
    )


def _intel(shown: IntelEvidence) -> str:
    facts = _list(
        [
            *shown.signals,
            f"score {shown.score:g}" if shown.HasField("score") else "",
            _named("malware", shown.malware_families),
        ]
    )
    return f"{shown.provider}: {facts}"


def _canary_fingerprint(shown: CanaryFingerprintEvidence) -> str:
    return ": ".join(filter(None, (shown.metric, shown.matched_signature)))


def _identity(shown: IdentityEvidence) -> str:
    known_by = f" (hash {shown.shared_password_hash})" if shown.shared_password_hash else ""
    return f"one password on {shown.account_count} accounts{known_by}"


def _credential(shown: CredentialEvidence) -> str:
    where = _named(" on", shown.services)
    known_by = f" (hash {shown.credential_hash})" if shown.credential_hash else ""
    return f"credential used {shown.reuse_count} times again{where}{known_by}"


def _http_fingerprint(shown: HttpFingerprintEvidence) -> str:
    facts = " ".join(filter(None, (shown.protocol, shown.fingerprint_type, shown.hash)))
    return ": ".join(filter(None, (shown.matched_framework, facts)))


def _ipv6_leak(shown: Ipv6LeakEvidence) -> str:
    facts = _list([shown.iid_kind, _named("OUI", [shown.mac_oui]), _named("by", [shown.vector])])
    return f"{shown.addr} ({facts})" if facts else shown.addr


def _other(shown: OtherEvidence) -> str:
    return _named("fields", shown.matched_fields)


#: Member of the evidence's oneof -> what to say about it.
_SENTENCES: Mapping[str, Callable[[Any], str]] = MappingProxyType(
    {
        "command": _command,
        "http_request": _http_request,
        "auth_attempt": _auth_attempt,
        "file": _file,
        "session": _session,
        "email": _email,
        "intel": _intel,
        "canary_fingerprint": _canary_fingerprint,
        "identity": _identity,
        "credential": _credential,
        "http_fingerprint": _http_fingerprint,
        "ipv6_leak": _ipv6_leak,
        "other": _other,
    }
)
