import datetime

from decnet_ttp.v1 import scope_pb2 as _scope_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TagGroup(_message.Message):
    __slots__ = ("origin_id", "anchor", "session_id", "decky_id", "tags", "adjustments")
    ORIGIN_ID_FIELD_NUMBER: _ClassVar[int]
    ANCHOR_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    DECKY_ID_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    ADJUSTMENTS_FIELD_NUMBER: _ClassVar[int]
    origin_id: str
    anchor: _scope_pb2.Anchor
    session_id: str
    decky_id: str
    tags: _containers.RepeatedCompositeFieldContainer[TagDraft]
    adjustments: _containers.RepeatedCompositeFieldContainer[AdjustmentDraft]
    def __init__(self, origin_id: _Optional[str] = ..., anchor: _Optional[_Union[_scope_pb2.Anchor, _Mapping]] = ..., session_id: _Optional[str] = ..., decky_id: _Optional[str] = ..., tags: _Optional[_Iterable[_Union[TagDraft, _Mapping]]] = ..., adjustments: _Optional[_Iterable[_Union[AdjustmentDraft, _Mapping]]] = ...) -> None: ...

class AdjustmentDraft(_message.Message):
    __slots__ = ("source_kind", "source_id", "observe_time", "rule_id", "rule_version", "amount", "reason")
    SOURCE_KIND_FIELD_NUMBER: _ClassVar[int]
    SOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    OBSERVE_TIME_FIELD_NUMBER: _ClassVar[int]
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    RULE_VERSION_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    source_kind: str
    source_id: str
    observe_time: _timestamp_pb2.Timestamp
    rule_id: str
    rule_version: int
    amount: float
    reason: str
    def __init__(self, source_kind: _Optional[str] = ..., source_id: _Optional[str] = ..., observe_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., rule_id: _Optional[str] = ..., rule_version: _Optional[int] = ..., amount: _Optional[float] = ..., reason: _Optional[str] = ...) -> None: ...

class TagDraft(_message.Message):
    __slots__ = ("source_kind", "source_id", "observe_time", "rule_id", "rule_version", "tactic", "technique_id", "sub_technique_id", "confidence", "evidence", "attack_release", "confidence_fixed")
    SOURCE_KIND_FIELD_NUMBER: _ClassVar[int]
    SOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    OBSERVE_TIME_FIELD_NUMBER: _ClassVar[int]
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    RULE_VERSION_FIELD_NUMBER: _ClassVar[int]
    TACTIC_FIELD_NUMBER: _ClassVar[int]
    TECHNIQUE_ID_FIELD_NUMBER: _ClassVar[int]
    SUB_TECHNIQUE_ID_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    ATTACK_RELEASE_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIXED_FIELD_NUMBER: _ClassVar[int]
    source_kind: str
    source_id: str
    observe_time: _timestamp_pb2.Timestamp
    rule_id: str
    rule_version: int
    tactic: str
    technique_id: str
    sub_technique_id: str
    confidence: float
    evidence: Evidence
    attack_release: str
    confidence_fixed: bool
    def __init__(self, source_kind: _Optional[str] = ..., source_id: _Optional[str] = ..., observe_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., rule_id: _Optional[str] = ..., rule_version: _Optional[int] = ..., tactic: _Optional[str] = ..., technique_id: _Optional[str] = ..., sub_technique_id: _Optional[str] = ..., confidence: _Optional[float] = ..., evidence: _Optional[_Union[Evidence, _Mapping]] = ..., attack_release: _Optional[str] = ..., confidence_fixed: _Optional[bool] = ...) -> None: ...

