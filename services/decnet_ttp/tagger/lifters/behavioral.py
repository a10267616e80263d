# SPDX-License-Identifier: AGPL-3.0-or-later
"""The behavioral lifter: what a session or file shows by its figures, paths, signals and texts.

Evidence has figures and short labels of our own; notes, bodies and statements stay out of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Final

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.matching.derived import percent_decode
from decnet_ttp.tagger.evidence import MAX_AGENT, MAX_TEXT
from decnet_ttp.tagger.fields import MAX_NAME, extra_flag, extra_text
from decnet_ttp.tagger.lifter import PASSING_FIELDS
from decnet_ttp.tagger.lifters.behavioral_signals import escape_of, sent_class, tools_of
from decnet_ttp.tagger.lifters.behavioral_text import (
    CREDENTIAL_FILES,
    DESTRUCTION,
    SERVICE_ACCOUNT,
    Labelled,
    namespace_of,
    ransom_note,
    router_file,
)
from decnet_ttp.tagger.lifters.behavioral_values import (
    AttemptClass,
    Beacon,
    Count,
    Note,
    Outflow,
    Reading,
    Tool,
)
from decnet_ttp.tagger.lifters.email_evidence import evidence_of
from decnet_ttp.tagger.lifters.email_text import raw_body_of
from decnet_ttp.tagger.lifters.known_files import FileList, known_file, list_file
from decnet_ttp.tagger.predicate_lifter import (
    Hit,
    NoParameters,
    Predicate,
    PredicateLifter,
    Test,
    holds,
)
from decnet_ttp.v1 import event_pb2, rule_pb2, tag_pb2

_SESSION = (SourceKind.SESSION,)
_PATHS = (SourceKind.SESSION, SourceKind.HTTP_REQUEST)
_NOTES = (SourceKind.SESSION, SourceKind.EMAIL)
_FILES = (SourceKind.PAYLOAD,)

#: Hosts and hashes of a mail that evidence shows at most.
_MAX_ITEMS: Final = 64

#: Characters of a path that are read; web servers refuse longer request lines.
_MAX_PATH: Final = 32 * 1024


def _session(
    event: event_pb2.Event, *tokens: str, figures: Mapping[str, float] | None = None
) -> tag_pb2.Evidence:
    evidence = tag_pb2.Evidence()
    evidence.session.service = event.session.service[:MAX_NAME]
    evidence.session.matched_tokens.extend(token[:MAX_NAME] for token in tokens if token)
    for name, value in (figures or {}).items():
        # Evidence is stored as JSON, which has neither infinity nor NaN.
        if math.isfinite(value):
            evidence.session.figures[name] = value
    return evidence


def _request(event: event_pb2.Event, token: str, label: str) -> tag_pb2.Evidence:
    evidence, payload = tag_pb2.Evidence(), event.http_request
    shown = evidence.http_request
    shown.method = payload.method[:MAX_NAME]
    shown.raw_url = payload.raw_url[:MAX_TEXT]
    shown.user_agent = payload.user_agent[:MAX_AGENT]
    shown.matched_tokens.append(token[:MAX_NAME])
    shown.rule_patterns.append(label)
    shown.header_names.extend(name[:MAX_NAME] for name in sorted(payload.headers)[:_MAX_ITEMS])
    return evidence


def beaconing(event: event_pb2.Event, parameters: Beacon) -> tag_pb2.Evidence | None:
    """Requests came at a steady distance. Without a jitter nothing is known of a rhythm."""
    payload = event.session
    if not (payload.HasField("beacon_interval_s") and payload.HasField("beacon_jitter_pct")):
        return None
    interval_s, jitter = payload.beacon_interval_s, payload.beacon_jitter_pct
    steady = math.isfinite(interval_s) and 0 <= jitter <= parameters.max_jitter_pct
    if not steady or interval_s < parameters.min_interval_s:
        return None
    figures = {"beacon_interval_s": interval_s, "beacon_jitter_pct": jitter}
    return _session(event, figures=figures)


def data_destruction(event: event_pb2.Event, parameters: NoParameters) -> tag_pb2.Evidence | None:
    """A data store was emptied or dropped."""
    del parameters
    payload = event.session
    label = DESTRUCTION.find(payload.op_text or extra_text(event, "command_text"))
    return None if label is None else _session(event, label, payload.target_host)


def ransom(event: event_pb2.Event, parameters: Note) -> tag_pb2.Evidence | None:
    """A note demands payment to an address; a database may be where it was left."""
    if event.source_kind == SourceKind.EMAIL:
        text = f"{event.email.subject}\n{raw_body_of(event)}"
    else:
        payload = event.session
        body = raw_body_of(event)
        text = f"{payload.note_text}\n{body}\n{payload.op_text}"
    found = ransom_note(text, parameters.keywords)
    if found is None:
        return None
    keywords, wallets = found
    if event.source_kind != SourceKind.EMAIL:
        return _session(event, *wallets, *keywords)
    return evidence_of(event, signals=wallets, body_keywords=keywords)


def _exfil_over_web(parameters: Outflow, rule: rule_pb2.Rule, rules_dir: Path | None) -> Test:
    """Bind: much data that went out is sure; many requests alone may as well be a scan."""
    del rules_dir
    emitted = [each.sub_technique_id or each.technique_id for each in rule.emissions]
    fainter = dict.fromkeys(emitted, parameters.requests_factor)

    def test(event: event_pb2.Event) -> Iterable[Hit]:
        payload = event.session
        much = payload.bytes_out >= parameters.min_bytes and math.isfinite(payload.bytes_out)
        if not much and payload.request_count < parameters.min_requests:
            return
        figures: dict[str, float] = {}
        if payload.HasField("bytes_out"):
            figures["bytes_out"] = payload.bytes_out
        if payload.HasField("request_count"):
            figures["request_count"] = payload.request_count
        evidence = _session(event, payload.target_host, figures=figures)
        yield Hit(evidence, None if much else fainter)

    return test


def mass_read(event: event_pb2.Event, parameters: Reading) -> tag_pb2.Evidence | None:
    """A data store was read on a large scale."""
    payload = event.session
    many = payload.rows_read >= parameters.min_rows
    much = payload.bytes_read >= parameters.min_bytes and math.isfinite(payload.bytes_read)
    if not many and not much:
        return None
    figures: dict[str, float] = {}
    if payload.HasField("rows_read"):
        figures["rows_read"] = payload.rows_read
    if payload.HasField("bytes_read"):
        figures["bytes_read"] = payload.bytes_read
    return _session(event, figures=figures)


def _paths(event: event_pb2.Event) -> Iterator[str]:
    """Yield the paths an event speaks of, without percent-encoding."""
    if event.source_kind == SourceKind.HTTP_REQUEST:
        typed = [event.http_request.raw_url, event.http_request.request_path]
    else:
        typed = [event.session.path, *event.session.paths]
    sent = [extra_text(event, name) for name in ("matched_path", "request_path", "path")]
    found = dict.fromkeys(path[:_MAX_PATH] for path in (*typed, *sent) if path)
    yield from map(percent_decode, found)


def _path_among(files: Labelled, event: event_pb2.Event) -> tuple[str, str] | None:
    for path in _paths(event):
        label = files.find(path)
        if label is not None:
            return path, label
    return None


def credentials_in_files(
    event: event_pb2.Event, parameters: NoParameters
) -> tag_pb2.Evidence | None:
    """A file was asked for that holds credentials."""
    del parameters
    found = _path_among(CREDENTIAL_FILES, event)
    if found is None:
        return None
    path, label = found
    if event.source_kind == SourceKind.HTTP_REQUEST:
        return _request(event, path, label)
    return _session(event, path, label)


def service_account_token(
    event: event_pb2.Event, parameters: NoParameters
) -> tag_pb2.Evidence | None:
    """Kubernetes' secrets or the token of a service account were asked for."""
    del parameters
    found = _path_among(SERVICE_ACCOUNT, event)
    if found is None:
        return None
    path, label = found
    if event.source_kind == SourceKind.HTTP_REQUEST:
        return _request(event, path, label)
    namespace = namespace_of(path)
    return _session(event, path, label, f"namespace:{namespace}" if namespace else "")


