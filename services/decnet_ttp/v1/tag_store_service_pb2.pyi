import datetime

from decnet_ttp.v1 import scope_pb2 as _scope_pb2
from decnet_ttp.v1 import tag_pb2 as _tag_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SupersededKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SUPERSEDED_KIND_UNSPECIFIED: _ClassVar[SupersededKind]
    SUPERSEDED_KIND_REPLACED: _ClassVar[SupersededKind]
    SUPERSEDED_KIND_NOT_MADE: _ClassVar[SupersededKind]
    SUPERSEDED_KIND_RULE_GONE: _ClassVar[SupersededKind]
SUPERSEDED_KIND_UNSPECIFIED: SupersededKind
SUPERSEDED_KIND_REPLACED: SupersededKind
SUPERSEDED_KIND_NOT_MADE: SupersededKind
SUPERSEDED_KIND_RULE_GONE: SupersededKind

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
    __slots__ = ("scope", "technique_id", "sub_technique_id", "tactic", "rule_id", "source_kind", "min_confidence", "page_size", "page_token", "attack_release", "include_retired")
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
    INCLUDE_RETIRED_FIELD_NUMBER: _ClassVar[int]
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
    include_retired: bool
    def __init__(self, scope: _Optional[_Union[_scope_pb2.Scope, _Mapping]] = ..., technique_id: _Optional[str] = ..., sub_technique_id: _Optional[str] = ..., tactic: _Optional[str] = ..., rule_id: _Optional[str] = ..., source_kind: _Optional[str] = ..., min_confidence: _Optional[float] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., attack_release: _Optional[str] = ..., include_retired: _Optional[bool] = ...) -> None: ...

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
    __slots__ = ("before_time", "source_kind", "dry_run", "requested_by", "reason")
    BEFORE_TIME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_KIND_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    before_time: _timestamp_pb2.Timestamp
    source_kind: str
    dry_run: bool
    requested_by: str
    reason: str
    def __init__(self, before_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., source_kind: _Optional[str] = ..., dry_run: _Optional[bool] = ..., requested_by: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class VacuumTagsResponse(_message.Message):
    __slots__ = ("deleted_count", "deleted_session_count", "deleted_fact_count")
    DELETED_COUNT_FIELD_NUMBER: _ClassVar[int]
    DELETED_SESSION_COUNT_FIELD_NUMBER: _ClassVar[int]
    DELETED_FACT_COUNT_FIELD_NUMBER: _ClassVar[int]
    deleted_count: int
    deleted_session_count: int
    deleted_fact_count: int
    def __init__(self, deleted_count: _Optional[int] = ..., deleted_session_count: _Optional[int] = ..., deleted_fact_count: _Optional[int] = ...) -> None: ...

class RuleVersion(_message.Message):
    __slots__ = ("rule_id", "rule_version", "passed_over")
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    RULE_VERSION_FIELD_NUMBER: _ClassVar[int]
    PASSED_OVER_FIELD_NUMBER: _ClassVar[int]
    rule_id: str
    rule_version: int
    passed_over: bool
    def __init__(self, rule_id: _Optional[str] = ..., rule_version: _Optional[int] = ..., passed_over: _Optional[bool] = ...) -> None: ...

class FindSupersededRequest(_message.Message):
    __slots__ = ("run_uuid", "rules")
    RUN_UUID_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    run_uuid: str
    rules: _containers.RepeatedCompositeFieldContainer[RuleVersion]
    def __init__(self, run_uuid: _Optional[str] = ..., rules: _Optional[_Iterable[_Union[RuleVersion, _Mapping]]] = ...) -> None: ...

class FindSupersededResponse(_message.Message):
    __slots__ = ("candidate_count",)
    CANDIDATE_COUNT_FIELD_NUMBER: _ClassVar[int]
    candidate_count: int
    def __init__(self, candidate_count: _Optional[int] = ...) -> None: ...

class JudgeSupersededRequest(_message.Message):
    __slots__ = ("run_uuid", "events", "made", "retire", "requested_by", "reason", "done")
    RUN_UUID_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    MADE_FIELD_NUMBER: _ClassVar[int]
    RETIRE_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    run_uuid: str
    events: _containers.RepeatedCompositeFieldContainer[EventKey]
    made: _containers.RepeatedCompositeFieldContainer[MadeTag]
    retire: bool
    requested_by: str
    reason: str
    done: bool
    def __init__(self, run_uuid: _Optional[str] = ..., events: _Optional[_Iterable[_Union[EventKey, _Mapping]]] = ..., made: _Optional[_Iterable[_Union[MadeTag, _Mapping]]] = ..., retire: _Optional[bool] = ..., requested_by: _Optional[str] = ..., reason: _Optional[str] = ..., done: _Optional[bool] = ...) -> None: ...

class EventKey(_message.Message):
    __slots__ = ("source_kind", "source_id")
    SOURCE_KIND_FIELD_NUMBER: _ClassVar[int]
    SOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    source_kind: str
    source_id: str
    def __init__(self, source_kind: _Optional[str] = ..., source_id: _Optional[str] = ...) -> None: ...

class MadeTag(_message.Message):
    __slots__ = ("event", "rule_id", "technique_id", "sub_technique_id")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    TECHNIQUE_ID_FIELD_NUMBER: _ClassVar[int]
    SUB_TECHNIQUE_ID_FIELD_NUMBER: _ClassVar[int]
    event: int
    rule_id: str
    technique_id: str
    sub_technique_id: str
    def __init__(self, event: _Optional[int] = ..., rule_id: _Optional[str] = ..., technique_id: _Optional[str] = ..., sub_technique_id: _Optional[str] = ...) -> None: ...

class JudgeSupersededResponse(_message.Message):
    __slots__ = ("tags", "retired_count")
    TAGS_FIELD_NUMBER: _ClassVar[int]
    RETIRED_COUNT_FIELD_NUMBER: _ClassVar[int]
    tags: _containers.RepeatedCompositeFieldContainer[SupersededTag]
    retired_count: int
    def __init__(self, tags: _Optional[_Iterable[_Union[SupersededTag, _Mapping]]] = ..., retired_count: _Optional[int] = ...) -> None: ...

class SupersededTag(_message.Message):
    __slots__ = ("uuid", "rule_id", "rule_version", "technique_id", "source_kind", "source_id", "kind")
    UUID_FIELD_NUMBER: _ClassVar[int]
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    RULE_VERSION_FIELD_NUMBER: _ClassVar[int]
    TECHNIQUE_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_KIND_FIELD_NUMBER: _ClassVar[int]
    SOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    uuid: str
    rule_id: str
    rule_version: int
    technique_id: str
    source_kind: str
    source_id: str
    kind: SupersededKind
    def __init__(self, uuid: _Optional[str] = ..., rule_id: _Optional[str] = ..., rule_version: _Optional[int] = ..., technique_id: _Optional[str] = ..., source_kind: _Optional[str] = ..., source_id: _Optional[str] = ..., kind: _Optional[_Union[SupersededKind, str]] = ...) -> None: ...

class RestoreTagsRequest(_message.Message):
    __slots__ = ("retirement_uuid", "requested_by")
    RETIREMENT_UUID_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_BY_FIELD_NUMBER: _ClassVar[int]
    retirement_uuid: str
    requested_by: str
    def __init__(self, retirement_uuid: _Optional[str] = ..., requested_by: _Optional[str] = ...) -> None: ...

class RestoreTagsResponse(_message.Message):
    __slots__ = ("restored_count",)
    RESTORED_COUNT_FIELD_NUMBER: _ClassVar[int]
    restored_count: int
    def __init__(self, restored_count: _Optional[int] = ...) -> None: ...

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
