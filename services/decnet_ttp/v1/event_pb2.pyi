import datetime

from decnet_ttp.v1 import scope_pb2 as _scope_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EventGroup(_message.Message):
    __slots__ = ("origin_id", "anchor", "session_id", "decky_id", "events", "attacker_ip")
    ORIGIN_ID_FIELD_NUMBER: _ClassVar[int]
    ANCHOR_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    DECKY_ID_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    ATTACKER_IP_FIELD_NUMBER: _ClassVar[int]
    origin_id: str
    anchor: _scope_pb2.Anchor
    session_id: str
    decky_id: str
    events: _containers.RepeatedCompositeFieldContainer[Event]
    attacker_ip: str
    def __init__(self, origin_id: _Optional[str] = ..., anchor: _Optional[_Union[_scope_pb2.Anchor, _Mapping]] = ..., session_id: _Optional[str] = ..., decky_id: _Optional[str] = ..., events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., attacker_ip: _Optional[str] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("source_kind", "source_id", "observe_time", "attacker_ip", "command", "http_request", "auth_attempt", "file", "session", "email", "intel", "canary_fingerprint", "identity", "credential", "http_fingerprint", "ipv6_leak", "other", "extra", "mail_content", "told_before")
    SOURCE_KIND_FIELD_NUMBER: _ClassVar[int]
    SOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    OBSERVE_TIME_FIELD_NUMBER: _ClassVar[int]
    ATTACKER_IP_FIELD_NUMBER: _ClassVar[int]
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
    EXTRA_FIELD_NUMBER: _ClassVar[int]
    MAIL_CONTENT_FIELD_NUMBER: _ClassVar[int]
    TOLD_BEFORE_FIELD_NUMBER: _ClassVar[int]
    source_kind: str
    source_id: str
    observe_time: _timestamp_pb2.Timestamp
    attacker_ip: str
    command: CommandPayload
    http_request: HttpRequestPayload
    auth_attempt: AuthAttemptPayload
    file: FilePayload
    session: SessionPayload
    email: EmailPayload
    intel: IntelPayload
    canary_fingerprint: CanaryFingerprintPayload
    identity: IdentityPayload
    credential: CredentialPayload
    http_fingerprint: HttpFingerprintPayload
    ipv6_leak: Ipv6LeakPayload
    other: _struct_pb2.Struct
    extra: _struct_pb2.Struct
    mail_content: MailContent
    told_before: bool
    def __init__(self, source_kind: _Optional[str] = ..., source_id: _Optional[str] = ..., observe_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attacker_ip: _Optional[str] = ..., command: _Optional[_Union[CommandPayload, _Mapping]] = ..., http_request: _Optional[_Union[HttpRequestPayload, _Mapping]] = ..., auth_attempt: _Optional[_Union[AuthAttemptPayload, _Mapping]] = ..., file: _Optional[_Union[FilePayload, _Mapping]] = ..., session: _Optional[_Union[SessionPayload, _Mapping]] = ..., email: _Optional[_Union[EmailPayload, _Mapping]] = ..., intel: _Optional[_Union[IntelPayload, _Mapping]] = ..., canary_fingerprint: _Optional[_Union[CanaryFingerprintPayload, _Mapping]] = ..., identity: _Optional[_Union[IdentityPayload, _Mapping]] = ..., credential: _Optional[_Union[CredentialPayload, _Mapping]] = ..., http_fingerprint: _Optional[_Union[HttpFingerprintPayload, _Mapping]] = ..., ipv6_leak: _Optional[_Union[Ipv6LeakPayload, _Mapping]] = ..., other: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., extra: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., mail_content: _Optional[_Union[MailContent, _Mapping]] = ..., told_before: _Optional[bool] = ...) -> None: ...

class CommandPayload(_message.Message):
    __slots__ = ("command_text", "uid", "user", "src", "pwd", "success", "service")
    COMMAND_TEXT_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    SRC_FIELD_NUMBER: _ClassVar[int]
    PWD_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    command_text: str
    uid: str
    user: str
    src: str
    pwd: str
    success: bool
    service: str
    def __init__(self, command_text: _Optional[str] = ..., uid: _Optional[str] = ..., user: _Optional[str] = ..., src: _Optional[str] = ..., pwd: _Optional[str] = ..., success: _Optional[bool] = ..., service: _Optional[str] = ...) -> None: ...

class HttpRequestPayload(_message.Message):
    __slots__ = ("method", "raw_url", "request_path", "user_agent", "headers", "body", "status", "host")
    class HeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    METHOD_FIELD_NUMBER: _ClassVar[int]
    RAW_URL_FIELD_NUMBER: _ClassVar[int]
    REQUEST_PATH_FIELD_NUMBER: _ClassVar[int]
    USER_AGENT_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    method: str
    raw_url: str
    request_path: str
    user_agent: str
    headers: _containers.ScalarMap[str, str]
    body: str
    status: int
    host: str
    def __init__(self, method: _Optional[str] = ..., raw_url: _Optional[str] = ..., request_path: _Optional[str] = ..., user_agent: _Optional[str] = ..., headers: _Optional[_Mapping[str, str]] = ..., body: _Optional[str] = ..., status: _Optional[int] = ..., host: _Optional[str] = ...) -> None: ...

class AuthAttemptPayload(_message.Message):
    __slots__ = ("service", "username", "password", "result", "fail_count", "password_count", "prior_brute")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    USERNAME_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FAIL_COUNT_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_COUNT_FIELD_NUMBER: _ClassVar[int]
    PRIOR_BRUTE_FIELD_NUMBER: _ClassVar[int]
    service: str
    username: str
    password: str
    result: str
    fail_count: int
    password_count: int
    prior_brute: bool
    def __init__(self, service: _Optional[str] = ..., username: _Optional[str] = ..., password: _Optional[str] = ..., result: _Optional[str] = ..., fail_count: _Optional[int] = ..., password_count: _Optional[int] = ..., prior_brute: _Optional[bool] = ...) -> None: ...

class FilePayload(_message.Message):
    __slots__ = ("sha256", "url", "filename", "direction", "size_bytes", "payload_text")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    FILENAME_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_TEXT_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    url: str
    filename: str
    direction: str
    size_bytes: int
    payload_text: str
    def __init__(self, sha256: _Optional[str] = ..., url: _Optional[str] = ..., filename: _Optional[str] = ..., direction: _Optional[str] = ..., size_bytes: _Optional[int] = ..., payload_text: _Optional[str] = ...) -> None: ...

class SessionPayload(_message.Message):
    __slots__ = ("service", "protocol", "duration_s", "client_version", "hassh", "jarm", "command_count", "auth_attempt_count", "beacon_interval_s", "beacon_jitter_pct", "bytes_out", "bytes_read", "request_count", "rows_read", "op_text", "note_text", "path", "target_host", "tftp_filename", "signals", "container_image", "llmnr_poison_count", "paths")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    DURATION_S_FIELD_NUMBER: _ClassVar[int]
    CLIENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    HASSH_FIELD_NUMBER: _ClassVar[int]
    JARM_FIELD_NUMBER: _ClassVar[int]
    COMMAND_COUNT_FIELD_NUMBER: _ClassVar[int]
    AUTH_ATTEMPT_COUNT_FIELD_NUMBER: _ClassVar[int]
    BEACON_INTERVAL_S_FIELD_NUMBER: _ClassVar[int]
    BEACON_JITTER_PCT_FIELD_NUMBER: _ClassVar[int]
    BYTES_OUT_FIELD_NUMBER: _ClassVar[int]
    BYTES_READ_FIELD_NUMBER: _ClassVar[int]
    REQUEST_COUNT_FIELD_NUMBER: _ClassVar[int]
    ROWS_READ_FIELD_NUMBER: _ClassVar[int]
    OP_TEXT_FIELD_NUMBER: _ClassVar[int]
    NOTE_TEXT_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    TARGET_HOST_FIELD_NUMBER: _ClassVar[int]
    TFTP_FILENAME_FIELD_NUMBER: _ClassVar[int]
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_IMAGE_FIELD_NUMBER: _ClassVar[int]
    LLMNR_POISON_COUNT_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    service: str
    protocol: str
    duration_s: float
    client_version: str
    hassh: str
    jarm: str
    command_count: int
    auth_attempt_count: int
    beacon_interval_s: float
    beacon_jitter_pct: float
    bytes_out: float
    bytes_read: float
    request_count: int
    rows_read: int
    op_text: str
    note_text: str
    path: str
    target_host: str
    tftp_filename: str
    signals: _containers.RepeatedScalarFieldContainer[str]
    container_image: str
    llmnr_poison_count: int
    paths: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, service: _Optional[str] = ..., protocol: _Optional[str] = ..., duration_s: _Optional[float] = ..., client_version: _Optional[str] = ..., hassh: _Optional[str] = ..., jarm: _Optional[str] = ..., command_count: _Optional[int] = ..., auth_attempt_count: _Optional[int] = ..., beacon_interval_s: _Optional[float] = ..., beacon_jitter_pct: _Optional[float] = ..., bytes_out: _Optional[float] = ..., bytes_read: _Optional[float] = ..., request_count: _Optional[int] = ..., rows_read: _Optional[int] = ..., op_text: _Optional[str] = ..., note_text: _Optional[str] = ..., path: _Optional[str] = ..., target_host: _Optional[str] = ..., tftp_filename: _Optional[str] = ..., signals: _Optional[_Iterable[str]] = ..., container_image: _Optional[str] = ..., llmnr_poison_count: _Optional[int] = ..., paths: _Optional[_Iterable[str]] = ...) -> None: ...