def container_escape(event: event_pb2.Event, parameters: NoParameters) -> tag_pb2.Evidence | None:
    """A container was asked for that owns its host."""
    del parameters
    payload = event.session
    found = next((each for each in map(escape_of, payload.signals) if each), None)
    return None if found is None else _session(event, found, payload.container_image)


def llmnr_poisoning(event: event_pb2.Event, parameters: Count) -> tag_pb2.Evidence | None:
    """Names were answered for that belong to nobody."""
    payload = event.session
    counted = payload.llmnr_poison_count >= parameters.min_count
    if not counted and not extra_flag(event, "llmnr_poisoned"):
        return None
    figures: dict[str, float] = {}
    if payload.HasField("llmnr_poison_count"):
        figures["llmnr_poison_count"] = payload.llmnr_poison_count
    query, victim = extra_text(event, "poisoned_query"), extra_text(event, "victim_host")
    return _session(event, query, victim, figures=figures)


def router_configuration(
    event: event_pb2.Event, parameters: NoParameters
) -> tag_pb2.Evidence | None:
    """The configuration of a router or switch was asked for."""
    del parameters
    payload = event.session
    if router_file(payload.tftp_filename) is None:
        return None
    host = payload.target_host or extra_text(event, "source_host")
    return _session(event, payload.tftp_filename, host)


