# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reading a metrics page as Prometheus does."""

from __future__ import annotations

import asyncio
import ssl
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

Page = dict[str, dict[tuple[str, ...], float]]


def parse_page(text: str) -> Page:
    """Return values by the name of the sample and the values of its labels, ordered by name."""
    found: Page = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(value for _, value in sorted(sample.labels.items()))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


async def read_page(address: str, tls: ssl.SSLContext | None = None) -> Page:
    """Fetch a page over HTTP, or over HTTPS with a context."""

    def fetch() -> str:
        url = f"{'https' if tls else 'http'}://{address}/metrics"
        with urllib.request.urlopen(url, timeout=60, context=tls) as answer:  # noqa: S310 - loopback
            body: bytes = answer.read()
        return body.decode()

    return parse_page(await asyncio.to_thread(fetch))
