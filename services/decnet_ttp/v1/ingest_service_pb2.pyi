import datetime

from decnet_ttp.v1 import event_pb2 as _event_pb2
from decnet_ttp.v1 import tag_store_service_pb2 as _tag_store_service_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SubmitEventsRequest(_message.Message):
    __slots__ = ("groups",)
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    groups: _containers.RepeatedCompositeFieldContainer[_event_pb2.EventGroup]
    def __init__(self, groups: _Optional[_Iterable[_Union[_event_pb2.EventGroup, _Mapping]]] = ...) -> None: ...

class SubmitEventsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[SubmitResult]
    def __init__(self, results: _Optional[_Iterable[_Union[SubmitResult, _Mapping]]] = ...) -> None: ...

class SubmitEventStreamRequest(_message.Message):
    __slots__ = ("groups",)
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    groups: _containers.RepeatedCompositeFieldContainer[_event_pb2.EventGroup]
    def __init__(self, groups: _Optional[_Iterable[_Union[_event_pb2.EventGroup, _Mapping]]] = ...) -> None: ...

class SubmitEventStreamResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[SubmitResult]
    def __init__(self, results: _Optional[_Iterable[_Union[SubmitResult, _Mapping]]] = ...) -> None: ...

class SubmitResult(_message.Message):
    __slots__ = ("origin_id", "inserted_count", "known_count", "error")
    ORIGIN_ID_FIELD_NUMBER: _ClassVar[int]
    INSERTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    KNOWN_COUNT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    origin_id: str
    inserted_count: int
    known_count: int
    error: str
    def __init__(self, origin_id: _Optional[str] = ..., inserted_count: _Optional[int] = ..., known_count: _Optional[int] = ..., error: _Optional[str] = ...) -> None: ...

class GetIngestStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetIngestStatusResponse(_message.Message):
    __slots__ = ("pending_count", "unacknowledged_count", "handled_count", "dead_letter_count", "last_handled_time", "taggers", "parked_count", "oldest_pending_time")
    PENDING_COUNT_FIELD_NUMBER: _ClassVar[int]
    UNACKNOWLEDGED_COUNT_FIELD_NUMBER: _ClassVar[int]
    HANDLED_COUNT_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTER_COUNT_FIELD_NUMBER: _ClassVar[int]
    LAST_HANDLED_TIME_FIELD_NUMBER: _ClassVar[int]
    TAGGERS_FIELD_NUMBER: _ClassVar[int]
    PARKED_COUNT_FIELD_NUMBER: _ClassVar[int]
    OLDEST_PENDING_TIME_FIELD_NUMBER: _ClassVar[int]
    pending_count: int
    unacknowledged_count: int
    handled_count: int
    dead_letter_count: int
    last_handled_time: _timestamp_pb2.Timestamp
    taggers: _containers.RepeatedCompositeFieldContainer[TaggerStatus]
    parked_count: int
    oldest_pending_time: _timestamp_pb2.Timestamp
    def __init__(self, pending_count: _Optional[int] = ..., unacknowledged_count: _Optional[int] = ..., handled_count: _Optional[int] = ..., dead_letter_count: _Optional[int] = ..., last_handled_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., taggers: _Optional[_Iterable[_Union[TaggerStatus, _Mapping]]] = ..., parked_count: _Optional[int] = ..., oldest_pending_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class TaggerStatus(_message.Message):
    __slots__ = ("target", "reachable", "source_kinds")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    REACHABLE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_KINDS_FIELD_NUMBER: _ClassVar[int]
    target: str
    reachable: bool
    source_kinds: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, target: _Optional[str] = ..., reachable: _Optional[bool] = ..., source_kinds: _Optional[_Iterable[str]] = ...) -> None: ...

class ListDeadLettersRequest(_message.Message):
    __slots__ = ("reason", "page_size", "page_token", "origin_subject")
    REASON_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_SUBJECT_FIELD_NUMBER: _ClassVar[int]
    reason: str
    page_size: int
    page_token: str
    origin_subject: str
    def __init__(self, reason: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., origin_subject: _Optional[str] = ...) -> None: ...

