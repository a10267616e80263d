import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FactKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FACT_KIND_UNSPECIFIED: _ClassVar[FactKind]
    FACT_KIND_JARM: _ClassVar[FactKind]
    FACT_KIND_HASSH: _ClassVar[FactKind]
    FACT_KIND_JA3: _ClassVar[FactKind]
    FACT_KIND_JA4H: _ClassVar[FactKind]
    FACT_KIND_SSH_BANNER: _ClassVar[FactKind]
    FACT_KIND_KEX_ORDER: _ClassVar[FactKind]
    FACT_KIND_HTTP_QUIRK: _ClassVar[FactKind]
    FACT_KIND_TLS_CERT_SHA256: _ClassVar[FactKind]
    FACT_KIND_PAYLOAD_SHA256: _ClassVar[FactKind]
    FACT_KIND_PAYLOAD_SIMHASH: _ClassVar[FactKind]
    FACT_KIND_SMTP_DOMAIN: _ClassVar[FactKind]
    FACT_KIND_C2_ENDPOINT: _ClassVar[FactKind]
    FACT_KIND_IPV6_LINK_LOCAL: _ClassVar[FactKind]
    FACT_KIND_COUNTRY: _ClassVar[FactKind]
    FACT_KIND_ASN: _ClassVar[FactKind]
    FACT_KIND_OS_GUESS: _ClassVar[FactKind]
    FACT_KIND_TOOL_GUESS: _ClassVar[FactKind]
    FACT_KIND_TCP_FINGERPRINT: _ClassVar[FactKind]
    FACT_KIND_BEHAVIOR_CLASS: _ClassVar[FactKind]
FACT_KIND_UNSPECIFIED: FactKind
FACT_KIND_JARM: FactKind
FACT_KIND_HASSH: FactKind
FACT_KIND_JA3: FactKind
FACT_KIND_JA4H: FactKind
FACT_KIND_SSH_BANNER: FactKind
FACT_KIND_KEX_ORDER: FactKind
FACT_KIND_HTTP_QUIRK: FactKind
FACT_KIND_TLS_CERT_SHA256: FactKind
FACT_KIND_PAYLOAD_SHA256: FactKind
FACT_KIND_PAYLOAD_SIMHASH: FactKind
FACT_KIND_SMTP_DOMAIN: FactKind
FACT_KIND_C2_ENDPOINT: FactKind
FACT_KIND_IPV6_LINK_LOCAL: FactKind
FACT_KIND_COUNTRY: FactKind
FACT_KIND_ASN: FactKind
FACT_KIND_OS_GUESS: FactKind
FACT_KIND_TOOL_GUESS: FactKind
FACT_KIND_TCP_FINGERPRINT: FactKind
FACT_KIND_BEHAVIOR_CLASS: FactKind

class AttackerFact(_message.Message):
    __slots__ = ("attacker_uuid", "kind", "value", "count", "first_seen_time", "last_seen_time", "attributes")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ATTACKER_UUID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    attacker_uuid: str
    kind: FactKind
    value: str
    count: int
    first_seen_time: _timestamp_pb2.Timestamp
    last_seen_time: _timestamp_pb2.Timestamp
    attributes: _containers.ScalarMap[str, str]
    def __init__(self, attacker_uuid: _Optional[str] = ..., kind: _Optional[_Union[FactKind, str]] = ..., value: _Optional[str] = ..., count: _Optional[int] = ..., first_seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attributes: _Optional[_Mapping[str, str]] = ...) -> None: ...

class PutFactsRequest(_message.Message):
    __slots__ = ("facts",)
    FACTS_FIELD_NUMBER: _ClassVar[int]
    facts: _containers.RepeatedCompositeFieldContainer[AttackerFact]
    def __init__(self, facts: _Optional[_Iterable[_Union[AttackerFact, _Mapping]]] = ...) -> None: ...

class PutFactsResponse(_message.Message):
    __slots__ = ("inserted_count",)
    INSERTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    inserted_count: int
    def __init__(self, inserted_count: _Optional[int] = ...) -> None: ...

class ListFactsRequest(_message.Message):
    __slots__ = ("attacker_uuid", "kind", "page_size", "page_token")
    ATTACKER_UUID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    attacker_uuid: str
    kind: FactKind
    page_size: int
    page_token: str
    def __init__(self, attacker_uuid: _Optional[str] = ..., kind: _Optional[_Union[FactKind, str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListFactsResponse(_message.Message):
    __slots__ = ("facts", "next_page_token")
    FACTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    facts: _containers.RepeatedCompositeFieldContainer[AttackerFact]
    next_page_token: str
    def __init__(self, facts: _Optional[_Iterable[_Union[AttackerFact, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class IntelRecord(_message.Message):
    __slots__ = ("attacker_uuid", "provider", "verdict", "score", "signals", "observe_time")
    ATTACKER_UUID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    OBSERVE_TIME_FIELD_NUMBER: _ClassVar[int]
    attacker_uuid: str
    provider: str
    verdict: str
    score: float
    signals: _containers.RepeatedScalarFieldContainer[str]
    observe_time: _timestamp_pb2.Timestamp
    def __init__(self, attacker_uuid: _Optional[str] = ..., provider: _Optional[str] = ..., verdict: _Optional[str] = ..., score: _Optional[float] = ..., signals: _Optional[_Iterable[str]] = ..., observe_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PutIntelRequest(_message.Message):
    __slots__ = ("record",)
    RECORD_FIELD_NUMBER: _ClassVar[int]
    record: IntelRecord
    def __init__(self, record: _Optional[_Union[IntelRecord, _Mapping]] = ...) -> None: ...

class PutIntelResponse(_message.Message):
    __slots__ = ("record",)
    RECORD_FIELD_NUMBER: _ClassVar[int]
    record: IntelRecord
    def __init__(self, record: _Optional[_Union[IntelRecord, _Mapping]] = ...) -> None: ...

class ListIntelRequest(_message.Message):
    __slots__ = ("attacker_uuid", "page_size", "page_token")
    ATTACKER_UUID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    attacker_uuid: str
    page_size: int
    page_token: str
    def __init__(self, attacker_uuid: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListIntelResponse(_message.Message):
    __slots__ = ("records", "next_page_token")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[IntelRecord]
    next_page_token: str
    def __init__(self, records: _Optional[_Iterable[_Union[IntelRecord, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