def behavior_class(event: event_pb2.Event, parameters: AttemptClass) -> tag_pb2.Evidence | None:
    """A sensor came to that class, or as many log-ins were tried as it takes."""
    payload = event.session
    figures: dict[str, float] = {}
    if parameters.min_attempts and payload.auth_attempt_count >= parameters.min_attempts:
        figures["auth_attempt_count"] = payload.auth_attempt_count
    elif sent_class(event) != parameters.behavior:
        return None
    return _session(event, parameters.behavior, figures=figures)


def tool_guess(event: event_pb2.Event, parameters: Tool) -> tag_pb2.Evidence | None:
    """A sensor guessed the tool, or the tool names itself."""
    if parameters.tool not in tools_of(event):
        return None
    if event.source_kind == SourceKind.HTTP_REQUEST:
        return _request(event, parameters.tool, parameters.tool)
    return _session(event, parameters.tool)


class BehavioralLifter(PredicateLifter):
    """Lifts what sessions, requests and files show as a whole.

    Attributes:
        reads_messages: A ransom note may be a mail, so it looks into those that it reaches.
        waits_for_messages: None is held up for that.
    """

    name: ClassVar[str] = "behavioral"
    unread: ClassVar = PASSING_FIELDS
    owns_prefixes: ClassVar = ("behavioral_",)
    confidence_fixed: ClassVar[bool] = True
    reads_messages: ClassVar[bool] = True
    waits_for_messages: ClassVar[bool] = False
    predicates: ClassVar = {
        "behavioral_beaconing": holds(_SESSION, Beacon, beaconing),
        "behavioral_class": holds(_SESSION, AttemptClass, behavior_class),
        "behavioral_credentials_in_files": holds(_PATHS, NoParameters, credentials_in_files),
        "behavioral_data_destruction": holds(_SESSION, NoParameters, data_destruction),
        "behavioral_db_mass_read": holds(_SESSION, Reading, mass_read),
        "behavioral_docker_escape": holds(_SESSION, NoParameters, container_escape),
        "behavioral_exfil_over_web": Predicate(frozenset(_SESSION), Outflow, _exfil_over_web),
        "behavioral_k8s_sa_token": holds(_PATHS, NoParameters, service_account_token),
        "behavioral_known_file": Predicate(frozenset(_FILES), FileList, known_file, data=list_file),
        "behavioral_llmnr_poisoning": holds(_SESSION, Count, llmnr_poisoning),
        "behavioral_ransom_note": holds(_NOTES, Note, ransom),
        "behavioral_tftp_router_config": holds(_SESSION, NoParameters, router_configuration),
        "behavioral_tool_guess": holds(_PATHS, Tool, tool_guess),
    }
