# SPDX-License-Identifier: AGPL-3.0-or-later
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from decnet_ttp.attack.loader import load_catalogue
from decnet_ttp.rule_store.vocabulary import Vocabulary

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    return Vocabulary(load_catalogue())


@pytest.fixture(scope="session")
def sound_rules() -> Path:
    """A rules directory with three rules that load."""
    return HERE / "rules"


@pytest.fixture(scope="session")
def broken_rules() -> Path:
    """A folder of rules each of which has a fault."""
    return HERE / "broken"


@pytest.fixture
def socket_path() -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="rs-")
    yield f"unix:{folder}/rule-store.sock"
    shutil.rmtree(folder)