class Tag(_message.Message):
    __slots__ = ("uuid", "anchor", "session_id", "decky_id", "source_kind", "source_id", "tactic", "tactic_name", "technique_id", "technique_name", "sub_technique_id", "sub_technique_name", "confidence", "rule_id", "rule_version", "evidence", "attack_release", "mitre_uri", "observe_time", "create_time", "effective_confidence", "adjustments", "retirement")
    UUID_FIELD_NUMBER: _ClassVar[int]
    ANCHOR_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    DECKY_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_KIND_FIELD_NUMBER: _ClassVar[int]
    SOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    TACTIC_FIELD_NUMBER: _ClassVar[int]
    TACTIC_NAME_FIELD_NUMBER: _ClassVar[int]
    TECHNIQUE_ID_FIELD_NUMBER: _ClassVar[int]
    TECHNIQUE_NAME_FIELD_NUMBER: _ClassVar[int]
    SUB_TECHNIQUE_ID_FIELD_NUMBER: _ClassVar[int]
    SUB_TECHNIQUE_NAME_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    RULE_VERSION_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    ATTACK_RELEASE_FIELD_NUMBER: _ClassVar[int]
    MITRE_URI_FIELD_NUMBER: _ClassVar[int]
    OBSERVE_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    ADJUSTMENTS_FIELD_NUMBER: _ClassVar[int]
    RETIREMENT_FIELD_NUMBER: _ClassVar[int]
    uuid: str
    anchor: _scope_pb2.Anchor
    session_id: str
    decky_id: str
    source_kind: str
    source_id: str
    tactic: str
    tactic_name: str
    technique_id: str
    technique_name: str
    sub_technique_id: str
    sub_technique_name: str
    confidence: float
    rule_id: str
    rule_version: int
    evidence: Evidence
    attack_release: str
    mitre_uri: str
    observe_time: _timestamp_pb2.Timestamp
    create_time: _timestamp_pb2.Timestamp
    effective_confidence: float
    adjustments: _containers.RepeatedCompositeFieldContainer[Adjustment]
    retirement: Retirement
    def __init__(self, uuid: _Optional[str] = ..., anchor: _Optional[_Union[_scope_pb2.Anchor, _Mapping]] = ..., session_id: _Optional[str] = ..., decky_id: _Optional[str] = ..., source_kind: _Optional[str] = ..., source_id: _Optional[str] = ..., tactic: _Optional[str] = ..., tactic_name: _Optional[str] = ..., technique_id: _Optional[str] = ..., technique_name: _Optional[str] = ..., sub_technique_id: _Optional[str] = ..., sub_technique_name: _Optional[str] = ..., confidence: _Optional[float] = ..., rule_id: _Optional[str] = ..., rule_version: _Optional[int] = ..., evidence: _Optional[_Union[Evidence, _Mapping]] = ..., attack_release: _Optional[str] = ..., mitre_uri: _Optional[str] = ..., observe_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., effective_confidence: _Optional[float] = ..., adjustments: _Optional[_Iterable[_Union[Adjustment, _Mapping]]] = ..., retirement: _Optional[_Union[Retirement, _Mapping]] = ...) -> None: ...

