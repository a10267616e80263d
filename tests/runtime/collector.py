# SPDX-License-Identifier: AGPL-3.0-or-later
"""A real OTLP collector that keeps what it is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc


@dataclass
class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps the spans it is sent."""

    spans: list[Any] = field(default_factory=list)

    async def Export(self, request: Any, context: Any) -> Any:
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans += scope.spans
        return trace_service_pb2.ExportTraceServiceResponse()

    def traces_with(self, name: str) -> list[bytes]:
        """Return the ids of the traces that have a span of a name."""
        return [each.trace_id for each in self.spans if each.name == name]

    def parents(self, trace: bytes) -> set[tuple[str, str]]:
        """Return the names of the spans of a trace, each with its parent's."""
        spans = [each for each in self.spans if each.trace_id == trace]
        by_id = {each.span_id: each.name for each in spans}
        return {(each.name, by_id[each.parent_span_id]) for each in spans if each.parent_span_id}


@asynccontextmanager
async def collecting() -> AsyncIterator[tuple[Collector, str]]:
    """Run a collector; gives it and its end point."""
    collector = Collector()
    server = grpc.aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield collector, f"http://127.0.0.1:{port}"
    finally:
        await server.stop(1)
