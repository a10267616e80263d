# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import pytest

from decnet_ttp.attack import Catalogue, load_catalogue


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return load_catalogue()
