import datetime

from decnet_ttp.v1 import attacker_fact_pb2 as _attacker_fact_pb2
from decnet_ttp.v1 import scope_pb2 as _scope_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class UpdateDirectoryRequest(_message.Message):
    __slots__ = ("attackers", "sessions", "facts", "intel_records", "identity_uuids", "memberships", "identity_merges", "campaign_memberships", "campaign_merges")
    ATTACKERS_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    INTEL_RECORDS_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_UUIDS_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIPS_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_MERGES_FIELD_NUMBER: _ClassVar[int]
    CAMPAIGN_MEMBERSHIPS_FIELD_NUMBER: _ClassVar[int]
    CAMPAIGN_MERGES_FIELD_NUMBER: _ClassVar[int]
    attackers: _containers.RepeatedCompositeFieldContainer[AttackerSighting]
    sessions: _containers.RepeatedCompositeFieldContainer[SessionRecord]
    facts: _containers.RepeatedCompositeFieldContainer[_attacker_fact_pb2.AttackerFact]
    intel_records: _containers.RepeatedCompositeFieldContainer[_attacker_fact_pb2.IntelRecord]
    identity_uuids: _containers.RepeatedScalarFieldContainer[str]
    memberships: _containers.RepeatedCompositeFieldContainer[Membership]
    identity_merges: _containers.RepeatedCompositeFieldContainer[IdentityMerge]
    campaign_memberships: _containers.RepeatedCompositeFieldContainer[CampaignMembership]
    campaign_merges: _containers.RepeatedCompositeFieldContainer[CampaignMerge]
    def __init__(self, attackers: _Optional[_Iterable[_Union[AttackerSighting, _Mapping]]] = ..., sessions: _Optional[_Iterable[_Union[SessionRecord, _Mapping]]] = ..., facts: _Optional[_Iterable[_Union[_attacker_fact_pb2.AttackerFact, _Mapping]]] = ..., intel_records: _Optional[_Iterable[_Union[_attacker_fact_pb2.IntelRecord, _Mapping]]] = ..., identity_uuids: _Optional[_Iterable[str]] = ..., memberships: _Optional[_Iterable[_Union[Membership, _Mapping]]] = ..., identity_merges: _Optional[_Iterable[_Union[IdentityMerge, _Mapping]]] = ..., campaign_memberships: _Optional[_Iterable[_Union[CampaignMembership, _Mapping]]] = ..., campaign_merges: _Optional[_Iterable[_Union[CampaignMerge, _Mapping]]] = ...) -> None: ...

