import datetime

from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StateKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STATE_KIND_UNSPECIFIED: _ClassVar[StateKind]
    STATE_KIND_UNKNOWN: _ClassVar[StateKind]
    STATE_KIND_STABLE: _ClassVar[StateKind]
    STATE_KIND_DRIFTING: _ClassVar[StateKind]
    STATE_KIND_CONFLICTED: _ClassVar[StateKind]
    STATE_KIND_MULTI_ACTOR: _ClassVar[StateKind]
STATE_KIND_UNSPECIFIED: StateKind
STATE_KIND_UNKNOWN: StateKind
STATE_KIND_STABLE: StateKind
STATE_KIND_DRIFTING: StateKind
STATE_KIND_CONFLICTED: StateKind
STATE_KIND_MULTI_ACTOR: StateKind

class GetIdentityProfileRequest(_message.Message):
    __slots__ = ("identity_uuid",)
    IDENTITY_UUID_FIELD_NUMBER: _ClassVar[int]
    identity_uuid: str
    def __init__(self, identity_uuid: _Optional[str] = ...) -> None: ...

class GetIdentityProfileResponse(_message.Message):
    __slots__ = ("states",)
    STATES_FIELD_NUMBER: _ClassVar[int]
    states: _containers.RepeatedCompositeFieldContainer[PrimitiveState]
    def __init__(self, states: _Optional[_Iterable[_Union[PrimitiveState, _Mapping]]] = ...) -> None: ...

class PrimitiveState(_message.Message):
    __slots__ = ("primitive", "value", "state", "confidence", "observation_count", "last_change_time", "last_observation_time")
    PRIMITIVE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    OBSERVATION_COUNT_FIELD_NUMBER: _ClassVar[int]
    LAST_CHANGE_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_OBSERVATION_TIME_FIELD_NUMBER: _ClassVar[int]
    primitive: str
    value: _struct_pb2.Value
    state: StateKind
    confidence: float
    observation_count: int
    last_change_time: _timestamp_pb2.Timestamp
    last_observation_time: _timestamp_pb2.Timestamp
    def __init__(self, primitive: _Optional[str] = ..., value: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., state: _Optional[_Union[StateKind, str]] = ..., confidence: _Optional[float] = ..., observation_count: _Optional[int] = ..., last_change_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_observation_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListStateChangesRequest(_message.Message):
    __slots__ = ("identity_uuid", "page_size", "page_token")
    IDENTITY_UUID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    identity_uuid: str
    page_size: int
    page_token: str
    def __init__(self, identity_uuid: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListStateChangesResponse(_message.Message):
    __slots__ = ("changes", "next_page_token")
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[StateChange]
    next_page_token: str
    def __init__(self, changes: _Optional[_Iterable[_Union[StateChange, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class StateChange(_message.Message):
    __slots__ = ("primitive", "old_state", "new_state", "change_time")
    PRIMITIVE_FIELD_NUMBER: _ClassVar[int]
    OLD_STATE_FIELD_NUMBER: _ClassVar[int]
    NEW_STATE_FIELD_NUMBER: _ClassVar[int]
    CHANGE_TIME_FIELD_NUMBER: _ClassVar[int]
    primitive: str
    old_state: StateKind
    new_state: StateKind
    change_time: _timestamp_pb2.Timestamp
    def __init__(self, primitive: _Optional[str] = ..., old_state: _Optional[_Union[StateKind, str]] = ..., new_state: _Optional[_Union[StateKind, str]] = ..., change_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListMultiActorSuspectsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListMultiActorSuspectsResponse(_message.Message):
    __slots__ = ("suspects", "next_page_token")
    SUSPECTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    suspects: _containers.RepeatedCompositeFieldContainer[MultiActorSuspect]
    next_page_token: str
    def __init__(self, suspects: _Optional[_Iterable[_Union[MultiActorSuspect, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class MultiActorSuspect(_message.Message):
    __slots__ = ("identity_uuid", "primitives", "confidence", "suspect_time")
    IDENTITY_UUID_FIELD_NUMBER: _ClassVar[int]
    PRIMITIVES_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    SUSPECT_TIME_FIELD_NUMBER: _ClassVar[int]
    identity_uuid: str
    primitives: _containers.RepeatedScalarFieldContainer[str]
    confidence: float
    suspect_time: _timestamp_pb2.Timestamp
    def __init__(self, identity_uuid: _Optional[str] = ..., primitives: _Optional[_Iterable[str]] = ..., confidence: _Optional[float] = ..., suspect_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListObservationsRequest(_message.Message):
    __slots__ = ("identity_uuid", "primitive", "page_size", "page_token")
    IDENTITY_UUID_FIELD_NUMBER: _ClassVar[int]
    PRIMITIVE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    identity_uuid: str
    primitive: str
    page_size: int
    page_token: str
    def __init__(self, identity_uuid: _Optional[str] = ..., primitive: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListObservationsResponse(_message.Message):
    __slots__ = ("observations", "next_page_token")
    OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    observations: _containers.RepeatedCompositeFieldContainer[Observation]
    next_page_token: str
    def __init__(self, observations: _Optional[_Iterable[_Union[Observation, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Observation(_message.Message):
    __slots__ = ("observation_id", "primitive", "value", "confidence", "attacker_uuid", "evidence_ref", "observe_time")
    OBSERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    PRIMITIVE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    ATTACKER_UUID_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_REF_FIELD_NUMBER: _ClassVar[int]
    OBSERVE_TIME_FIELD_NUMBER: _ClassVar[int]
    observation_id: str
    primitive: str
    value: _struct_pb2.Value
    confidence: float
    attacker_uuid: str
    evidence_ref: str
    observe_time: _timestamp_pb2.Timestamp
    def __init__(self, observation_id: _Optional[str] = ..., primitive: _Optional[str] = ..., value: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., confidence: _Optional[float] = ..., attacker_uuid: _Optional[str] = ..., evidence_ref: _Optional[str] = ..., observe_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
