# SPDX-License-Identifier: AGPL-3.0-or-later
"""The error family: every member travels over gRPC by code and reason."""

from __future__ import annotations

import re

import grpc
import pytest

from decnet_ttp.core import errors
from decnet_ttp.core.source_kinds import PAYLOAD_FIELD, SourceKind
from decnet_ttp.v1 import event_pb2, tag_pb2

FAMILY = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, errors.DecnetError)
]


def test_family_and_its_codes_are_pinned() -> None:
    assert {kind.__name__: kind.code for kind in FAMILY} == {
        "DecnetError": "INTERNAL",
        "InvalidArgumentError": "INVALID_ARGUMENT",
        "NotFoundError": "NOT_FOUND",
        "FailedPreconditionError": "FAILED_PRECONDITION",
        "OutOfRangeError": "OUT_OF_RANGE",
        "ResourceExhaustedError": "RESOURCE_EXHAUSTED",
        "AbortedError": "ABORTED",
        "UnavailableError": "UNAVAILABLE",
        "DeadlineExceededError": "DEADLINE_EXCEEDED",
        "UnimplementedError": "UNIMPLEMENTED",
        "UnauthenticatedError": "UNAUTHENTICATED",
        "PermissionDeniedError": "PERMISSION_DENIED",
        "InternalError": "INTERNAL",
    }


@pytest.mark.parametrize("kind", FAMILY)
def test_code_and_reason_can_be_sent(kind: type[errors.DecnetError]) -> None:
    assert grpc.StatusCode[kind.code].name == kind.code
    assert re.fullmatch(r"[A-Z][A-Z0-9_]{0,62}", kind.reason)


def test_metadata_is_text() -> None:
    error = errors.NotFoundError("no such rule", rule_id="R0001", tried=3)
    assert str(error) == error.message == "no such rule"
    assert error.metadata == {"rule_id": "R0001", "tried": "3"}


def test_invalid_argument_names_its_field_in_the_metadata_too() -> None:
    error = errors.InvalidArgumentError("too many", field="groups[3]", maximum=10)
    assert error.field == "groups[3]"
    assert error.metadata == {"field": "groups[3]", "maximum": "10"}
    assert errors.InvalidArgumentError("wrong").metadata == {}


def test_every_kind_has_its_member_in_both_oneofs() -> None:
    payloads = event_pb2.Event.DESCRIPTOR.oneofs_by_name["payload"].fields
    evidence = tag_pb2.Evidence.DESCRIPTOR.oneofs_by_name["evidence"].fields
    expected = set(PAYLOAD_FIELD.values())
    assert set(PAYLOAD_FIELD) == set(SourceKind)
    assert expected <= {field.name for field in payloads}
    assert expected <= {field.name for field in evidence}