class ListDeadLettersResponse(_message.Message):
    __slots__ = ("dead_letters", "next_page_token")
    DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    dead_letters: _containers.RepeatedCompositeFieldContainer[DeadLetter]
    next_page_token: str
    def __init__(self, dead_letters: _Optional[_Iterable[_Union[DeadLetter, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeadLetter(_message.Message):
    __slots__ = ("sequence", "reason", "detail", "origin_subject", "origin_sequence", "first_attempt_time", "last_attempt_time", "attempt_count", "size_bytes", "content")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_SUBJECT_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    FIRST_ATTEMPT_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_ATTEMPT_TIME_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_COUNT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    reason: str
    detail: str
    origin_subject: str
    origin_sequence: int
    first_attempt_time: _timestamp_pb2.Timestamp
    last_attempt_time: _timestamp_pb2.Timestamp
    attempt_count: int
    size_bytes: int
    content: bytes
    def __init__(self, sequence: _Optional[int] = ..., reason: _Optional[str] = ..., detail: _Optional[str] = ..., origin_subject: _Optional[str] = ..., origin_sequence: _Optional[int] = ..., first_attempt_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_attempt_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attempt_count: _Optional[int] = ..., size_bytes: _Optional[int] = ..., content: _Optional[bytes] = ...) -> None: ...

class GetDeadLetterRequest(_message.Message):
    __slots__ = ("sequence",)
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    def __init__(self, sequence: _Optional[int] = ...) -> None: ...

class GetDeadLetterResponse(_message.Message):
    __slots__ = ("dead_letter",)
    DEAD_LETTER_FIELD_NUMBER: _ClassVar[int]
    dead_letter: DeadLetter
    def __init__(self, dead_letter: _Optional[_Union[DeadLetter, _Mapping]] = ...) -> None: ...

class ReplayDeadLettersRequest(_message.Message):
    __slots__ = ("sequences", "reason", "origin_subject")
    SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_SUBJECT_FIELD_NUMBER: _ClassVar[int]
    sequences: _containers.RepeatedScalarFieldContainer[int]
    reason: str
    origin_subject: str
    def __init__(self, sequences: _Optional[_Iterable[int]] = ..., reason: _Optional[str] = ..., origin_subject: _Optional[str] = ...) -> None: ...

class ReplayDeadLettersResponse(_message.Message):
    __slots__ = ("replayed_count",)
    REPLAYED_COUNT_FIELD_NUMBER: _ClassVar[int]
    replayed_count: int
    def __init__(self, replayed_count: _Optional[int] = ...) -> None: ...

class DropDeadLettersRequest(_message.Message):
    __slots__ = ("sequences",)
    SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    sequences: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, sequences: _Optional[_Iterable[int]] = ...) -> None: ...

class DropDeadLettersResponse(_message.Message):
    __slots__ = ("dropped_count",)
    DROPPED_COUNT_FIELD_NUMBER: _ClassVar[int]
    dropped_count: int
    def __init__(self, dropped_count: _Optional[int] = ...) -> None: ...

class RunBackfillRequest(_message.Message):
    __slots__ = ("start_time", "source", "dry_run", "batch_size", "after_sequence", "max_rate", "superseded", "retire", "retirement_uuid", "requested_by", "reason")
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    MAX_RATE_FIELD_NUMBER: _ClassVar[int]
    SUPERSEDED_FIELD_NUMBER: _ClassVar[int]
    RETIRE_FIELD_NUMBER: _ClassVar[int]
    RETIREMENT_UUID_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    start_time: _timestamp_pb2.Timestamp
    source: str
    dry_run: bool
    batch_size: int
    after_sequence: int
    max_rate: float
    superseded: bool
    retire: bool
    retirement_uuid: str
    requested_by: str
    reason: str
    def __init__(self, start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., source: _Optional[str] = ..., dry_run: _Optional[bool] = ..., batch_size: _Optional[int] = ..., after_sequence: _Optional[int] = ..., max_rate: _Optional[float] = ..., superseded: _Optional[bool] = ..., retire: _Optional[bool] = ..., retirement_uuid: _Optional[str] = ..., requested_by: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RunBackfillResponse(_message.Message):
    __slots__ = ("read_count", "event_count", "inserted_count", "known_count", "done", "last_sequence", "total_count", "skipped_count", "superseded_count", "retired_count", "superseded", "unjudged_count")
    READ_COUNT_FIELD_NUMBER: _ClassVar[int]
    EVENT_COUNT_FIELD_NUMBER: _ClassVar[int]
    INSERTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    KNOWN_COUNT_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_COUNT_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_COUNT_FIELD_NUMBER: _ClassVar[int]
    SUPERSEDED_COUNT_FIELD_NUMBER: _ClassVar[int]
    RETIRED_COUNT_FIELD_NUMBER: _ClassVar[int]
    SUPERSEDED_FIELD_NUMBER: _ClassVar[int]
    UNJUDGED_COUNT_FIELD_NUMBER: _ClassVar[int]
    read_count: int
    event_count: int
    inserted_count: int
    known_count: int
    done: bool
    last_sequence: int
    total_count: int
    skipped_count: int
    superseded_count: int
    retired_count: int
    superseded: _containers.RepeatedCompositeFieldContainer[_tag_store_service_pb2.SupersededTag]
    unjudged_count: int
    def __init__(self, read_count: _Optional[int] = ..., event_count: _Optional[int] = ..., inserted_count: _Optional[int] = ..., known_count: _Optional[int] = ..., done: _Optional[bool] = ..., last_sequence: _Optional[int] = ..., total_count: _Optional[int] = ..., skipped_count: _Optional[int] = ..., superseded_count: _Optional[int] = ..., retired_count: _Optional[int] = ..., superseded: _Optional[_Iterable[_Union[_tag_store_service_pb2.SupersededTag, _Mapping]]] = ..., unjudged_count: _Optional[int] = ...) -> None: ...