class EmailPayload(_message.Message):
    __slots__ = ("subject", "from_domain", "mail_from_domain", "return_path_domain", "rcpt_count", "rcpt_domains", "x_mailer", "dkim_signed", "spf_pass", "urls", "attachment_count", "attachment_sha256s", "attachment_extensions", "body_simhash", "body_base64_bytes", "attachment_macros", "attachment_password_protected", "html_smuggling", "mal_hash_match", "stored_as", "body_sha256", "reply_to_domain", "mailing_list", "date_lag_s")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    FROM_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    MAIL_FROM_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    RETURN_PATH_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    RCPT_COUNT_FIELD_NUMBER: _ClassVar[int]
    RCPT_DOMAINS_FIELD_NUMBER: _ClassVar[int]
    X_MAILER_FIELD_NUMBER: _ClassVar[int]
    DKIM_SIGNED_FIELD_NUMBER: _ClassVar[int]
    SPF_PASS_FIELD_NUMBER: _ClassVar[int]
    URLS_FIELD_NUMBER: _ClassVar[int]
    ATTACHMENT_COUNT_FIELD_NUMBER: _ClassVar[int]
    ATTACHMENT_SHA256S_FIELD_NUMBER: _ClassVar[int]
    ATTACHMENT_EXTENSIONS_FIELD_NUMBER: _ClassVar[int]
    BODY_SIMHASH_FIELD_NUMBER: _ClassVar[int]
    BODY_BASE64_BYTES_FIELD_NUMBER: _ClassVar[int]
    ATTACHMENT_MACROS_FIELD_NUMBER: _ClassVar[int]
    ATTACHMENT_PASSWORD_PROTECTED_FIELD_NUMBER: _ClassVar[int]
    HTML_SMUGGLING_FIELD_NUMBER: _ClassVar[int]
    MAL_HASH_MATCH_FIELD_NUMBER: _ClassVar[int]
    STORED_AS_FIELD_NUMBER: _ClassVar[int]
    BODY_SHA256_FIELD_NUMBER: _ClassVar[int]
    REPLY_TO_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    MAILING_LIST_FIELD_NUMBER: _ClassVar[int]
    DATE_LAG_S_FIELD_NUMBER: _ClassVar[int]
    subject: str
    from_domain: str
    mail_from_domain: str
    return_path_domain: str
    rcpt_count: int
    rcpt_domains: _containers.RepeatedScalarFieldContainer[str]
    x_mailer: str
    dkim_signed: bool
    spf_pass: bool
    urls: _containers.RepeatedScalarFieldContainer[str]
    attachment_count: int
    attachment_sha256s: _containers.RepeatedScalarFieldContainer[str]
    attachment_extensions: _containers.RepeatedScalarFieldContainer[str]
    body_simhash: str
    body_base64_bytes: int
    attachment_macros: bool
    attachment_password_protected: bool
    html_smuggling: bool
    mal_hash_match: bool
    stored_as: str
    body_sha256: str
    reply_to_domain: str
    mailing_list: bool
    date_lag_s: float
    def __init__(self, subject: _Optional[str] = ..., from_domain: _Optional[str] = ..., mail_from_domain: _Optional[str] = ..., return_path_domain: _Optional[str] = ..., rcpt_count: _Optional[int] = ..., rcpt_domains: _Optional[_Iterable[str]] = ..., x_mailer: _Optional[str] = ..., dkim_signed: _Optional[bool] = ..., spf_pass: _Optional[bool] = ..., urls: _Optional[_Iterable[str]] = ..., attachment_count: _Optional[int] = ..., attachment_sha256s: _Optional[_Iterable[str]] = ..., attachment_extensions: _Optional[_Iterable[str]] = ..., body_simhash: _Optional[str] = ..., body_base64_bytes: _Optional[int] = ..., attachment_macros: _Optional[bool] = ..., attachment_password_protected: _Optional[bool] = ..., html_smuggling: _Optional[bool] = ..., mal_hash_match: _Optional[bool] = ..., stored_as: _Optional[str] = ..., body_sha256: _Optional[str] = ..., reply_to_domain: _Optional[str] = ..., mailing_list: _Optional[bool] = ..., date_lag_s: _Optional[float] = ...) -> None: ...

