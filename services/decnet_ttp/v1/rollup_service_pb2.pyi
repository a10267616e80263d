import datetime

from decnet_ttp.v1 import scope_pb2 as _scope_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ConfidenceBand(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONFIDENCE_BAND_UNSPECIFIED: _ClassVar[ConfidenceBand]
    CONFIDENCE_BAND_LOW: _ClassVar[ConfidenceBand]
    CONFIDENCE_BAND_MEDIUM: _ClassVar[ConfidenceBand]
    CONFIDENCE_BAND_HIGH: _ClassVar[ConfidenceBand]

class TechniqueOrder(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TECHNIQUE_ORDER_UNSPECIFIED: _ClassVar[TechniqueOrder]
    TECHNIQUE_ORDER_TACTIC: _ClassVar[TechniqueOrder]
    TECHNIQUE_ORDER_COUNT: _ClassVar[TechniqueOrder]
    TECHNIQUE_ORDER_LAST_SEEN: _ClassVar[TechniqueOrder]
CONFIDENCE_BAND_UNSPECIFIED: ConfidenceBand
CONFIDENCE_BAND_LOW: ConfidenceBand
CONFIDENCE_BAND_MEDIUM: ConfidenceBand
CONFIDENCE_BAND_HIGH: ConfidenceBand
TECHNIQUE_ORDER_UNSPECIFIED: TechniqueOrder
TECHNIQUE_ORDER_TACTIC: TechniqueOrder
TECHNIQUE_ORDER_COUNT: TechniqueOrder
TECHNIQUE_ORDER_LAST_SEEN: TechniqueOrder

class ListTechniquesRequest(_message.Message):
    __slots__ = ("scope", "min_band", "start_time", "end_time", "order", "page_size", "page_token")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    MIN_BAND_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    scope: _scope_pb2.Scope
    min_band: ConfidenceBand
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    order: TechniqueOrder
    page_size: int
    page_token: str
    def __init__(self, scope: _Optional[_Union[_scope_pb2.Scope, _Mapping]] = ..., min_band: _Optional[_Union[ConfidenceBand, str]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., order: _Optional[_Union[TechniqueOrder, str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTechniquesResponse(_message.Message):
    __slots__ = ("techniques", "next_page_token")
    TECHNIQUES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    techniques: _containers.RepeatedCompositeFieldContainer[TechniqueRow]
    next_page_token: str
    def __init__(self, techniques: _Optional[_Iterable[_Union[TechniqueRow, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class TechniqueRow(_message.Message):
    __slots__ = ("tactic", "tactic_name", "technique_id", "technique_name", "sub_technique_id", "sub_technique_name", "count", "first_seen_time", "last_seen_time", "confidence_max", "mitre_uri", "identity_count")
    TACTIC_FIELD_NUMBER: _ClassVar[int]
    TACTIC_NAME_FIELD_NUMBER: _ClassVar[int]
    TECHNIQUE_ID_FIELD_NUMBER: _ClassVar[int]
    TECHNIQUE_NAME_FIELD_NUMBER: _ClassVar[int]
    SUB_TECHNIQUE_ID_FIELD_NUMBER: _ClassVar[int]
    SUB_TECHNIQUE_NAME_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_MAX_FIELD_NUMBER: _ClassVar[int]
    MITRE_URI_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_COUNT_FIELD_NUMBER: _ClassVar[int]
    tactic: str
    tactic_name: str
    technique_id: str
    technique_name: str
    sub_technique_id: str
    sub_technique_name: str
    count: int
    first_seen_time: _timestamp_pb2.Timestamp
    last_seen_time: _timestamp_pb2.Timestamp
    confidence_max: float
    mitre_uri: str
    identity_count: int
    def __init__(self, tactic: _Optional[str] = ..., tactic_name: _Optional[str] = ..., technique_id: _Optional[str] = ..., technique_name: _Optional[str] = ..., sub_technique_id: _Optional[str] = ..., sub_technique_name: _Optional[str] = ..., count: _Optional[int] = ..., first_seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., confidence_max: _Optional[float] = ..., mitre_uri: _Optional[str] = ..., identity_count: _Optional[int] = ...) -> None: ...

class ListTacticsRequest(_message.Message):
    __slots__ = ("scope", "page_size", "page_token")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    scope: _scope_pb2.Scope
    page_size: int
    page_token: str
    def __init__(self, scope: _Optional[_Union[_scope_pb2.Scope, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTacticsResponse(_message.Message):
    __slots__ = ("tactics", "next_page_token")
    TACTICS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tactics: _containers.RepeatedCompositeFieldContainer[TacticRow]
    next_page_token: str
    def __init__(self, tactics: _Optional[_Iterable[_Union[TacticRow, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class TacticRow(_message.Message):
    __slots__ = ("tactic", "tactic_name", "count", "technique_count")
    TACTIC_FIELD_NUMBER: _ClassVar[int]
    TACTIC_NAME_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    TECHNIQUE_COUNT_FIELD_NUMBER: _ClassVar[int]
    tactic: str
    tactic_name: str
    count: int
    technique_count: int
    def __init__(self, tactic: _Optional[str] = ..., tactic_name: _Optional[str] = ..., count: _Optional[int] = ..., technique_count: _Optional[int] = ...) -> None: ...

class ListPhasesRequest(_message.Message):
    __slots__ = ("scope", "page_size", "page_token")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    scope: _scope_pb2.Scope
    page_size: int
    page_token: str
    def __init__(self, scope: _Optional[_Union[_scope_pb2.Scope, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListPhasesResponse(_message.Message):
    __slots__ = ("phases", "next_page_token")
    PHASES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    phases: _containers.RepeatedCompositeFieldContainer[DeckyPhases]
    next_page_token: str
    def __init__(self, phases: _Optional[_Iterable[_Union[DeckyPhases, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeckyPhases(_message.Message):
    __slots__ = ("decky_id", "first_phase", "first_seen_time", "last_phase", "last_seen_time", "observations")
    DECKY_ID_FIELD_NUMBER: _ClassVar[int]
    FIRST_PHASE_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_PHASE_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    decky_id: str
    first_phase: str
    first_seen_time: _timestamp_pb2.Timestamp
    last_phase: str
    last_seen_time: _timestamp_pb2.Timestamp
    observations: _containers.RepeatedCompositeFieldContainer[PhaseRow]
    def __init__(self, decky_id: _Optional[str] = ..., first_phase: _Optional[str] = ..., first_seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_phase: _Optional[str] = ..., last_seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., observations: _Optional[_Iterable[_Union[PhaseRow, _Mapping]]] = ...) -> None: ...

class PhaseRow(_message.Message):
    __slots__ = ("tactic", "phase", "first_seen_time", "last_seen_time", "count")
    TACTIC_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    tactic: str
    phase: str
    first_seen_time: _timestamp_pb2.Timestamp
    last_seen_time: _timestamp_pb2.Timestamp
    count: int
    def __init__(self, tactic: _Optional[str] = ..., phase: _Optional[str] = ..., first_seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., count: _Optional[int] = ...) -> None: ...

class RecountRollupsRequest(_message.Message):
    __slots__ = ("repair",)
    REPAIR_FIELD_NUMBER: _ClassVar[int]
    repair: bool
    def __init__(self, repair: _Optional[bool] = ...) -> None: ...

class RecountRollupsResponse(_message.Message):
    __slots__ = ("rollups", "repaired")
    ROLLUPS_FIELD_NUMBER: _ClassVar[int]
    REPAIRED_FIELD_NUMBER: _ClassVar[int]
    rollups: _containers.RepeatedCompositeFieldContainer[RollupRecount]
    repaired: bool
    def __init__(self, rollups: _Optional[_Iterable[_Union[RollupRecount, _Mapping]]] = ..., repaired: _Optional[bool] = ...) -> None: ...

class RollupRecount(_message.Message):
    __slots__ = ("rollup", "expected_count", "differing_count")
    ROLLUP_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    DIFFERING_COUNT_FIELD_NUMBER: _ClassVar[int]
    rollup: str
    expected_count: int
    differing_count: int
    def __init__(self, rollup: _Optional[str] = ..., expected_count: _Optional[int] = ..., differing_count: _Optional[int] = ...) -> None: ...
