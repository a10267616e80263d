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
    __slots__ = ("groups", "silent")
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    SILENT_FIELD_NUMBER: _ClassVar[int]
    groups: _containers.RepeatedCompositeFieldContainer[_tag_pb2.TagGroup]
    silent: bool
    def __init__(self, groups: _Optional[_Iterable[_Union[_tag_pb2.TagGroup, _Mapping]]] = ..., silent: _Optional[bool] = ...) -> None: ...

class InsertTagsResponse(_message.Message):
    __slots__ = ("inserted_count", "known_count", "below_floor_count", "announced_count")
    INSERTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    KNOWN_COUNT_FIELD_NUMBER: _ClassVar[int]
    BELOW_FLOOR_COUNT_FIELD_NUMBER: _ClassVar[int]
    ANNOUNCED_COUNT_FIELD_NUMBER: _ClassVar[int]
    inserted_count: int
    known_count: int
    below_floor_count: int
    announced_count: int
    def __init__(self, inserted_count: _Optional[int] = ..., known_count: _Optional[int] = ..., below_floor_count: _Optional[int] = ..., announced_count: _Optional[int] = ...) -> None: ...

class ListTagsRequest(_message.Message):
    __slots__ = ("scope", "technique_id", "sub_technique_id", "tactic", "rule_id", "source_kind", "min_confidence", "page_size", "page_token")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    TECHNIQUE_ID_FIELD_NUMBER: _ClassVar[int]
    SUB_TECHNIQUE_ID_FIELD_NUMBER: _ClassVar[int]
    TACTIC_FIELD_NUMBER: _ClassVar[int]
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_KIND_FIELD_NUMBER: _ClassVar[int]
    MIN_CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    scope: _scope_pb2.Scope
    technique_id: str
    sub_technique_id: str
    tactic: str
    rule_id: str
    source_kind: str
    min_confidence: float
    page_size: int
    page_token: str
    def __init__(self, scope: _Optional[_Union[_scope_pb2.Scope, _Mapping]] = ..., technique_id: _Optional[str] = ..., sub_technique_id: _Optional[str] = ..., tactic: _Optional[str] = ..., rule_id: _Optional[str] = ..., source_kind: _Optional[str] = ..., min_confidence: _Optional[float] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

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
    __slots__ = ("deleted_count",)
    DELETED_COUNT_FIELD_NUMBER: _ClassVar[int]
    deleted_count: int
    def __init__(self, deleted_count: _Optional[int] = ...) -> None: ...

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
