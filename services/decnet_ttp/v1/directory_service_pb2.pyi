import datetime

from decnet_ttp.v1 import attacker_fact_pb2 as _attacker_fact_pb2
from decnet_ttp.v1 import directory_update_pb2 as _directory_update_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ResolveAttackersRequest(_message.Message):
    __slots__ = ("sightings", "create_missing")
    SIGHTINGS_FIELD_NUMBER: _ClassVar[int]
    CREATE_MISSING_FIELD_NUMBER: _ClassVar[int]
    sightings: _containers.RepeatedCompositeFieldContainer[AddressSighting]
    create_missing: bool
    def __init__(self, sightings: _Optional[_Iterable[_Union[AddressSighting, _Mapping]]] = ..., create_missing: _Optional[bool] = ...) -> None: ...

class AddressSighting(_message.Message):
    __slots__ = ("ip", "first_seen_time", "last_seen_time", "attacker_uuid")
    IP_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    ATTACKER_UUID_FIELD_NUMBER: _ClassVar[int]
    ip: str
    first_seen_time: _timestamp_pb2.Timestamp
    last_seen_time: _timestamp_pb2.Timestamp
    attacker_uuid: str
    def __init__(self, ip: _Optional[str] = ..., first_seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attacker_uuid: _Optional[str] = ...) -> None: ...

class ResolveAttackersResponse(_message.Message):
    __slots__ = ("attackers",)
    ATTACKERS_FIELD_NUMBER: _ClassVar[int]
    attackers: _containers.RepeatedCompositeFieldContainer[ResolvedAttacker]
    def __init__(self, attackers: _Optional[_Iterable[_Union[ResolvedAttacker, _Mapping]]] = ...) -> None: ...

class ResolvedAttacker(_message.Message):
    __slots__ = ("attacker_uuid", "identity_uuid", "ip")
    ATTACKER_UUID_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_UUID_FIELD_NUMBER: _ClassVar[int]
    IP_FIELD_NUMBER: _ClassVar[int]
    attacker_uuid: str
    identity_uuid: str
    ip: str
    def __init__(self, attacker_uuid: _Optional[str] = ..., identity_uuid: _Optional[str] = ..., ip: _Optional[str] = ...) -> None: ...

class ListAttackersRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListAttackersResponse(_message.Message):
    __slots__ = ("attackers", "next_page_token")
    ATTACKERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    attackers: _containers.RepeatedCompositeFieldContainer[Attacker]
    next_page_token: str
    def __init__(self, attackers: _Optional[_Iterable[_Union[Attacker, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Attacker(_message.Message):
    __slots__ = ("uuid", "ip", "identity_uuid", "first_seen_time", "last_seen_time", "tag_count", "technique_count")
    UUID_FIELD_NUMBER: _ClassVar[int]
    IP_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_UUID_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    TAG_COUNT_FIELD_NUMBER: _ClassVar[int]
    TECHNIQUE_COUNT_FIELD_NUMBER: _ClassVar[int]
    uuid: str
    ip: str
    identity_uuid: str
    first_seen_time: _timestamp_pb2.Timestamp
    last_seen_time: _timestamp_pb2.Timestamp
    tag_count: int
    technique_count: int
    def __init__(self, uuid: _Optional[str] = ..., ip: _Optional[str] = ..., identity_uuid: _Optional[str] = ..., first_seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., tag_count: _Optional[int] = ..., technique_count: _Optional[int] = ...) -> None: ...

class GetAttackerRequest(_message.Message):
    __slots__ = ("attacker_uuid", "ip")
    ATTACKER_UUID_FIELD_NUMBER: _ClassVar[int]
    IP_FIELD_NUMBER: _ClassVar[int]
    attacker_uuid: str
    ip: str
    def __init__(self, attacker_uuid: _Optional[str] = ..., ip: _Optional[str] = ...) -> None: ...

class GetAttackerResponse(_message.Message):
    __slots__ = ("attacker",)
    ATTACKER_FIELD_NUMBER: _ClassVar[int]
    attacker: Attacker
    def __init__(self, attacker: _Optional[_Union[Attacker, _Mapping]] = ...) -> None: ...

class ResolveIdentitiesRequest(_message.Message):
    __slots__ = ("queries",)
    QUERIES_FIELD_NUMBER: _ClassVar[int]
    queries: _containers.RepeatedCompositeFieldContainer[MembershipQuery]
    def __init__(self, queries: _Optional[_Iterable[_Union[MembershipQuery, _Mapping]]] = ...) -> None: ...

class MembershipQuery(_message.Message):
    __slots__ = ("attacker_uuid", "default_identity_uuid")
    ATTACKER_UUID_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_IDENTITY_UUID_FIELD_NUMBER: _ClassVar[int]
    attacker_uuid: str
    default_identity_uuid: str
    def __init__(self, attacker_uuid: _Optional[str] = ..., default_identity_uuid: _Optional[str] = ...) -> None: ...

class ResolveIdentitiesResponse(_message.Message):
    __slots__ = ("memberships",)
    MEMBERSHIPS_FIELD_NUMBER: _ClassVar[int]
    memberships: _containers.RepeatedCompositeFieldContainer[ResolvedMembership]
    def __init__(self, memberships: _Optional[_Iterable[_Union[ResolvedMembership, _Mapping]]] = ...) -> None: ...

class ResolvedMembership(_message.Message):
    __slots__ = ("attacker_uuid", "identity_uuid")
    ATTACKER_UUID_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_UUID_FIELD_NUMBER: _ClassVar[int]
    attacker_uuid: str
    identity_uuid: str
    def __init__(self, attacker_uuid: _Optional[str] = ..., identity_uuid: _Optional[str] = ...) -> None: ...

class ListIdentitiesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListIdentitiesResponse(_message.Message):
    __slots__ = ("identities", "next_page_token")
    IDENTITIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    identities: _containers.RepeatedCompositeFieldContainer[Identity]
    next_page_token: str
    def __init__(self, identities: _Optional[_Iterable[_Union[Identity, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Identity(_message.Message):
    __slots__ = ("uuid", "attacker_uuids", "campaign_uuid", "merged_into_uuid", "attacker_count", "merged_uuids")
    UUID_FIELD_NUMBER: _ClassVar[int]
    ATTACKER_UUIDS_FIELD_NUMBER: _ClassVar[int]
    CAMPAIGN_UUID_FIELD_NUMBER: _ClassVar[int]
    MERGED_INTO_UUID_FIELD_NUMBER: _ClassVar[int]
    ATTACKER_COUNT_FIELD_NUMBER: _ClassVar[int]
    MERGED_UUIDS_FIELD_NUMBER: _ClassVar[int]
    uuid: str
    attacker_uuids: _containers.RepeatedScalarFieldContainer[str]
    campaign_uuid: str
    merged_into_uuid: str
    attacker_count: int
    merged_uuids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, uuid: _Optional[str] = ..., attacker_uuids: _Optional[_Iterable[str]] = ..., campaign_uuid: _Optional[str] = ..., merged_into_uuid: _Optional[str] = ..., attacker_count: _Optional[int] = ..., merged_uuids: _Optional[_Iterable[str]] = ...) -> None: ...

class GetIdentityRequest(_message.Message):
    __slots__ = ("identity_uuid",)
    IDENTITY_UUID_FIELD_NUMBER: _ClassVar[int]
    identity_uuid: str
    def __init__(self, identity_uuid: _Optional[str] = ...) -> None: ...

class GetIdentityResponse(_message.Message):
    __slots__ = ("identity",)
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    identity: Identity
    def __init__(self, identity: _Optional[_Union[Identity, _Mapping]] = ...) -> None: ...

class LinkAttackersRequest(_message.Message):
    __slots__ = ("identity_uuid", "attacker_uuids", "only_unlinked")
    IDENTITY_UUID_FIELD_NUMBER: _ClassVar[int]
    ATTACKER_UUIDS_FIELD_NUMBER: _ClassVar[int]
    ONLY_UNLINKED_FIELD_NUMBER: _ClassVar[int]
    identity_uuid: str
    attacker_uuids: _containers.RepeatedScalarFieldContainer[str]
    only_unlinked: bool
    def __init__(self, identity_uuid: _Optional[str] = ..., attacker_uuids: _Optional[_Iterable[str]] = ..., only_unlinked: _Optional[bool] = ...) -> None: ...

class LinkAttackersResponse(_message.Message):
    __slots__ = ("identity",)
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    identity: Identity
    def __init__(self, identity: _Optional[_Union[Identity, _Mapping]] = ...) -> None: ...

class UnlinkAttackersRequest(_message.Message):
    __slots__ = ("attacker_uuids",)
    ATTACKER_UUIDS_FIELD_NUMBER: _ClassVar[int]
    attacker_uuids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, attacker_uuids: _Optional[_Iterable[str]] = ...) -> None: ...

class UnlinkAttackersResponse(_message.Message):
    __slots__ = ("unlinked_count",)
    UNLINKED_COUNT_FIELD_NUMBER: _ClassVar[int]
    unlinked_count: int
    def __init__(self, unlinked_count: _Optional[int] = ...) -> None: ...

class MergeIdentitiesRequest(_message.Message):
    __slots__ = ("winner_uuid", "loser_uuid")
    WINNER_UUID_FIELD_NUMBER: _ClassVar[int]
    LOSER_UUID_FIELD_NUMBER: _ClassVar[int]
    winner_uuid: str
    loser_uuid: str
    def __init__(self, winner_uuid: _Optional[str] = ..., loser_uuid: _Optional[str] = ...) -> None: ...

class MergeIdentitiesResponse(_message.Message):
    __slots__ = ("identity",)
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    identity: Identity
    def __init__(self, identity: _Optional[_Union[Identity, _Mapping]] = ...) -> None: ...

class UnmergeIdentityRequest(_message.Message):
    __slots__ = ("loser_uuid",)
    LOSER_UUID_FIELD_NUMBER: _ClassVar[int]
    loser_uuid: str
    def __init__(self, loser_uuid: _Optional[str] = ...) -> None: ...

class UnmergeIdentityResponse(_message.Message):
    __slots__ = ("identity",)
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    identity: Identity
    def __init__(self, identity: _Optional[_Union[Identity, _Mapping]] = ...) -> None: ...

class ListCampaignsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListCampaignsResponse(_message.Message):
    __slots__ = ("campaigns", "next_page_token")
    CAMPAIGNS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    campaigns: _containers.RepeatedCompositeFieldContainer[Campaign]
    next_page_token: str
    def __init__(self, campaigns: _Optional[_Iterable[_Union[Campaign, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Campaign(_message.Message):
    __slots__ = ("uuid", "name", "identity_uuids", "merged_into_uuid")
    UUID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_UUIDS_FIELD_NUMBER: _ClassVar[int]
    MERGED_INTO_UUID_FIELD_NUMBER: _ClassVar[int]
    uuid: str
    name: str
    identity_uuids: _containers.RepeatedScalarFieldContainer[str]
    merged_into_uuid: str
    def __init__(self, uuid: _Optional[str] = ..., name: _Optional[str] = ..., identity_uuids: _Optional[_Iterable[str]] = ..., merged_into_uuid: _Optional[str] = ...) -> None: ...

class AssignCampaignRequest(_message.Message):
    __slots__ = ("campaign_uuid", "name", "identity_uuids")
    CAMPAIGN_UUID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_UUIDS_FIELD_NUMBER: _ClassVar[int]
    campaign_uuid: str
    name: str
    identity_uuids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, campaign_uuid: _Optional[str] = ..., name: _Optional[str] = ..., identity_uuids: _Optional[_Iterable[str]] = ...) -> None: ...

class AssignCampaignResponse(_message.Message):
    __slots__ = ("campaign",)
    CAMPAIGN_FIELD_NUMBER: _ClassVar[int]
    campaign: Campaign
    def __init__(self, campaign: _Optional[_Union[Campaign, _Mapping]] = ...) -> None: ...
