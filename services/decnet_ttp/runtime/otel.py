# SPDX-License-Identifier: AGPL-3.0-or-later
"""Spans by OpenTelemetry, sent over OTLP; imported only where a collector is set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from decnet_ttp import program_version
from decnet_ttp.runtime.tracing import Carrier

_SEND_EVERY_MS = 1_000
_TIMEOUT_S = 2


class Otel:
    """The tracer of a process.

    Args:
        endpoint: Collector, as http://host:4317.
        service: Name of the service.
    """

    def __init__(self, endpoint: str, service: str) -> None:
        resource = Resource.create(
            {"service.name": f"decnet-ttp-{service}", "service.version": program_version()}
        )
        exporter = OTLPSpanExporter(
            endpoint=endpoint, insecure=endpoint.startswith("http://"), timeout=_TIMEOUT_S
        )
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(
            BatchSpanProcessor(exporter, schedule_delay_millis=_SEND_EVERY_MS)
        )
        self._tracer = self._provider.get_tracer("decnet_ttp")
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def span(
        self, name: str, attributes: Mapping[str, str | int], carrier: Carrier | None
    ) -> Iterator[None]:
        """Record a span as long as the block."""
        context = None if carrier is None else self._propagator.extract(carrier)
        # What an error says may quote an event, so only its class is told.
        with self._tracer.start_as_current_span(
            name,
            context=context,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as current:
            try:
                yield
            except Exception as error:
                current.set_attribute("error.type", type(error).__name__)
                current.set_status(StatusCode.ERROR)
                raise

    def carrier(self) -> Carrier:
        """Return the context of the current span."""
        found: dict[str, str] = {}
        self._propagator.inject(found)
        return found

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()
