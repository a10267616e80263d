# SPDX-License-Identifier: AGPL-3.0-or-later
"""Errors of servicers reach clients as the same errors, and nothing else reaches them."""

from __future__ import annotations

import logging
from typing import Any, ClassVar

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from hypothesis import given
from hypothesis import strategies as st

from decnet_ttp.core import errors
from decnet_ttp.runtime.boundary import DOMAIN, from_rpc_error, to_status
from decnet_ttp.runtime.clients import call, open_channel
from decnet_ttp.runtime.config import Settings
from decnet_ttp.v1 import (
    directory_service_pb2,
    rule_store_service_pb2,
    rule_store_service_pb2_grpc,
)
from runtime.served import Served, directory_stub, serving

SECRET = "root:hunter2"  # noqa: S105 - what must not leak

FAMILY = [
    value
    for value in vars(errors).values()
    if isinstance(value, type)
    and issubclass(value, errors.DecnetError)
    and value not in {errors.DecnetError, errors.InvalidArgumentError}
]


class RuleMissingError(errors.NotFoundError):
    """A service's own error with a finer reason."""

    reason: ClassVar[str] = "RULE_MISSING"


async def _call(settings: Settings, served: Served, error: BaseException) -> None:
    """Make the server raise an error in a unary call."""

    async def fail(_ip: str) -> str:
        raise error

    served.directory.answer = fail
    async with directory_stub(settings.listen) as stub:
        await call(stub.GetAttacker, directory_service_pb2.GetAttackerRequest(), timeout_s=60)


async def _watch(settings: Settings, served: Served, error: BaseException) -> None:
    """Make the server raise an error in the middle of a stream."""
    served.rules.error = error
    async with open_channel(settings.listen, settings) as channel:
        stub: Any = rule_store_service_pb2_grpc.RuleStoreServiceStub(channel)
        seen = 0
        try:
            async for _ in stub.WatchRules(rule_store_service_pb2.WatchRulesRequest(), timeout=60):
                seen += 1
        except grpc.aio.AioRpcError as failed:
            assert seen == 1
            raise from_rpc_error(failed) from failed


both = pytest.mark.parametrize("attempt", [_call, _watch], ids=["unary", "stream"])


@both
@pytest.mark.parametrize("kind", FAMILY)
async def test_error_comes_back_as_itself(
    unix: Settings, attempt: Any, kind: type[errors.DecnetError]
) -> None:
    async with serving(unix) as served:
        with pytest.raises(errors.DecnetError) as caught:
            await attempt(unix, served, kind("what, why, cure", rule_id="R0001", count=3))
    found = caught.value
    assert type(found) is kind
    assert (found.message, found.reason) == ("what, why, cure", kind.reason)
    assert found.metadata == {"rule_id": "R0001", "count": "3"}


@both
async def test_reason_of_a_finer_error_is_kept(unix: Settings, attempt: Any) -> None:
    async with serving(unix) as served:
        with pytest.raises(errors.NotFoundError) as caught:
            await attempt(unix, served, RuleMissingError("no rule R0001", rule_id="R0001"))
    assert caught.value.reason == "RULE_MISSING"
    assert errors.NotFoundError.reason == "NOT_FOUND"


@both
async def test_field_violation_comes_back_with_its_field(unix: Settings, attempt: Any) -> None:
    async with serving(unix) as served:
        with pytest.raises(errors.InvalidArgumentError) as caught:
            await attempt(
                unix, served, errors.InvalidArgumentError("too many", field="groups[3].anchor", n=1)
            )
    assert caught.value.field == "groups[3].anchor"
    assert caught.value.metadata == {"field": "groups[3].anchor", "n": "1"}


def test_status_carries_the_standard_details() -> None:
    """Any client library reads ErrorInfo and BadRequest."""
    status = to_status(errors.InvalidArgumentError("too many", field="groups", n=1))
    info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert (status.code, status.message, len(status.details)) == (3, "too many", 2)
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(bad_request)
    assert (info.reason, info.domain) == ("INVALID_ARGUMENT", "decnet-ttp")
    assert dict(info.metadata) == {"field": "groups", "n": "1"}
    assert [(item.field, item.description) for item in bad_request.field_violations] == [
        ("groups", "too many")
    ]


