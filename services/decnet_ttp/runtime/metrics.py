# SPDX-License-Identifier: AGPL-3.0-or-later
"""The metrics page of a service, for Prometheus.

Only a service that is told where to serve the page imports this module and its client library.
Figures are read when somebody looks, on the event loop of the service that counts them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import CancelledError
from types import TracebackType
from typing import Self

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from decnet_ttp.core.errors import DecnetError
from decnet_ttp.runtime.config import Settings, SettingsError
from decnet_ttp.runtime.figures import Collect, Family, Histogram
from decnet_ttp.runtime.listening import host_and_port, is_loopback

#: Before the name of every metric.
PREFIX = "decnet_ttp_"

#: How long a look at the page waits for the event loop, and for one collect, in seconds.
_PATIENCE_S = 5.0
_COLLECT_S = 1.5

_log = logging.getLogger(__name__)


def _metric(family: Family | Histogram) -> Metric:
    name = PREFIX + family.name
    if isinstance(family, Histogram):
        return HistogramMetricFamily(
            name, family.meaning, buckets=family.buckets(), sum_value=family.total
        )
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(name, family.meaning, labels=family.labels)
    for labels, value in family.values.items():
        metric.add_metric(labels, value)
    return metric


class _OnLoop(Collector):
    """Reads the figures of a service from the thread that serves the page."""

    def __init__(self, loop: asyncio.AbstractEventLoop, collects: Sequence[Collect]) -> None:
        self._loop = loop
        self._collects = collects

    def describe(self) -> Iterable[Metric]:
        """Nothing is read before somebody looks."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Return all families; none while the loop does not answer."""
        asked = asyncio.run_coroutine_threadsafe(self._read(), self._loop)
        try:
            families = asked.result(_PATIENCE_S)
        except (TimeoutError, CancelledError):
            asked.cancel()
            _log.warning("metrics left out: the service is busy or ends")
            return []
        return [_metric(family) for family in families]

    async def _read(self) -> list[Family | Histogram]:
        found: list[Family | Histogram] = []
        for collect in self._collects:
            try:
                async with asyncio.timeout(_COLLECT_S):
                    found += await collect()
            except (DecnetError, OSError, TimeoutError) as error:
                # The bus or the database is away; what needs neither is told all the same.
                _log.debug("metrics left out", extra={"error": type(error).__name__})
        return found


class MetricsPage:
    """The page, for as long as the context lasts.

    Args:
        settings: Where to serve it, and with which certificates.
        collects: What is on it. One that raises DecnetError, OSError or TimeoutError is left out
            while the others are shown.

    Attributes:
        address: Where it is, once open.
    """

    def __init__(self, settings: Settings, collects: Sequence[Collect]) -> None:
        self._settings = settings
        self._collects = collects
        self.address = ""

    async def __aenter__(self) -> Self:
        """Open the page.

        Raises:
            SettingsError: The address cannot be used, or is open to others without TLS.
        """
        settings = self._settings
        parts = host_and_port(settings.metrics_listen)
        if parts is None:
            raise SettingsError(
                f"metrics_listen: {settings.metrics_listen} is no address; use host:port"
            )
        host, port = parts
        if settings.tls_cert is None and not is_loopback(host) and not settings.insecure:
            raise SettingsError(
                f"metrics_listen: {settings.metrics_listen} is reachable from other hosts without "
                "TLS; set tls_cert, tls_key and tls_ca, or insecure=true inside a network you trust"
            )
        registry = CollectorRegistry()
        for own in (ProcessCollector, PlatformCollector, GCCollector):
            own(registry=registry)
        registry.register(_OnLoop(asyncio.get_running_loop(), self._collects))
        try:
            self._server, self._thread = start_http_server(
                port,
                host.strip("[]"),
                registry,
                certfile=str(settings.tls_cert) if settings.tls_cert else None,
                keyfile=str(settings.tls_key) if settings.tls_key else None,
                client_cafile=str(settings.tls_ca) if settings.tls_ca else None,
                client_auth_required=settings.tls_cert is not None and settings.tls_ca is not None,
            )
        except OSError as error:
            raise SettingsError(
                f"metrics_listen: cannot serve {settings.metrics_listen} "
                f"({error.strerror or type(error).__name__}); is the port taken?"
            ) from error
        self.address = f"{host}:{self._server.server_port}"
        _log.info("metrics page", extra={"address": self.address})
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the page."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
