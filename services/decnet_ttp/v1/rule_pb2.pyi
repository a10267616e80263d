import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RuleStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RULE_STATUS_UNSPECIFIED: _ClassVar[RuleStatus]
    RULE_STATUS_STABLE: _ClassVar[RuleStatus]
    RULE_STATUS_EXPERIMENTAL: _ClassVar[RuleStatus]

class RuleMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RULE_MODE_UNSPECIFIED: _ClassVar[RuleMode]
    RULE_MODE_ENABLED: _ClassVar[RuleMode]
    RULE_MODE_DISABLED: _ClassVar[RuleMode]
    RULE_MODE_CLIPPED: _ClassVar[RuleMode]
RULE_STATUS_UNSPECIFIED: RuleStatus
RULE_STATUS_STABLE: RuleStatus
RULE_STATUS_EXPERIMENTAL: RuleStatus
RULE_MODE_UNSPECIFIED: RuleMode
RULE_MODE_ENABLED: RuleMode
RULE_MODE_DISABLED: RuleMode
RULE_MODE_CLIPPED: RuleMode

class Rule(_message.Message):
    __slots__ = ("rule_id", "rule_version", "name", "description", "applies_to", "condition", "lifter_predicate", "timeline", "emissions", "evidence_fields", "references", "false_positives", "last_review_date", "next_review_date", "status", "content_sha256", "source", "state", "load_error", "scoped_states", "data_sha256")
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    RULE_VERSION_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    APPLIES_TO_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    LIFTER_PREDICATE_FIELD_NUMBER: _ClassVar[int]
    TIMELINE_FIELD_NUMBER: _ClassVar[int]
    EMISSIONS_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELDS_FIELD_NUMBER: _ClassVar[int]
    REFERENCES_FIELD_NUMBER: _ClassVar[int]
    FALSE_POSITIVES_FIELD_NUMBER: _ClassVar[int]
    LAST_REVIEW_DATE_FIELD_NUMBER: _ClassVar[int]
    NEXT_REVIEW_DATE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CONTENT_SHA256_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    LOAD_ERROR_FIELD_NUMBER: _ClassVar[int]
    SCOPED_STATES_FIELD_NUMBER: _ClassVar[int]
    DATA_SHA256_FIELD_NUMBER: _ClassVar[int]
    rule_id: str
    rule_version: int
    name: str
    description: str
    applies_to: _containers.RepeatedScalarFieldContainer[str]
    condition: Condition
    lifter_predicate: LifterPredicate
    timeline: Timeline
    emissions: _containers.RepeatedCompositeFieldContainer[Emission]
    evidence_fields: _containers.RepeatedScalarFieldContainer[str]
    references: _containers.RepeatedScalarFieldContainer[str]
    false_positives: _containers.RepeatedScalarFieldContainer[str]
    last_review_date: str
    next_review_date: str
    status: RuleStatus
    content_sha256: str
    source: str
    state: RuleState
    load_error: str
    scoped_states: _containers.RepeatedCompositeFieldContainer[RuleState]
    data_sha256: str
    def __init__(self, rule_id: _Optional[str] = ..., rule_version: _Optional[int] = ..., name: _Optional[str] = ..., description: _Optional[str] = ..., applies_to: _Optional[_Iterable[str]] = ..., condition: _Optional[_Union[Condition, _Mapping]] = ..., lifter_predicate: _Optional[_Union[LifterPredicate, _Mapping]] = ..., timeline: _Optional[_Union[Timeline, _Mapping]] = ..., emissions: _Optional[_Iterable[_Union[Emission, _Mapping]]] = ..., evidence_fields: _Optional[_Iterable[str]] = ..., references: _Optional[_Iterable[str]] = ..., false_positives: _Optional[_Iterable[str]] = ..., last_review_date: _Optional[str] = ..., next_review_date: _Optional[str] = ..., status: _Optional[_Union[RuleStatus, str]] = ..., content_sha256: _Optional[str] = ..., source: _Optional[str] = ..., state: _Optional[_Union[RuleState, _Mapping]] = ..., load_error: _Optional[str] = ..., scoped_states: _Optional[_Iterable[_Union[RuleState, _Mapping]]] = ..., data_sha256: _Optional[str] = ...) -> None: ...

class Emission(_message.Message):
    __slots__ = ("tactic", "technique_id", "sub_technique_id", "confidence")
    TACTIC_FIELD_NUMBER: _ClassVar[int]
    TECHNIQUE_ID_FIELD_NUMBER: _ClassVar[int]
    SUB_TECHNIQUE_ID_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    tactic: str
    technique_id: str
    sub_technique_id: str
    confidence: float
    def __init__(self, tactic: _Optional[str] = ..., technique_id: _Optional[str] = ..., sub_technique_id: _Optional[str] = ..., confidence: _Optional[float] = ...) -> None: ...

class Condition(_message.Message):
    __slots__ = ("all", "any", "field")
    ALL_FIELD_NUMBER: _ClassVar[int]
    ANY_FIELD_NUMBER: _ClassVar[int]
    NOT_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    all: ConditionList
    any: ConditionList
    field: FieldCondition
    def __init__(self, all: _Optional[_Union[ConditionList, _Mapping]] = ..., any: _Optional[_Union[ConditionList, _Mapping]] = ..., field: _Optional[_Union[FieldCondition, _Mapping]] = ..., **kwargs) -> None: ...