class MailContent(_message.Message):
    __slots__ = ("body_text", "display_name", "links", "hidden_image_urls", "attachments")
    BODY_TEXT_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    LINKS_FIELD_NUMBER: _ClassVar[int]
    HIDDEN_IMAGE_URLS_FIELD_NUMBER: _ClassVar[int]
    ATTACHMENTS_FIELD_NUMBER: _ClassVar[int]
    body_text: str
    display_name: str
    links: _containers.RepeatedCompositeFieldContainer[MailLink]
    hidden_image_urls: _containers.RepeatedScalarFieldContainer[str]
    attachments: _containers.RepeatedCompositeFieldContainer[MailAttachment]
    def __init__(self, body_text: _Optional[str] = ..., display_name: _Optional[str] = ..., links: _Optional[_Iterable[_Union[MailLink, _Mapping]]] = ..., hidden_image_urls: _Optional[_Iterable[str]] = ..., attachments: _Optional[_Iterable[_Union[MailAttachment, _Mapping]]] = ...) -> None: ...

class MailLink(_message.Message):
    __slots__ = ("url", "text")
    URL_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    url: str
    text: str
    def __init__(self, url: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class MailAttachment(_message.Message):
    __slots__ = ("extension", "inner_extension", "content")
    EXTENSION_FIELD_NUMBER: _ClassVar[int]
    INNER_EXTENSION_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    extension: str
    inner_extension: str
    content: str
    def __init__(self, extension: _Optional[str] = ..., inner_extension: _Optional[str] = ..., content: _Optional[str] = ...) -> None: ...

class IntelPayload(_message.Message):
    __slots__ = ("aggregate_verdict", "abuseipdb_score", "abuseipdb_categories", "greynoise_classification", "greynoise_tags", "greynoise_name", "feodo_listed", "feodo_malware_family", "threatfox_threat_types", "threatfox_ioc_types", "threatfox_malware_families")
    AGGREGATE_VERDICT_FIELD_NUMBER: _ClassVar[int]
    ABUSEIPDB_SCORE_FIELD_NUMBER: _ClassVar[int]
    ABUSEIPDB_CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    GREYNOISE_CLASSIFICATION_FIELD_NUMBER: _ClassVar[int]
    GREYNOISE_TAGS_FIELD_NUMBER: _ClassVar[int]
    GREYNOISE_NAME_FIELD_NUMBER: _ClassVar[int]
    FEODO_LISTED_FIELD_NUMBER: _ClassVar[int]
    FEODO_MALWARE_FAMILY_FIELD_NUMBER: _ClassVar[int]
    THREATFOX_THREAT_TYPES_FIELD_NUMBER: _ClassVar[int]
    THREATFOX_IOC_TYPES_FIELD_NUMBER: _ClassVar[int]
    THREATFOX_MALWARE_FAMILIES_FIELD_NUMBER: _ClassVar[int]
    aggregate_verdict: str
    abuseipdb_score: float
    abuseipdb_categories: _containers.RepeatedScalarFieldContainer[int]
    greynoise_classification: str
    greynoise_tags: _containers.RepeatedScalarFieldContainer[str]
    greynoise_name: str
    feodo_listed: bool
    feodo_malware_family: str
    threatfox_threat_types: _containers.RepeatedScalarFieldContainer[str]
    threatfox_ioc_types: _containers.RepeatedScalarFieldContainer[str]
    threatfox_malware_families: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, aggregate_verdict: _Optional[str] = ..., abuseipdb_score: _Optional[float] = ..., abuseipdb_categories: _Optional[_Iterable[int]] = ..., greynoise_classification: _Optional[str] = ..., greynoise_tags: _Optional[_Iterable[str]] = ..., greynoise_name: _Optional[str] = ..., feodo_listed: _Optional[bool] = ..., feodo_malware_family: _Optional[str] = ..., threatfox_threat_types: _Optional[_Iterable[str]] = ..., threatfox_ioc_types: _Optional[_Iterable[str]] = ..., threatfox_malware_families: _Optional[_Iterable[str]] = ...) -> None: ...

