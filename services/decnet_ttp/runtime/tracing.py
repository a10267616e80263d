# SPDX-License-Identifier: AGPL-3.0-or-later
"""Traces that follow a batch of messages through every service.

Where no collector is set, a span is one look at a variable, and OpenTelemetry is not imported.
Attributes are ids of ours and counts: what is in an event never gets into a trace.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import grpc

from decnet_ttp.runtime.config import Settings, SettingsError

#: The context of a span as it travels in the metadata of a call (W3C Trace Context).
Carrier = Mapping[str, str]

#: Spans of calls that are a step of the way of an event; others are named after their method.
STEPS: Final = {
    "/decnet_ttp.v1.DirectoryService/ResolveAttackers": "ttp.directory.resolve",
    "/decnet_ttp.v1.DirectoryService/ResolveIdentities": "ttp.directory.resolve",
    "/decnet_ttp.v1.DirectoryService/UpdateDirectory": "ttp.directory.update",
    "/decnet_ttp.v1.TaggerService/TagEvents": "ttp.eval",
    "/decnet_ttp.v1.TagStoreService/InsertTags": "ttp.tag.write",
    "/decnet_ttp.v1.RuleStoreService/SetRuleState": "ttp.rule.state.change",
    "/decnet_ttp.v1.RuleStoreService/ClearRuleState": "ttp.rule.state.change",
}

_OURS = "/decnet_ttp."
_FIELDS = frozenset({"traceparent", "tracestate"})
_NOTHING: Final[AbstractContextManager[None]] = nullcontext()


class Tracer(Protocol):
    """Makes spans."""

    def span(
        self, name: str, attributes: Mapping[str, str | int], carrier: Carrier | None
    ) -> AbstractContextManager[None]:
        """Return a span that lasts as long as its block."""

    def carrier(self) -> Carrier:
        """Return the context of the current span."""

    def close(self) -> None:
        """Send what is left; may take some seconds."""


class _State:
    """The tracer of this process, and how many servers use it."""

    tracer: Tracer | None = None
    users: int = 0


def start(settings: Settings, service: str) -> None:
    """Begin to trace, if a collector is set.

    Raises:
        SettingsError: The collector is no URL, or OpenTelemetry is not installed.
    """
    endpoint = settings.otel_endpoint
    if not endpoint:
        return
    if urlsplit(endpoint).scheme not in {"http", "https"} or not urlsplit(endpoint).hostname:
        raise SettingsError(f"otel_endpoint: {endpoint} is no URL; use http://host:4317")
    _State.users += 1
    if _State.tracer is not None:
        return
    try:
        # Only those who trace pay for the import.
        from decnet_ttp.runtime.otel import Otel  # noqa: PLC0415 - not paid for where it is off
    except ModuleNotFoundError as error:
        raise SettingsError(
            "otel_endpoint is set but OpenTelemetry is not installed: run "
            "`pip install 'decnet-ttp[tracing]'`"
        ) from error
    _State.tracer = Otel(endpoint, service)


def stop() -> None:
    """Send what is left and end; blocks for some seconds at most."""
    if _State.tracer is None:
        return
    _State.users -= 1
    if _State.users <= 0:
        tracer, _State.tracer = _State.tracer, None
        tracer.close()


def enabled() -> bool:
    """Whether spans are recorded."""
    return _State.tracer is not None


def span(
    name: str, carrier: Carrier | None = None, **attributes: str | int
) -> AbstractContextManager[None]:
    """Return a span that lasts as long as its block.

    Args:
        name: Step of the way.
        carrier: Context it belongs to; by default that of the span around it.
        attributes: Ids of ours, and counts.
    """
    if _State.tracer is None:
        return _NOTHING
    return _State.tracer.span(name, attributes, carrier)


def carrier() -> Carrier | None:
    """Return the context of the current span, for work done later; None when off."""
    return None if _State.tracer is None else _State.tracer.carrier()


def call_metadata() -> tuple[tuple[str, str], ...] | None:
    """Return what a call carries so that its server goes on with the trace; None when off."""
    return None if _State.tracer is None else tuple(_State.tracer.carrier().items())


class TracingInterceptor(grpc.aio.ServerInterceptor):
    """Goes on with the trace of a caller in unary calls."""

    async def intercept_service(
        self, continuation: Any, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wrap the handler of a call."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or handler.unary_unary is None or not method.startswith(_OURS):
            return handler  # type: ignore[no-any-return]
        metadata = handler_call_details.invocation_metadata or ()
        found = {key: str(value) for key, value in metadata if key in _FIELDS}
        name = STEPS.get(method, method.rpartition("/")[2])
        inner: Any = handler.unary_unary

        async def traced(request: Any, context: Any) -> Any:
            with span(name, found or None):
                return await inner(request, context)

        make: Any = grpc.unary_unary_rpc_method_handler
        wrapped: grpc.RpcMethodHandler[Any, Any] = make(
            traced, handler.request_deserializer, handler.response_serializer
        )
        return wrapped
