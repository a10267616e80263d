# SPDX-License-Identifier: AGPL-3.0-or-later
"""Services of one installation share one setting, and must not share one port."""

from __future__ import annotations

import pytest

from decnet_ttp.embedded.layout import SERVICES
from decnet_ttp.embedded.services import metrics_address


def test_ports_count_up_from_the_one_that_is_set() -> None:
    assert {name: metrics_address("127.0.0.1:9464", name) for name in SERVICES} == {
        "rule-store": "127.0.0.1:9464",
        "tagger": "127.0.0.1:9465",
        "tag-store": "127.0.0.1:9466",
        "ingest": "127.0.0.1:9467",
        "attribution": "127.0.0.1:9468",
    }


@pytest.mark.parametrize("address", ["127.0.0.1:0", "nonsense"])
def test_ports_of_the_kernel_and_addresses_that_are_none_stay(address: str) -> None:
    """The service itself names what is wrong with an address."""
    assert metrics_address(address, "ingest") == address
