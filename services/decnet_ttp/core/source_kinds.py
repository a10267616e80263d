# SPDX-License-Identifier: AGPL-3.0-or-later
"""The kinds of events that have a typed payload. Storage and wire stay open to others."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType


class SourceKind(StrEnum):
    """Kinds with a message of their own in event.proto."""

    COMMAND = "command"
    INTEL = "intel"
    EMAIL = "email"
    CANARY_FINGERPRINT = "canary_fingerprint"
    IDENTITY = "identity"
    CREDENTIAL = "credential"
    AUTH_ATTEMPT = "auth_attempt"
    PAYLOAD = "payload"
    SESSION = "session"
    HTTP_REQUEST = "http_request"
    HTTP_FINGERPRINT = "http_fingerprint"
    IPV6_LEAK = "ipv6_leak"


#: Member of the oneofs `Event.payload` and `Evidence.evidence` that belongs to each kind.
PAYLOAD_FIELD = MappingProxyType(
    {kind: "file" if kind is SourceKind.PAYLOAD else kind.value for kind in SourceKind}
)
