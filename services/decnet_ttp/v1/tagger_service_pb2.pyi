import datetime

from decnet_ttp.v1 import event_pb2 as _event_pb2
from decnet_ttp.v1 import tag_pb2 as _tag_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TagEventsRequest(_message.Message):
    __slots__ = ("groups",)
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    groups: _containers.RepeatedCompositeFieldContainer[_event_pb2.EventGroup]
    def __init__(self, groups: _Optional[_Iterable[_Union[_event_pb2.EventGroup, _Mapping]]] = ...) -> None: ...

class TagEventsResponse(_message.Message):
    __slots__ = ("groups", "failures", "withheld_count", "unread_messages")
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    WITHHELD_COUNT_FIELD_NUMBER: _ClassVar[int]
    UNREAD_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    groups: _containers.RepeatedCompositeFieldContainer[_tag_pb2.TagGroup]
    failures: _containers.RepeatedCompositeFieldContainer[TagFailure]
    withheld_count: int
    unread_messages: _containers.RepeatedCompositeFieldContainer[UnreadMessage]
    def __init__(self, groups: _Optional[_Iterable[_Union[_tag_pb2.TagGroup, _Mapping]]] = ..., failures: _Optional[_Iterable[_Union[TagFailure, _Mapping]]] = ..., withheld_count: _Optional[int] = ..., unread_messages: _Optional[_Iterable[_Union[UnreadMessage, _Mapping]]] = ...) -> None: ...

class UnreadMessage(_message.Message):
    __slots__ = ("origin_id", "source_id", "reason", "retryable")
    ORIGIN_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    origin_id: str
    source_id: str
    reason: str
    retryable: bool
    def __init__(self, origin_id: _Optional[str] = ..., source_id: _Optional[str] = ..., reason: _Optional[str] = ..., retryable: _Optional[bool] = ...) -> None: ...

