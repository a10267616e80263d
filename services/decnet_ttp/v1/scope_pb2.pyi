from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Scope(_message.Message):
    __slots__ = ("attacker_uuid", "attacker_ip", "identity_uuid", "campaign_uuid", "session_id", "fleet")
    ATTACKER_UUID_FIELD_NUMBER: _ClassVar[int]
    ATTACKER_IP_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_UUID_FIELD_NUMBER: _ClassVar[int]
    CAMPAIGN_UUID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    FLEET_FIELD_NUMBER: _ClassVar[int]
    attacker_uuid: str
    attacker_ip: str
    identity_uuid: str
    campaign_uuid: str
    session_id: str
    fleet: FleetScope
    def __init__(self, attacker_uuid: _Optional[str] = ..., attacker_ip: _Optional[str] = ..., identity_uuid: _Optional[str] = ..., campaign_uuid: _Optional[str] = ..., session_id: _Optional[str] = ..., fleet: _Optional[_Union[FleetScope, _Mapping]] = ...) -> None: ...

class FleetScope(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Anchor(_message.Message):
    __slots__ = ("attacker_uuid", "identity_uuid")
    ATTACKER_UUID_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_UUID_FIELD_NUMBER: _ClassVar[int]
    attacker_uuid: str
    identity_uuid: str
    def __init__(self, attacker_uuid: _Optional[str] = ..., identity_uuid: _Optional[str] = ...) -> None: ...