class Retirement(_message.Message):
    __slots__ = ("uuid", "requested_by", "reason", "create_time")
    UUID_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    uuid: str
    requested_by: str
    reason: str
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, uuid: _Optional[str] = ..., requested_by: _Optional[str] = ..., reason: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Adjustment(_message.Message):
    __slots__ = ("rule_id", "rule_version", "amount", "ceiling", "reason", "source_kind", "source_id", "observe_time")
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    RULE_VERSION_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    CEILING_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SOURCE_KIND_FIELD_NUMBER: _ClassVar[int]
    SOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    OBSERVE_TIME_FIELD_NUMBER: _ClassVar[int]
    rule_id: str
    rule_version: int
    amount: float
    ceiling: float
    reason: str
    source_kind: str
    source_id: str
    observe_time: _timestamp_pb2.Timestamp
    def __init__(self, rule_id: _Optional[str] = ..., rule_version: _Optional[int] = ..., amount: _Optional[float] = ..., ceiling: _Optional[float] = ..., reason: _Optional[str] = ..., source_kind: _Optional[str] = ..., source_id: _Optional[str] = ..., observe_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Evidence(_message.Message):
    __slots__ = ("command", "http_request", "auth_attempt", "file", "session", "email", "intel", "canary_fingerprint", "identity", "credential", "http_fingerprint", "ipv6_leak", "other")
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    HTTP_REQUEST_FIELD_NUMBER: _ClassVar[int]
    AUTH_ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    INTEL_FIELD_NUMBER: _ClassVar[int]
    CANARY_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    HTTP_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    IPV6_LEAK_FIELD_NUMBER: _ClassVar[int]
    OTHER_FIELD_NUMBER: _ClassVar[int]
    command: CommandEvidence
    http_request: HttpRequestEvidence
    auth_attempt: AuthAttemptEvidence
    file: FileEvidence
    session: SessionEvidence
    email: EmailEvidence
    intel: IntelEvidence
    canary_fingerprint: CanaryFingerprintEvidence
    identity: IdentityEvidence
    credential: CredentialEvidence
    http_fingerprint: HttpFingerprintEvidence
    ipv6_leak: Ipv6LeakEvidence
    other: OtherEvidence
    def __init__(self, command: _Optional[_Union[CommandEvidence, _Mapping]] = ..., http_request: _Optional[_Union[HttpRequestEvidence, _Mapping]] = ..., auth_attempt: _Optional[_Union[AuthAttemptEvidence, _Mapping]] = ..., file: _Optional[_Union[FileEvidence, _Mapping]] = ..., session: _Optional[_Union[SessionEvidence, _Mapping]] = ..., email: _Optional[_Union[EmailEvidence, _Mapping]] = ..., intel: _Optional[_Union[IntelEvidence, _Mapping]] = ..., canary_fingerprint: _Optional[_Union[CanaryFingerprintEvidence, _Mapping]] = ..., identity: _Optional[_Union[IdentityEvidence, _Mapping]] = ..., credential: _Optional[_Union[CredentialEvidence, _Mapping]] = ..., http_fingerprint: _Optional[_Union[HttpFingerprintEvidence, _Mapping]] = ..., ipv6_leak: _Optional[_Union[Ipv6LeakEvidence, _Mapping]] = ..., other: _Optional[_Union[OtherEvidence, _Mapping]] = ...) -> None: ...

class CommandEvidence(_message.Message):
    __slots__ = ("command_text", "command_sha256", "matched_tokens", "rule_patterns", "uid", "user", "src", "pwd")
    COMMAND_TEXT_FIELD_NUMBER: _ClassVar[int]
    COMMAND_SHA256_FIELD_NUMBER: _ClassVar[int]
    MATCHED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    RULE_PATTERNS_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    SRC_FIELD_NUMBER: _ClassVar[int]
    PWD_FIELD_NUMBER: _ClassVar[int]
    command_text: str
    command_sha256: str
    matched_tokens: _containers.RepeatedScalarFieldContainer[str]
    rule_patterns: _containers.RepeatedScalarFieldContainer[str]
    uid: str
    user: str
    src: str
    pwd: str
    def __init__(self, command_text: _Optional[str] = ..., command_sha256: _Optional[str] = ..., matched_tokens: _Optional[_Iterable[str]] = ..., rule_patterns: _Optional[_Iterable[str]] = ..., uid: _Optional[str] = ..., user: _Optional[str] = ..., src: _Optional[str] = ..., pwd: _Optional[str] = ...) -> None: ...

class HttpRequestEvidence(_message.Message):
    __slots__ = ("method", "raw_url", "user_agent", "matched_tokens", "rule_patterns", "header_names")
    METHOD_FIELD_NUMBER: _ClassVar[int]
    RAW_URL_FIELD_NUMBER: _ClassVar[int]
    USER_AGENT_FIELD_NUMBER: _ClassVar[int]
    MATCHED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    RULE_PATTERNS_FIELD_NUMBER: _ClassVar[int]
    HEADER_NAMES_FIELD_NUMBER: _ClassVar[int]
    method: str
    raw_url: str
    user_agent: str
    matched_tokens: _containers.RepeatedScalarFieldContainer[str]
    rule_patterns: _containers.RepeatedScalarFieldContainer[str]
    header_names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, method: _Optional[str] = ..., raw_url: _Optional[str] = ..., user_agent: _Optional[str] = ..., matched_tokens: _Optional[_Iterable[str]] = ..., rule_patterns: _Optional[_Iterable[str]] = ..., header_names: _Optional[_Iterable[str]] = ...) -> None: ...