class TagFailure(_message.Message):
    __slots__ = ("origin_id", "source_kind", "source_id", "rule_id", "lifter", "reason")
    ORIGIN_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_KIND_FIELD_NUMBER: _ClassVar[int]
    SOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    LIFTER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    origin_id: str
    source_kind: str
    source_id: str
    rule_id: str
    lifter: str
    reason: str
    def __init__(self, origin_id: _Optional[str] = ..., source_kind: _Optional[str] = ..., source_id: _Optional[str] = ..., rule_id: _Optional[str] = ..., lifter: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class DescribeTaggerRequest(_message.Message):
    __slots__ = ("known_kinds_digest", "wait_duration")
    KNOWN_KINDS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    WAIT_DURATION_FIELD_NUMBER: _ClassVar[int]
    known_kinds_digest: str
    wait_duration: _duration_pb2.Duration
    def __init__(self, known_kinds_digest: _Optional[str] = ..., wait_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class DescribeTaggerResponse(_message.Message):
    __slots__ = ("lifters", "rules_revision", "rules_epoch", "attack_release", "program_version", "artifact_deckies", "kinds_digest")
    LIFTERS_FIELD_NUMBER: _ClassVar[int]
    RULES_REVISION_FIELD_NUMBER: _ClassVar[int]
    RULES_EPOCH_FIELD_NUMBER: _ClassVar[int]
    ATTACK_RELEASE_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_VERSION_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_DECKIES_FIELD_NUMBER: _ClassVar[int]
    KINDS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    lifters: _containers.RepeatedCompositeFieldContainer[LifterDescription]
    rules_revision: int
    rules_epoch: str
    attack_release: str
    program_version: str
    artifact_deckies: _containers.RepeatedScalarFieldContainer[str]
    kinds_digest: str
    def __init__(self, lifters: _Optional[_Iterable[_Union[LifterDescription, _Mapping]]] = ..., rules_revision: _Optional[int] = ..., rules_epoch: _Optional[str] = ..., attack_release: _Optional[str] = ..., program_version: _Optional[str] = ..., artifact_deckies: _Optional[_Iterable[str]] = ..., kinds_digest: _Optional[str] = ...) -> None: ...

class LifterDescription(_message.Message):
    __slots__ = ("name", "source_kinds", "rule_count")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_KINDS_FIELD_NUMBER: _ClassVar[int]
    RULE_COUNT_FIELD_NUMBER: _ClassVar[int]
    name: str
    source_kinds: _containers.RepeatedScalarFieldContainer[str]
    rule_count: int
    def __init__(self, name: _Optional[str] = ..., source_kinds: _Optional[_Iterable[str]] = ..., rule_count: _Optional[int] = ...) -> None: ...

class ExplainEventRequest(_message.Message):
    __slots__ = ("event", "rule_id", "parts")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    event: _event_pb2.Event
    rule_id: str
    parts: _containers.RepeatedCompositeFieldContainer[_event_pb2.Event]
    def __init__(self, event: _Optional[_Union[_event_pb2.Event, _Mapping]] = ..., rule_id: _Optional[str] = ..., parts: _Optional[_Iterable[_Union[_event_pb2.Event, _Mapping]]] = ...) -> None: ...

class ExplainEventResponse(_message.Message):
    __slots__ = ("matched", "outcomes", "steps")
    MATCHED_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    matched: bool
    outcomes: _containers.RepeatedCompositeFieldContainer[ConditionOutcome]
    steps: _containers.RepeatedCompositeFieldContainer[StepOutcome]
    def __init__(self, matched: _Optional[bool] = ..., outcomes: _Optional[_Iterable[_Union[ConditionOutcome, _Mapping]]] = ..., steps: _Optional[_Iterable[_Union[StepOutcome, _Mapping]]] = ...) -> None: ...

class StepOutcome(_message.Message):
    __slots__ = ("name", "at_least", "count", "held", "source_id", "offset_s")
    NAME_FIELD_NUMBER: _ClassVar[int]
    AT_LEAST_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    SOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    OFFSET_S_FIELD_NUMBER: _ClassVar[int]
    name: str
    at_least: int
    count: int
    held: bool
    source_id: str
    offset_s: float
    def __init__(self, name: _Optional[str] = ..., at_least: _Optional[int] = ..., count: _Optional[int] = ..., held: _Optional[bool] = ..., source_id: _Optional[str] = ..., offset_s: _Optional[float] = ...) -> None: ...

class ConditionOutcome(_message.Message):
    __slots__ = ("path", "field", "held", "start", "end")
    PATH_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    path: str
    field: str
    held: bool
    start: int
    end: int
    def __init__(self, path: _Optional[str] = ..., field: _Optional[str] = ..., held: _Optional[bool] = ..., start: _Optional[int] = ..., end: _Optional[int] = ...) -> None: ...

class ListRuleStatisticsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRuleStatisticsResponse(_message.Message):
    __slots__ = ("statistics", "next_page_token", "since_time")
    STATISTICS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SINCE_TIME_FIELD_NUMBER: _ClassVar[int]
    statistics: _containers.RepeatedCompositeFieldContainer[RuleStatistics]
    next_page_token: str
    since_time: _timestamp_pb2.Timestamp
    def __init__(self, statistics: _Optional[_Iterable[_Union[RuleStatistics, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., since_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RuleStatistics(_message.Message):
    __slots__ = ("rule_id", "evaluation_count", "match_count", "tag_count", "withheld_count", "failure_count", "spent_duration", "last_fired_time")
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_COUNT_FIELD_NUMBER: _ClassVar[int]
    MATCH_COUNT_FIELD_NUMBER: _ClassVar[int]
    TAG_COUNT_FIELD_NUMBER: _ClassVar[int]
    WITHHELD_COUNT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_COUNT_FIELD_NUMBER: _ClassVar[int]
    SPENT_DURATION_FIELD_NUMBER: _ClassVar[int]
    LAST_FIRED_TIME_FIELD_NUMBER: _ClassVar[int]
    rule_id: str
    evaluation_count: int
    match_count: int
    tag_count: int
    withheld_count: int
    failure_count: int
    spent_duration: _duration_pb2.Duration
    last_fired_time: _timestamp_pb2.Timestamp
    def __init__(self, rule_id: _Optional[str] = ..., evaluation_count: _Optional[int] = ..., match_count: _Optional[int] = ..., tag_count: _Optional[int] = ..., withheld_count: _Optional[int] = ..., failure_count: _Optional[int] = ..., spent_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., last_fired_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