@both
@pytest.mark.parametrize(
    "error",
    [ValueError(SECRET), KeyError(SECRET), OSError(SECRET), ExceptionGroup(SECRET, [OSError()])],
)
async def test_unknown_exception_does_not_leak(
    unix: Settings, attempt: Any, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller learns nothing; our log says which call and keeps the traceback."""
    async with serving(unix) as served:
        with pytest.raises(errors.InternalError) as caught:
            await attempt(unix, served, error)
    assert caught.value.message == "internal error; the log of the service says more"
    assert caught.value.metadata == {}
    (record,) = (item for item in caplog.records if item.message == "call failed")
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    method = "DirectoryService/GetAttacker" if attempt is _call else "RuleStoreService/WatchRules"
    assert record.__dict__["method"] == f"/decnet_ttp.v1.{method}"


async def test_method_without_servicer_is_unimplemented(unix: Settings) -> None:
    async with serving(unix), directory_stub(unix.listen) as stub:
        with pytest.raises(errors.UnimplementedError, match="this release does not offer the call"):
            await call(
                stub.ListAttackers, directory_service_pb2.ListAttackersRequest(), timeout_s=60
            )


def _failed(
    code: grpc.StatusCode, details: bytes | None, message: str = "from elsewhere"
) -> grpc.aio.AioRpcError:
    trailing = grpc.aio.Metadata()
    if details is not None:
        trailing.add("grpc-status-details-bin", details)
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details=message)


def _details(metadata: dict[str, str], domain: str = DOMAIN, reason: str = "R") -> bytes:
    status = status_pb2.Status(code=5, message="from elsewhere")
    info = error_details_pb2.ErrorInfo(reason=reason, domain=domain, metadata=metadata)
    status.details.add().Pack(info)
    return bytes(status.SerializeToString())


def test_status_that_our_boundary_did_not_write_maps_by_its_code() -> None:
    assert type(from_rpc_error(_failed(grpc.StatusCode.UNAVAILABLE, None))) is (
        errors.UnavailableError
    )
    cancelled = from_rpc_error(_failed(grpc.StatusCode.CANCELLED, None, ""))
    assert type(cancelled) is errors.InternalError
    assert (cancelled.message, cancelled.metadata) == ("CANCELLED", {"status": "CANCELLED"})


def test_details_of_another_domain_are_not_ours() -> None:
    found = from_rpc_error(
        _failed(grpc.StatusCode.NOT_FOUND, _details({"a": "b"}, domain="proxy.example"))
    )
    assert (type(found), found.reason, found.metadata) == (errors.NotFoundError, "NOT_FOUND", {})


def test_details_may_use_any_key() -> None:
    """A peer cannot break a client by the name of a variable."""
    metadata = {"message": "m", "self": "s", "field": "f", "": "empty"}
    found = from_rpc_error(_failed(grpc.StatusCode.NOT_FOUND, _details(metadata)))
    assert (found.reason, found.metadata) == ("R", metadata)


def test_details_that_disagree_with_the_status_are_left_aside() -> None:
    found = from_rpc_error(_failed(grpc.StatusCode.UNAVAILABLE, _details({"a": "b"})))
    assert (type(found), found.metadata) == (errors.UnavailableError, {})


@given(st.binary(max_size=64))
def test_details_of_any_bytes_give_an_error_of_the_code(details: bytes) -> None:
    found = from_rpc_error(_failed(grpc.StatusCode.NOT_FOUND, details))
    assert type(found) is errors.NotFoundError


def test_detail_with_a_broken_value_is_left_aside() -> None:
    broken = AnyMessage(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff\xff")
    status = status_pb2.Status(code=5, message="from elsewhere", details=[broken])
    error = _failed(grpc.StatusCode.NOT_FOUND, status.SerializeToString())
    assert rpc_status.from_call(error) is not None  # type: ignore[arg-type]  # duck-typed
    assert type(from_rpc_error(error)) is errors.NotFoundError
