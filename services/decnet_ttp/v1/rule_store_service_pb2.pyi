import datetime

from decnet_ttp.v1 import rule_pb2 as _rule_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListRulesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRulesResponse(_message.Message):
    __slots__ = ("rules", "next_page_token", "load_errors")
    RULES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    LOAD_ERRORS_FIELD_NUMBER: _ClassVar[int]
    rules: _containers.RepeatedCompositeFieldContainer[_rule_pb2.Rule]
    next_page_token: str
    load_errors: _containers.RepeatedCompositeFieldContainer[RuleLoadError]
    def __init__(self, rules: _Optional[_Iterable[_Union[_rule_pb2.Rule, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., load_errors: _Optional[_Iterable[_Union[RuleLoadError, _Mapping]]] = ...) -> None: ...

class RuleLoadError(_message.Message):
    __slots__ = ("location", "message")
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    location: str
    message: str
    def __init__(self, location: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class GetRuleRequest(_message.Message):
    __slots__ = ("rule_id",)
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    rule_id: str
    def __init__(self, rule_id: _Optional[str] = ...) -> None: ...

class GetRuleResponse(_message.Message):
    __slots__ = ("rule",)
    RULE_FIELD_NUMBER: _ClassVar[int]
    rule: _rule_pb2.Rule
    def __init__(self, rule: _Optional[_Union[_rule_pb2.Rule, _Mapping]] = ...) -> None: ...

class WatchRulesRequest(_message.Message):
    __slots__ = ("after_revision", "epoch")
    AFTER_REVISION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    after_revision: int
    epoch: str
    def __init__(self, after_revision: _Optional[int] = ..., epoch: _Optional[str] = ...) -> None: ...

class WatchRulesResponse(_message.Message):
    __slots__ = ("changes", "revision", "epoch", "snapshot", "checkpoint")
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[RuleChange]
    revision: int
    epoch: str
    snapshot: bool
    checkpoint: bool
    def __init__(self, changes: _Optional[_Iterable[_Union[RuleChange, _Mapping]]] = ..., revision: _Optional[int] = ..., epoch: _Optional[str] = ..., snapshot: _Optional[bool] = ..., checkpoint: _Optional[bool] = ...) -> None: ...

class RuleChange(_message.Message):
    __slots__ = ("rule_id", "upserted", "deleted")
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    UPSERTED_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    rule_id: str
    upserted: _rule_pb2.Rule
    deleted: RuleDeletion
    def __init__(self, rule_id: _Optional[str] = ..., upserted: _Optional[_Union[_rule_pb2.Rule, _Mapping]] = ..., deleted: _Optional[_Union[RuleDeletion, _Mapping]] = ...) -> None: ...

class RuleDeletion(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SetRuleStateRequest(_message.Message):
    __slots__ = ("rule_id", "mode", "confidence_max", "expire_time", "reason", "set_by", "scope")
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_MAX_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SET_BY_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    rule_id: str
    mode: _rule_pb2.RuleMode
    confidence_max: float
    expire_time: _timestamp_pb2.Timestamp
    reason: str
    set_by: str
    scope: _rule_pb2.StateScope
    def __init__(self, rule_id: _Optional[str] = ..., mode: _Optional[_Union[_rule_pb2.RuleMode, str]] = ..., confidence_max: _Optional[float] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ..., set_by: _Optional[str] = ..., scope: _Optional[_Union[_rule_pb2.StateScope, _Mapping]] = ...) -> None: ...

class SetRuleStateResponse(_message.Message):
    __slots__ = ("rule",)
    RULE_FIELD_NUMBER: _ClassVar[int]
    rule: _rule_pb2.Rule
    def __init__(self, rule: _Optional[_Union[_rule_pb2.Rule, _Mapping]] = ...) -> None: ...

class ClearRuleStateRequest(_message.Message):
    __slots__ = ("rule_id", "set_by", "reason", "scope")
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    SET_BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    rule_id: str
    set_by: str
    reason: str
    scope: _rule_pb2.StateScope
    def __init__(self, rule_id: _Optional[str] = ..., set_by: _Optional[str] = ..., reason: _Optional[str] = ..., scope: _Optional[_Union[_rule_pb2.StateScope, _Mapping]] = ...) -> None: ...

class ClearRuleStateResponse(_message.Message):
    __slots__ = ("rule",)
    RULE_FIELD_NUMBER: _ClassVar[int]
    rule: _rule_pb2.Rule
    def __init__(self, rule: _Optional[_Union[_rule_pb2.Rule, _Mapping]] = ...) -> None: ...

class ListRuleStateChangesRequest(_message.Message):
    __slots__ = ("rule_id", "page_size", "page_token")
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    rule_id: str
    page_size: int
    page_token: str
    def __init__(self, rule_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRuleStateChangesResponse(_message.Message):
    __slots__ = ("changes", "next_page_token")
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[RuleStateChange]
    next_page_token: str
    def __init__(self, changes: _Optional[_Iterable[_Union[RuleStateChange, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class RuleStateChange(_message.Message):
    __slots__ = ("rule_id", "state", "change_time", "expired")
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CHANGE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    rule_id: str
    state: _rule_pb2.RuleState
    change_time: _timestamp_pb2.Timestamp
    expired: bool
    def __init__(self, rule_id: _Optional[str] = ..., state: _Optional[_Union[_rule_pb2.RuleState, _Mapping]] = ..., change_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expired: _Optional[bool] = ...) -> None: ...
