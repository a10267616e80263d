# SPDX-License-Identifier: AGPL-3.0-or-later
"""Evidence of rules that match fields: what matched, and the context the kind allows.

The message of each kind has no field for what must not be kept: passwords, bodies, header values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.matching import Span, StepTaken
from decnet_ttp.v1 import event_pb2, tag_pb2

#: Longest command text or URL in evidence, in characters.
MAX_TEXT = 2_048
#: Longest user agent in evidence, in characters.
MAX_AGENT = 512
#: Longest name in evidence, in characters.
MAX_NAME = 256
#: Reasons of one match and header names shown at most.
MAX_ITEMS = 64

#: Longest pattern in evidence, in characters.
MAX_LABEL = 512

#: Fields whose content may become a token. All others (passwords, bodies, header values, what a
#: producer sends beside the typed fields) are told by their name alone.
_OPEN_FIELDS: Mapping[str, frozenset[str]] = {
    SourceKind.COMMAND: frozenset(
        {"command_text", "command_lines", "uid", "user", "src", "pwd", "success", "service"}
    ),
    SourceKind.HTTP_REQUEST: frozenset(
        {"method", "raw_url", "raw_url_decoded", "request_path", "user_agent", "host", "status"}
    ),
    SourceKind.AUTH_ATTEMPT: frozenset(
        {"service", "username", "result", "fail_count", "password_count", "prior_brute"}
    ),
    SourceKind.PAYLOAD: frozenset(
        {"sha256", "url", "filename", "direction", "size_bytes", "payload_text"}
    ),
    SourceKind.SESSION: frozenset(
        field.name for field in event_pb2.SessionPayload.DESCRIPTOR.fields
    )
    - {"note_text", "op_text"},
}


def _tokens(kind: str, spans: Sequence[Span]) -> tuple[list[str], list[str]]:
    """Return tokens and patterns, pairwise; a token that may not be shown is ``<field>``."""
    shown = _OPEN_FIELDS[kind]
    return (
        [
            span.text if span.field in shown else f"<{span.field[:MAX_NAME]}>"
            for span in spans[:MAX_ITEMS]
        ],
        [span.label[:MAX_LABEL] for span in spans[:MAX_ITEMS]],
    )


def _command(event: event_pb2.Event, spans: Sequence[Span], into: tag_pb2.Evidence) -> None:
    payload, evidence = event.command, into.command
    text = payload.command_text
    if len(text) > MAX_TEXT:
        evidence.command_text = text[:MAX_TEXT]
        evidence.command_sha256 = hashlib.sha256(text.encode()).hexdigest()
    else:
        evidence.command_text = text
    tokens, labels = _tokens(SourceKind.COMMAND, spans)
    evidence.matched_tokens.extend(tokens)
    evidence.rule_patterns.extend(labels)
    for name in ("uid", "user", "src", "pwd"):
        value = getattr(payload, name)
        if value:
            setattr(evidence, name, value[:MAX_NAME])


def _http_request(event: event_pb2.Event, spans: Sequence[Span], into: tag_pb2.Evidence) -> None:
    payload, evidence = event.http_request, into.http_request
    evidence.method = payload.method[:MAX_NAME]
    evidence.raw_url = payload.raw_url[:MAX_TEXT]
    evidence.user_agent = payload.user_agent[:MAX_AGENT]
    tokens, labels = _tokens(SourceKind.HTTP_REQUEST, spans)
    evidence.matched_tokens.extend(tokens)
    evidence.rule_patterns.extend(labels)
    evidence.header_names.extend(name[:MAX_NAME] for name in sorted(payload.headers)[:MAX_ITEMS])


def _auth_attempt(event: event_pb2.Event, spans: Sequence[Span], into: tag_pb2.Evidence) -> None:
    payload, evidence = event.auth_attempt, into.auth_attempt
    evidence.service = payload.service[:MAX_NAME]
    evidence.username = payload.username[:MAX_NAME]
    if payload.HasField("fail_count"):
        evidence.fail_count = payload.fail_count
    if payload.HasField("password_count"):
        evidence.password_count = payload.password_count
    evidence.matched_tokens.extend(_tokens(SourceKind.AUTH_ATTEMPT, spans)[0])


def _file(event: event_pb2.Event, spans: Sequence[Span], into: tag_pb2.Evidence) -> None:
    payload, evidence = event.file, into.file
    evidence.sha256 = payload.sha256[:MAX_NAME]
    evidence.url = payload.url[:MAX_TEXT]
    evidence.filename = payload.filename[:MAX_NAME]
    evidence.direction = payload.direction[:MAX_NAME]
    evidence.matched_tokens.extend(_tokens(SourceKind.PAYLOAD, spans)[0])


def _session(event: event_pb2.Event, spans: Sequence[Span], into: tag_pb2.Evidence) -> None:
    evidence = into.session
    evidence.service = event.session.service[:MAX_NAME]
    evidence.matched_tokens.extend(_tokens(SourceKind.SESSION, spans)[0])


def _other(event: event_pb2.Event, spans: Sequence[Span], into: tag_pb2.Evidence) -> None:
    """Names of fields only: nothing is known of what a kind without a message may hold."""
    del event
    into.other.matched_fields.extend(sorted({span.field[:MAX_NAME] for span in spans})[:MAX_ITEMS])


_BY_KIND: dict[str, Callable[[event_pb2.Event, Sequence[Span], tag_pb2.Evidence], None]] = {
    SourceKind.COMMAND: _command,
    SourceKind.HTTP_REQUEST: _http_request,
    SourceKind.AUTH_ATTEMPT: _auth_attempt,
    SourceKind.PAYLOAD: _file,
    SourceKind.SESSION: _session,
}


def timeline_evidence(session: event_pb2.Event, steps: Sequence[StepTaken]) -> tag_pb2.Evidence:
    """Return the evidence of a timeline: which parts took its steps, when and how many."""
    evidence = tag_pb2.Evidence()
    shown = evidence.session
    shown.service = session.session.service[:MAX_NAME]
    for step in steps:
        shown.steps.add(
            step=step.name,
            count=step.count,
            source_kind=step.source_kind,
            source_id=step.source_id,
            offset_s=step.offset_s,
        )
    return evidence


def evidence_of(event: event_pb2.Event, spans: Sequence[Span]) -> tag_pb2.Evidence:
    """Return the evidence of conditions that held on an event."""
    evidence = tag_pb2.Evidence()
    _BY_KIND.get(event.source_kind, _other)(event, spans, evidence)
    return evidence