class CanaryFingerprintPayload(_message.Message):
    __slots__ = ("trigger_id", "token_id", "user_agent", "request_path", "dns_qname", "navigator_webdriver", "matched_tool", "webrtc_geo_mismatch", "tz_mismatch_zones", "lang_country_mismatch", "platform_ua_inconsistent", "ua_webgl_mismatch")
    TRIGGER_ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_ID_FIELD_NUMBER: _ClassVar[int]
    USER_AGENT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_PATH_FIELD_NUMBER: _ClassVar[int]
    DNS_QNAME_FIELD_NUMBER: _ClassVar[int]
    NAVIGATOR_WEBDRIVER_FIELD_NUMBER: _ClassVar[int]
    MATCHED_TOOL_FIELD_NUMBER: _ClassVar[int]
    WEBRTC_GEO_MISMATCH_FIELD_NUMBER: _ClassVar[int]
    TZ_MISMATCH_ZONES_FIELD_NUMBER: _ClassVar[int]
    LANG_COUNTRY_MISMATCH_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_UA_INCONSISTENT_FIELD_NUMBER: _ClassVar[int]
    UA_WEBGL_MISMATCH_FIELD_NUMBER: _ClassVar[int]
    trigger_id: str
    token_id: str
    user_agent: str
    request_path: str
    dns_qname: str
    navigator_webdriver: bool
    matched_tool: str
    webrtc_geo_mismatch: bool
    tz_mismatch_zones: int
    lang_country_mismatch: bool
    platform_ua_inconsistent: bool
    ua_webgl_mismatch: bool
    def __init__(self, trigger_id: _Optional[str] = ..., token_id: _Optional[str] = ..., user_agent: _Optional[str] = ..., request_path: _Optional[str] = ..., dns_qname: _Optional[str] = ..., navigator_webdriver: _Optional[bool] = ..., matched_tool: _Optional[str] = ..., webrtc_geo_mismatch: _Optional[bool] = ..., tz_mismatch_zones: _Optional[int] = ..., lang_country_mismatch: _Optional[bool] = ..., platform_ua_inconsistent: _Optional[bool] = ..., ua_webgl_mismatch: _Optional[bool] = ...) -> None: ...

