from decnet_ttp.v1 import rollup_service_pb2 as _rollup_service_pb2
from decnet_ttp.v1 import scope_pb2 as _scope_pb2
from decnet_ttp.v1 import tag_pb2 as _tag_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DocumentFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DOCUMENT_FORMAT_UNSPECIFIED: _ClassVar[DocumentFormat]
    DOCUMENT_FORMAT_NAVIGATOR: _ClassVar[DocumentFormat]
    DOCUMENT_FORMAT_STIX: _ClassVar[DocumentFormat]
    DOCUMENT_FORMAT_MISP: _ClassVar[DocumentFormat]
DOCUMENT_FORMAT_UNSPECIFIED: DocumentFormat
DOCUMENT_FORMAT_NAVIGATOR: DocumentFormat
DOCUMENT_FORMAT_STIX: DocumentFormat
DOCUMENT_FORMAT_MISP: DocumentFormat

class ExportTagsRequest(_message.Message):
    __slots__ = ("scope",)
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    scope: _scope_pb2.Scope
    def __init__(self, scope: _Optional[_Union[_scope_pb2.Scope, _Mapping]] = ...) -> None: ...

class ExportTagsResponse(_message.Message):
    __slots__ = ("tags",)
    TAGS_FIELD_NUMBER: _ClassVar[int]
    tags: _containers.RepeatedCompositeFieldContainer[_tag_pb2.Tag]
    def __init__(self, tags: _Optional[_Iterable[_Union[_tag_pb2.Tag, _Mapping]]] = ...) -> None: ...

class ExportRollupsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ExportRollupsResponse(_message.Message):
    __slots__ = ("attacker_uuid", "techniques")
    ATTACKER_UUID_FIELD_NUMBER: _ClassVar[int]
    TECHNIQUES_FIELD_NUMBER: _ClassVar[int]
    attacker_uuid: str
    techniques: _containers.RepeatedCompositeFieldContainer[_rollup_service_pb2.TechniqueRow]
    def __init__(self, attacker_uuid: _Optional[str] = ..., techniques: _Optional[_Iterable[_Union[_rollup_service_pb2.TechniqueRow, _Mapping]]] = ...) -> None: ...

class ExportDocumentRequest(_message.Message):
    __slots__ = ("scope", "format")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    scope: _scope_pb2.Scope
    format: DocumentFormat
    def __init__(self, scope: _Optional[_Union[_scope_pb2.Scope, _Mapping]] = ..., format: _Optional[_Union[DocumentFormat, str]] = ...) -> None: ...

class ExportDocumentResponse(_message.Message):
    __slots__ = ("chunk",)
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    chunk: bytes
    def __init__(self, chunk: _Optional[bytes] = ...) -> None: ...
