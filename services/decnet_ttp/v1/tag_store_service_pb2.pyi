import datetime

from decnet_ttp.v1 import scope_pb2 as _scope_pb2
from decnet_ttp.v1 import tag_pb2 as _tag_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class InsertTagsRequest(_message.Message):
    __slots__ = ("groups", "silent", "count_origins")
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    SILENT_FIELD_NUMBER: _ClassVar[int]
    COUNT_ORIGINS_FIELD_NUMBER: _ClassVar[int]
    groups: _containers.RepeatedCompositeFieldContainer[_tag_pb2.TagGroup]
    silent: bool
    count_origins: bool
    def __init__(self, groups: _Optional[_Iterable[_Union[_tag_pb2.TagGroup, _Mapping]]] = ..., silent: _Optional[bool] = ..., count_origins: _Optional[bool] = ...) -> None: ...

class InsertTagsResponse(_message.Message):
    __slots__ = ("inserted_count", "known_count", "below_floor_count", "announced_count", "origins", "suppressed_count", "adjusted_count")
    INSERTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    KNOWN_COUNT_FIELD_NUMBER: _ClassVar[int]
    BELOW_FLOOR_COUNT_FIELD_NUMBER: _ClassVar[int]
    ANNOUNCED_COUNT_FIELD_NUMBER: _ClassVar[int]
    ORIGINS_FIELD_NUMBER: _ClassVar[int]
    SUPPRESSED_COUNT_FIELD_NUMBER: _ClassVar[int]
    ADJUSTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    inserted_count: int
    known_count: int
    below_floor_count: int
    announced_count: int
    origins: _containers.RepeatedCompositeFieldContainer[OriginCounts]
    suppressed_count: int
    adjusted_count: int
    def __init__(self, inserted_count: _Optional[int] = ..., known_count: _Optional[int] = ..., below_floor_count: _Optional[int] = ..., announced_count: _Optional[int] = ..., origins: _Optional[_Iterable[_Union[OriginCounts, _Mapping]]] = ..., suppressed_count: _Optional[int] = ..., adjusted_count: _Optional[int] = ...) -> None: ...

class OriginCounts(_message.Message):
    __slots__ = ("origin_id", "inserted_count", "known_count")
    ORIGIN_ID_FIELD_NUMBER: _ClassVar[int]
    INSERTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    KNOWN_COUNT_FIELD_NUMBER: _ClassVar[int]
    origin_id: str
    inserted_count: int
    known_count: int
    def __init__(self, origin_id: _Optional[str] = ..., inserted_count: _Optional[int] = ..., known_count: _Optional[int] = ...) -> None: ...

class ListTagsRequest(_message.Message):
    __slots__ = ("scope", "technique_id", "sub_technique_id", "tactic", "rule_id", "source_kind", "min_confidence", "page_size", "page_token", "attack_release")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    TECHNIQUE_ID_FIELD_NUMBER: _ClassVar[int]
    SUB_TECHNIQUE_ID_FIELD_NUMBER: _ClassVar[int]
    TACTIC_FIELD_NUMBER: _ClassVar[int]
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_KIND_FIELD_NUMBER: _ClassVar[int]
    MIN_CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ATTACK_RELEASE_FIELD_NUMBER: _ClassVar[int]
    scope: _scope_pb2.Scope
    technique_id: str
    sub_technique_id: str
    tactic: str
    rule_id: str
    source_kind: str
    min_confidence: float
    page_size: int
    page_token: str
    attack_release: str
    def __init__(self, scope: _Optional[_Union[_scope_pb2.Scope, _Mapping]] = ..., technique_id: _Optional[str] = ..., sub_technique_id: _Optional[str] = ..., tactic: _Optional[str] = ..., rule_id: _Optional[str] = ..., source_kind: _Optional[str] = ..., min_confidence: _Optional[float] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., attack_release: _Optional[str] = ...) -> None: ...

class ListTagsResponse(_message.Message):
    __slots__ = ("tags", "next_page_token")
    TAGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tags: _containers.RepeatedCompositeFieldContainer[_tag_pb2.Tag]
    next_page_token: str
    def __init__(self, tags: _Optional[_Iterable[_Union[_tag_pb2.Tag, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class PurgeTagsRequest(_message.Message):
    __slots__ = ("scope", "requested_by", "reason")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    scope: _scope_pb2.Scope
    requested_by: str
    reason: str
    def __init__(self, scope: _Optional[_Union[_scope_pb2.Scope, _Mapping]] = ..., requested_by: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class PurgeTagsResponse(_message.Message):
    __slots__ = ("deleted_count", "purge_uuid")
    DELETED_COUNT_FIELD_NUMBER: _ClassVar[int]
    PURGE_UUID_FIELD_NUMBER: _ClassVar[int]
    deleted_count: int
    purge_uuid: str
    def __init__(self, deleted_count: _Optional[int] = ..., purge_uuid: _Optional[str] = ...) -> None: ...

class VacuumTagsRequest(_message.Message):
    __slots__ = ("before_time", "source_kind", "dry_run")
    BEFORE_TIME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_KIND_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    before_time: _timestamp_pb2.Timestamp
    source_kind: str
    dry_run: bool
    def __init__(self, before_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., source_kind: _Optional[str] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class VacuumTagsResponse(_message.Message):
    __slots__ = ("deleted_count",)
    DELETED_COUNT_FIELD_NUMBER: _ClassVar[int]
    deleted_count: int
    def __init__(self, deleted_count: _Optional[int] = ...) -> None: ...

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("schema_version", "estimated_tag_count", "outbox_count", "outbox_oldest_time", "outbox_limit")
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_TAG_COUNT_FIELD_NUMBER: _ClassVar[int]
    OUTBOX_COUNT_FIELD_NUMBER: _ClassVar[int]
    OUTBOX_OLDEST_TIME_FIELD_NUMBER: _ClassVar[int]
    OUTBOX_LIMIT_FIELD_NUMBER: _ClassVar[int]
    schema_version: str
    estimated_tag_count: int
    outbox_count: int
    outbox_oldest_time: _timestamp_pb2.Timestamp
    outbox_limit: int
    def __init__(self, schema_version: _Optional[str] = ..., estimated_tag_count: _Optional[int] = ..., outbox_count: _Optional[int] = ..., outbox_oldest_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., outbox_limit: _Optional[int] = ...) -> None: ...