class AuthAttemptEvidence(_message.Message):
    __slots__ = ("service", "username", "fail_count", "password_count", "matched_tokens")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    USERNAME_FIELD_NUMBER: _ClassVar[int]
    FAIL_COUNT_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_COUNT_FIELD_NUMBER: _ClassVar[int]
    MATCHED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    service: str
    username: str
    fail_count: int
    password_count: int
    matched_tokens: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, service: _Optional[str] = ..., username: _Optional[str] = ..., fail_count: _Optional[int] = ..., password_count: _Optional[int] = ..., matched_tokens: _Optional[_Iterable[str]] = ...) -> None: ...

class FileEvidence(_message.Message):
    __slots__ = ("sha256", "url", "filename", "direction", "matched_tokens")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    FILENAME_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    MATCHED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    url: str
    filename: str
    direction: str
    matched_tokens: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, sha256: _Optional[str] = ..., url: _Optional[str] = ..., filename: _Optional[str] = ..., direction: _Optional[str] = ..., matched_tokens: _Optional[_Iterable[str]] = ...) -> None: ...

class SessionEvidence(_message.Message):
    __slots__ = ("service", "figures", "matched_tokens", "steps")
    class FiguresEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    MATCHED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    service: str
    figures: _containers.ScalarMap[str, float]
    matched_tokens: _containers.RepeatedScalarFieldContainer[str]
    steps: _containers.RepeatedCompositeFieldContainer[TimelineStepEvidence]
    def __init__(self, service: _Optional[str] = ..., figures: _Optional[_Mapping[str, float]] = ..., matched_tokens: _Optional[_Iterable[str]] = ..., steps: _Optional[_Iterable[_Union[TimelineStepEvidence, _Mapping]]] = ...) -> None: ...

class TimelineStepEvidence(_message.Message):
    __slots__ = ("step", "count", "source_kind", "source_id", "offset_s")
    STEP_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_KIND_FIELD_NUMBER: _ClassVar[int]
    SOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    OFFSET_S_FIELD_NUMBER: _ClassVar[int]
    step: str
    count: int
    source_kind: str
    source_id: str
    offset_s: float
    def __init__(self, step: _Optional[str] = ..., count: _Optional[int] = ..., source_kind: _Optional[str] = ..., source_id: _Optional[str] = ..., offset_s: _Optional[float] = ...) -> None: ...

class EmailEvidence(_message.Message):
    __slots__ = ("body_sha256", "matched_header_names", "rcpt_domains", "attachment_sha256s", "rcpt_count", "matched_kit", "matched_trigger", "matched_url_host", "matched_signals", "matched_subject_keywords", "matched_body_keywords", "encoded_bytes")
    BODY_SHA256_FIELD_NUMBER: _ClassVar[int]
    MATCHED_HEADER_NAMES_FIELD_NUMBER: _ClassVar[int]
    RCPT_DOMAINS_FIELD_NUMBER: _ClassVar[int]
    ATTACHMENT_SHA256S_FIELD_NUMBER: _ClassVar[int]
    RCPT_COUNT_FIELD_NUMBER: _ClassVar[int]
    MATCHED_KIT_FIELD_NUMBER: _ClassVar[int]
    MATCHED_TRIGGER_FIELD_NUMBER: _ClassVar[int]
    MATCHED_URL_HOST_FIELD_NUMBER: _ClassVar[int]
    MATCHED_SIGNALS_FIELD_NUMBER: _ClassVar[int]
    MATCHED_SUBJECT_KEYWORDS_FIELD_NUMBER: _ClassVar[int]
    MATCHED_BODY_KEYWORDS_FIELD_NUMBER: _ClassVar[int]
    ENCODED_BYTES_FIELD_NUMBER: _ClassVar[int]
    body_sha256: str
    matched_header_names: _containers.RepeatedScalarFieldContainer[str]
    rcpt_domains: _containers.RepeatedScalarFieldContainer[str]
    attachment_sha256s: _containers.RepeatedScalarFieldContainer[str]
    rcpt_count: int
    matched_kit: str
    matched_trigger: str
    matched_url_host: str
    matched_signals: _containers.RepeatedScalarFieldContainer[str]
    matched_subject_keywords: _containers.RepeatedScalarFieldContainer[str]
    matched_body_keywords: _containers.RepeatedScalarFieldContainer[str]
    encoded_bytes: int
    def __init__(self, body_sha256: _Optional[str] = ..., matched_header_names: _Optional[_Iterable[str]] = ..., rcpt_domains: _Optional[_Iterable[str]] = ..., attachment_sha256s: _Optional[_Iterable[str]] = ..., rcpt_count: _Optional[int] = ..., matched_kit: _Optional[str] = ..., matched_trigger: _Optional[str] = ..., matched_url_host: _Optional[str] = ..., matched_signals: _Optional[_Iterable[str]] = ..., matched_subject_keywords: _Optional[_Iterable[str]] = ..., matched_body_keywords: _Optional[_Iterable[str]] = ..., encoded_bytes: _Optional[int] = ...) -> None: ...