class ConditionList(_message.Message):
    __slots__ = ("conditions",)
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    conditions: _containers.RepeatedCompositeFieldContainer[Condition]
    def __init__(self, conditions: _Optional[_Iterable[_Union[Condition, _Mapping]]] = ...) -> None: ...

class FieldCondition(_message.Message):
    __slots__ = ("fields", "pattern", "contains", "equals", "in_set", "cidr", "compare", "is_bool", "ignore_case")
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    CONTAINS_FIELD_NUMBER: _ClassVar[int]
    EQUALS_FIELD_NUMBER: _ClassVar[int]
    IN_SET_FIELD_NUMBER: _ClassVar[int]
    CIDR_FIELD_NUMBER: _ClassVar[int]
    COMPARE_FIELD_NUMBER: _ClassVar[int]
    IS_BOOL_FIELD_NUMBER: _ClassVar[int]
    IGNORE_CASE_FIELD_NUMBER: _ClassVar[int]
    fields: _containers.RepeatedScalarFieldContainer[str]
    pattern: str
    contains: ValueList
    equals: ValueList
    in_set: ValueList
    cidr: ValueList
    compare: NumericComparison
    is_bool: bool
    ignore_case: bool
    def __init__(self, fields: _Optional[_Iterable[str]] = ..., pattern: _Optional[str] = ..., contains: _Optional[_Union[ValueList, _Mapping]] = ..., equals: _Optional[_Union[ValueList, _Mapping]] = ..., in_set: _Optional[_Union[ValueList, _Mapping]] = ..., cidr: _Optional[_Union[ValueList, _Mapping]] = ..., compare: _Optional[_Union[NumericComparison, _Mapping]] = ..., is_bool: _Optional[bool] = ..., ignore_case: _Optional[bool] = ...) -> None: ...

class ValueList(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, values: _Optional[_Iterable[str]] = ...) -> None: ...

class NumericComparison(_message.Message):
    __slots__ = ("gt", "gte", "lt", "lte")
    GT_FIELD_NUMBER: _ClassVar[int]
    GTE_FIELD_NUMBER: _ClassVar[int]
    LT_FIELD_NUMBER: _ClassVar[int]
    LTE_FIELD_NUMBER: _ClassVar[int]
    gt: float
    gte: float
    lt: float
    lte: float
    def __init__(self, gt: _Optional[float] = ..., gte: _Optional[float] = ..., lt: _Optional[float] = ..., lte: _Optional[float] = ...) -> None: ...

class Timeline(_message.Message):
    __slots__ = ("ordered", "timespan", "session", "steps")
    ORDERED_FIELD_NUMBER: _ClassVar[int]
    TIMESPAN_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    ordered: bool
    timespan: _duration_pb2.Duration
    session: Condition
    steps: _containers.RepeatedCompositeFieldContainer[TimelineStep]
    def __init__(self, ordered: _Optional[bool] = ..., timespan: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., session: _Optional[_Union[Condition, _Mapping]] = ..., steps: _Optional[_Iterable[_Union[TimelineStep, _Mapping]]] = ...) -> None: ...

class TimelineStep(_message.Message):
    __slots__ = ("name", "parts", "at_least", "distinct_field")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    AT_LEAST_FIELD_NUMBER: _ClassVar[int]
    DISTINCT_FIELD_FIELD_NUMBER: _ClassVar[int]
    name: str
    parts: _containers.RepeatedCompositeFieldContainer[PartCondition]
    at_least: int
    distinct_field: str
    def __init__(self, name: _Optional[str] = ..., parts: _Optional[_Iterable[_Union[PartCondition, _Mapping]]] = ..., at_least: _Optional[int] = ..., distinct_field: _Optional[str] = ...) -> None: ...

class PartCondition(_message.Message):
    __slots__ = ("source_kind", "condition")
    SOURCE_KIND_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    source_kind: str
    condition: Condition
    def __init__(self, source_kind: _Optional[str] = ..., condition: _Optional[_Union[Condition, _Mapping]] = ...) -> None: ...

class LifterPredicate(_message.Message):
    __slots__ = ("kind", "parameters")
    KIND_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    parameters: _struct_pb2.Struct
    def __init__(self, kind: _Optional[str] = ..., parameters: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class RuleState(_message.Message):
    __slots__ = ("mode", "confidence_max", "expire_time", "reason", "set_by", "set_time", "scope")
    MODE_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_MAX_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SET_BY_FIELD_NUMBER: _ClassVar[int]
    SET_TIME_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    mode: RuleMode
    confidence_max: float
    expire_time: _timestamp_pb2.Timestamp
    reason: str
    set_by: str
    set_time: _timestamp_pb2.Timestamp
    scope: StateScope
    def __init__(self, mode: _Optional[_Union[RuleMode, str]] = ..., confidence_max: _Optional[float] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ..., set_by: _Optional[str] = ..., set_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., scope: _Optional[_Union[StateScope, _Mapping]] = ...) -> None: ...

class StateScope(_message.Message):
    __slots__ = ("attacker_uuid", "network", "decky_id", "source_kind")
    ATTACKER_UUID_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    DECKY_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_KIND_FIELD_NUMBER: _ClassVar[int]
    attacker_uuid: str
    network: str
    decky_id: str
    source_kind: str
    def __init__(self, attacker_uuid: _Optional[str] = ..., network: _Optional[str] = ..., decky_id: _Optional[str] = ..., source_kind: _Optional[str] = ...) -> None: ...