class IdentityPayload(_message.Message):
    __slots__ = ("shared_password_hash", "account_count", "observation_uuids")
    SHARED_PASSWORD_HASH_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_COUNT_FIELD_NUMBER: _ClassVar[int]
    OBSERVATION_UUIDS_FIELD_NUMBER: _ClassVar[int]
    shared_password_hash: str
    account_count: int
    observation_uuids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, shared_password_hash: _Optional[str] = ..., account_count: _Optional[int] = ..., observation_uuids: _Optional[_Iterable[str]] = ...) -> None: ...

class CredentialPayload(_message.Message):
    __slots__ = ("credential_hash", "reuse_count", "secret_kind", "services")
    CREDENTIAL_HASH_FIELD_NUMBER: _ClassVar[int]
    REUSE_COUNT_FIELD_NUMBER: _ClassVar[int]
    SECRET_KIND_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    credential_hash: str
    reuse_count: int
    secret_kind: str
    services: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, credential_hash: _Optional[str] = ..., reuse_count: _Optional[int] = ..., secret_kind: _Optional[str] = ..., services: _Optional[_Iterable[str]] = ...) -> None: ...

class HttpFingerprintPayload(_message.Message):
    __slots__ = ("fingerprint_type", "hash", "protocol")
    FINGERPRINT_TYPE_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    fingerprint_type: str
    hash: str
    protocol: str
    def __init__(self, fingerprint_type: _Optional[str] = ..., hash: _Optional[str] = ..., protocol: _Optional[str] = ...) -> None: ...

class Ipv6LeakPayload(_message.Message):
    __slots__ = ("addr", "mac_oui", "iid_kind", "vector", "on_iface")
    ADDR_FIELD_NUMBER: _ClassVar[int]
    MAC_OUI_FIELD_NUMBER: _ClassVar[int]
    IID_KIND_FIELD_NUMBER: _ClassVar[int]
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    ON_IFACE_FIELD_NUMBER: _ClassVar[int]
    addr: str
    mac_oui: str
    iid_kind: str
    vector: str
    on_iface: str
    def __init__(self, addr: _Optional[str] = ..., mac_oui: _Optional[str] = ..., iid_kind: _Optional[str] = ..., vector: _Optional[str] = ..., on_iface: _Optional[str] = ...) -> None: ...
