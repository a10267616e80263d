# SPDX-License-Identifier: AGPL-3.0-or-later
"""The gRPC boundary: errors of the domain become statuses here, and back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from decnet_ttp.core import errors
from decnet_ttp.runtime.unreached import unreached_reason

DOMAIN = "decnet-ttp"

_log = logging.getLogger(__name__)


def _family() -> dict[str, type[errors.DecnetError]]:
    found: dict[str, type[errors.DecnetError]] = {}
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, errors.DecnetError):
            found[value.code] = value
    return found


_BY_CODE = _family()


def to_status(error: errors.DecnetError) -> status_pb2.Status:
    """Return the `google.rpc.Status` of an error, with ErrorInfo and field violations."""
    code = grpc.StatusCode[error.code]
    status = status_pb2.Status(code=code.value[0], message=error.message)
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    packed = AnyMessage()
    packed.Pack(info)
    status.details.append(packed)
    if isinstance(error, errors.InvalidArgumentError) and error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=error.field, description=error.message
        )
        packed = AnyMessage()
        packed.Pack(error_details_pb2.BadRequest(field_violations=[violation]))
        status.details.append(packed)
    return status


def from_rpc_error(error: grpc.aio.AioRpcError) -> errors.DecnetError:
    """Return the error of the domain that a failed call stands for.

    The class follows the status code; a status that did not come from our boundary (the peer is
    away, a proxy answered) is mapped by its code alone.
    """
    name = error.code().name
    found = _BY_CODE.get(name, errors.InternalError)(error.details() or name)
    info = _error_info(error)
    if info is not None:
        found.metadata = dict(info.metadata)
        if info.reason:
            # The instance carries the sender's reason, which may be finer than the class.
            found.reason = info.reason  # type: ignore[misc] # a ClassVar, told otherwise by this one
    elif isinstance(found, errors.UnavailableError):
        reason = unreached_reason(found.message)
        if reason is not None:
            found.reason = reason  # type: ignore[misc] # a ClassVar, told otherwise by this one
    if isinstance(found, errors.InvalidArgumentError):
        found.field = found.metadata.get("field", "")
    if isinstance(found, errors.InternalError) and name != "INTERNAL":
        found.metadata["status"] = name
    return found


def _error_info(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo | None:
    """Return what our boundary said of an error; None where another wrote the details."""
    info = error_details_pb2.ErrorInfo()
    try:
        status = rpc_status.from_call(error)  # type: ignore[arg-type]  # duck-typed on both sides
        for detail in status.details if status else ():
            if detail.Unpack(info) and info.domain == DOMAIN:
                return info
    except (ValueError, DecodeError):
        _log.debug("unreadable error details", extra={"status": error.code().name})
    return None


async def _abort(context: grpc.aio.ServicerContext[Any, Any], error: errors.DecnetError) -> None:
    status = rpc_status.to_status(to_status(error))
    await context.abort_with_status(status)


async def _guard(
    method: str, context: grpc.aio.ServicerContext[Any, Any], error: BaseException
) -> None:
    """Turn what a servicer raised into a status; always raises."""
    if isinstance(error, NotImplementedError):
        # What the generated base class raises for a method that its servicer does not have.
        error = errors.UnimplementedError("this release does not offer the call")
    if isinstance(error, errors.DecnetError):
        if error.code == "INTERNAL":
            _log.error("call failed", extra={"method": method, "reason": error.reason})
        await _abort(context, error)
    _log.error("call failed", exc_info=error, extra={"method": method})
    await _abort(context, errors.InternalError("internal error; the log of the service says more"))


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Maps errors of servicers to statuses, for unary and streaming answers."""

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wrap the handler of a call."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        # Health and reflection are library code with an error behaviour of their own.
        if handler is None or method.startswith("/grpc."):
            return handler
        if handler.response_streaming:
            inner_stream: Any = (
                handler.stream_stream if handler.request_streaming else handler.unary_stream
            )

            async def stream(
                request: Any, context: grpc.aio.ServicerContext[Any, Any]
            ) -> AsyncIterator[Any]:
                try:
                    async for response in inner_stream(request, context):
                        yield response
                except (asyncio.CancelledError, grpc.aio.AbortError, GeneratorExit):
                    raise
                except Exception as error:  # noqa: BLE001 - the RPC boundary
                    await _guard(method, context, error)

            make: Any = (
                grpc.stream_stream_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_stream_rpc_method_handler
            )
            wrapped: grpc.RpcMethodHandler[Any, Any] = make(
                stream, handler.request_deserializer, handler.response_serializer
            )
            return wrapped

        inner: Any = handler.stream_unary if handler.request_streaming else handler.unary_unary

        async def unary(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            try:
                return await inner(request, context)
            except (asyncio.CancelledError, grpc.aio.AbortError):
                raise
            except Exception as error:  # noqa: BLE001 - the RPC boundary
                await _guard(method, context, error)

        make_unary: Any = (
            grpc.stream_unary_rpc_method_handler
            if handler.request_streaming
            else grpc.unary_unary_rpc_method_handler
        )
        answered: grpc.RpcMethodHandler[Any, Any] = make_unary(
            unary, handler.request_deserializer, handler.response_serializer
        )
        return answered