class AttackerSighting(_message.Message):
    __slots__ = ("attacker_uuid", "ip", "decky_id", "first_seen_time", "last_seen_time")
    ATTACKER_UUID_FIELD_NUMBER: _ClassVar[int]
    IP_FIELD_NUMBER: _ClassVar[int]
    DECKY_ID_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    attacker_uuid: str
    ip: str
    decky_id: str
    first_seen_time: _timestamp_pb2.Timestamp
    last_seen_time: _timestamp_pb2.Timestamp
    def __init__(self, attacker_uuid: _Optional[str] = ..., ip: _Optional[str] = ..., decky_id: _Optional[str] = ..., first_seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SessionRecord(_message.Message):
    __slots__ = ("session_id", "attacker_uuid", "decky_id", "service", "start_time", "end_time", "command_count", "request_count", "auth_attempt_count", "file_count")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    ATTACKER_UUID_FIELD_NUMBER: _ClassVar[int]
    DECKY_ID_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    COMMAND_COUNT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_COUNT_FIELD_NUMBER: _ClassVar[int]
    AUTH_ATTEMPT_COUNT_FIELD_NUMBER: _ClassVar[int]
    FILE_COUNT_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    attacker_uuid: str
    decky_id: str
    service: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    command_count: int
    request_count: int
    auth_attempt_count: int
    file_count: int
    def __init__(self, session_id: _Optional[str] = ..., attacker_uuid: _Optional[str] = ..., decky_id: _Optional[str] = ..., service: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., command_count: _Optional[int] = ..., request_count: _Optional[int] = ..., auth_attempt_count: _Optional[int] = ..., file_count: _Optional[int] = ...) -> None: ...

class Membership(_message.Message):
    __slots__ = ("attacker_uuid", "identity_uuid", "state_time")
    ATTACKER_UUID_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_UUID_FIELD_NUMBER: _ClassVar[int]
    STATE_TIME_FIELD_NUMBER: _ClassVar[int]
    attacker_uuid: str
    identity_uuid: str
    state_time: _timestamp_pb2.Timestamp
    def __init__(self, attacker_uuid: _Optional[str] = ..., identity_uuid: _Optional[str] = ..., state_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class IdentityMerge(_message.Message):
    __slots__ = ("loser_uuid", "winner_uuid", "state_time")
    LOSER_UUID_FIELD_NUMBER: _ClassVar[int]
    WINNER_UUID_FIELD_NUMBER: _ClassVar[int]
    STATE_TIME_FIELD_NUMBER: _ClassVar[int]
    loser_uuid: str
    winner_uuid: str
    state_time: _timestamp_pb2.Timestamp
    def __init__(self, loser_uuid: _Optional[str] = ..., winner_uuid: _Optional[str] = ..., state_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CampaignMembership(_message.Message):
    __slots__ = ("identity_uuid", "campaign_uuid", "name", "state_time")
    IDENTITY_UUID_FIELD_NUMBER: _ClassVar[int]
    CAMPAIGN_UUID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_TIME_FIELD_NUMBER: _ClassVar[int]
    identity_uuid: str
    campaign_uuid: str
    name: str
    state_time: _timestamp_pb2.Timestamp
    def __init__(self, identity_uuid: _Optional[str] = ..., campaign_uuid: _Optional[str] = ..., name: _Optional[str] = ..., state_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CampaignMerge(_message.Message):
    __slots__ = ("loser_uuid", "winner_uuid", "state_time")
    LOSER_UUID_FIELD_NUMBER: _ClassVar[int]
    WINNER_UUID_FIELD_NUMBER: _ClassVar[int]
    STATE_TIME_FIELD_NUMBER: _ClassVar[int]
    loser_uuid: str
    winner_uuid: str
    state_time: _timestamp_pb2.Timestamp
    def __init__(self, loser_uuid: _Optional[str] = ..., winner_uuid: _Optional[str] = ..., state_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class UpdateDirectoryResponse(_message.Message):
    __slots__ = ("new_fact_count", "superseded_count")
    NEW_FACT_COUNT_FIELD_NUMBER: _ClassVar[int]
    SUPERSEDED_COUNT_FIELD_NUMBER: _ClassVar[int]
    new_fact_count: int
    superseded_count: int
    def __init__(self, new_fact_count: _Optional[int] = ..., superseded_count: _Optional[int] = ...) -> None: ...

class ListSessionsRequest(_message.Message):
    __slots__ = ("scope", "decky_id", "page_size", "page_token")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    DECKY_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    scope: _scope_pb2.Scope
    decky_id: str
    page_size: int
    page_token: str
    def __init__(self, scope: _Optional[_Union[_scope_pb2.Scope, _Mapping]] = ..., decky_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListSessionsResponse(_message.Message):
    __slots__ = ("sessions", "next_page_token")
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    sessions: _containers.RepeatedCompositeFieldContainer[Session]
    next_page_token: str
    def __init__(self, sessions: _Optional[_Iterable[_Union[Session, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Session(_message.Message):
    __slots__ = ("session_id", "attacker_uuid", "attacker_ip", "decky_id", "service", "start_time", "end_time", "command_count", "request_count", "auth_attempt_count", "file_count", "tag_count")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    ATTACKER_UUID_FIELD_NUMBER: _ClassVar[int]
    ATTACKER_IP_FIELD_NUMBER: _ClassVar[int]
    DECKY_ID_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    COMMAND_COUNT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_COUNT_FIELD_NUMBER: _ClassVar[int]
    AUTH_ATTEMPT_COUNT_FIELD_NUMBER: _ClassVar[int]
    FILE_COUNT_FIELD_NUMBER: _ClassVar[int]
    TAG_COUNT_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    attacker_uuid: str
    attacker_ip: str
    decky_id: str
    service: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    command_count: int
    request_count: int
    auth_attempt_count: int
    file_count: int
    tag_count: int
    def __init__(self, session_id: _Optional[str] = ..., attacker_uuid: _Optional[str] = ..., attacker_ip: _Optional[str] = ..., decky_id: _Optional[str] = ..., service: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., command_count: _Optional[int] = ..., request_count: _Optional[int] = ..., auth_attempt_count: _Optional[int] = ..., file_count: _Optional[int] = ..., tag_count: _Optional[int] = ...) -> None: ...

class ListDeckiesRequest(_message.Message):
    __slots__ = ("scope", "page_size", "page_token")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    scope: _scope_pb2.Scope
    page_size: int
    page_token: str
    def __init__(self, scope: _Optional[_Union[_scope_pb2.Scope, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDeckiesResponse(_message.Message):
    __slots__ = ("deckies", "next_page_token")
    DECKIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    deckies: _containers.RepeatedCompositeFieldContainer[Decky]
    next_page_token: str
    def __init__(self, deckies: _Optional[_Iterable[_Union[Decky, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Decky(_message.Message):
    __slots__ = ("decky_id", "first_seen_time", "last_seen_time", "attacker_count")
    DECKY_ID_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    ATTACKER_COUNT_FIELD_NUMBER: _ClassVar[int]
    decky_id: str
    first_seen_time: _timestamp_pb2.Timestamp
    last_seen_time: _timestamp_pb2.Timestamp
    attacker_count: int
    def __init__(self, decky_id: _Optional[str] = ..., first_seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attacker_count: _Optional[int] = ...) -> None: ...