class IntelEvidence(_message.Message):
    __slots__ = ("provider", "signals", "score", "malware_families", "reference_uri")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    MALWARE_FAMILIES_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_URI_FIELD_NUMBER: _ClassVar[int]
    provider: str
    signals: _containers.RepeatedScalarFieldContainer[str]
    score: float
    malware_families: _containers.RepeatedScalarFieldContainer[str]
    reference_uri: str
    def __init__(self, provider: _Optional[str] = ..., signals: _Optional[_Iterable[str]] = ..., score: _Optional[float] = ..., malware_families: _Optional[_Iterable[str]] = ..., reference_uri: _Optional[str] = ...) -> None: ...

class CanaryFingerprintEvidence(_message.Message):
    __slots__ = ("metric", "matched_signature")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    MATCHED_SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    metric: str
    matched_signature: str
    def __init__(self, metric: _Optional[str] = ..., matched_signature: _Optional[str] = ...) -> None: ...

class IdentityEvidence(_message.Message):
    __slots__ = ("shared_password_hash", "account_count")
    SHARED_PASSWORD_HASH_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_COUNT_FIELD_NUMBER: _ClassVar[int]
    shared_password_hash: str
    account_count: int
    def __init__(self, shared_password_hash: _Optional[str] = ..., account_count: _Optional[int] = ...) -> None: ...

class CredentialEvidence(_message.Message):
    __slots__ = ("credential_hash", "reuse_count", "services")
    CREDENTIAL_HASH_FIELD_NUMBER: _ClassVar[int]
    REUSE_COUNT_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    credential_hash: str
    reuse_count: int
    services: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, credential_hash: _Optional[str] = ..., reuse_count: _Optional[int] = ..., services: _Optional[_Iterable[str]] = ...) -> None: ...

class HttpFingerprintEvidence(_message.Message):
    __slots__ = ("fingerprint_type", "hash", "protocol", "matched_framework")
    FINGERPRINT_TYPE_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    MATCHED_FRAMEWORK_FIELD_NUMBER: _ClassVar[int]
    fingerprint_type: str
    hash: str
    protocol: str
    matched_framework: str
    def __init__(self, fingerprint_type: _Optional[str] = ..., hash: _Optional[str] = ..., protocol: _Optional[str] = ..., matched_framework: _Optional[str] = ...) -> None: ...

class Ipv6LeakEvidence(_message.Message):
    __slots__ = ("addr", "mac_oui", "iid_kind", "vector")
    ADDR_FIELD_NUMBER: _ClassVar[int]
    MAC_OUI_FIELD_NUMBER: _ClassVar[int]
    IID_KIND_FIELD_NUMBER: _ClassVar[int]
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    addr: str
    mac_oui: str
    iid_kind: str
    vector: str
    def __init__(self, addr: _Optional[str] = ..., mac_oui: _Optional[str] = ..., iid_kind: _Optional[str] = ..., vector: _Optional[str] = ...) -> None: ...

class OtherEvidence(_message.Message):
    __slots__ = ("matched_fields",)
    MATCHED_FIELDS_FIELD_NUMBER: _ClassVar[int]
    matched_fields: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, matched_fields: _Optional[_Iterable[str]] = ...) -> None: ...
