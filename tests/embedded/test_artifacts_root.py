# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where the services of an embedded installation look for stored mails."""

from __future__ import annotations

from pathlib import Path

import pytest

from decnet_ttp.embedded.layout import Instance
from decnet_ttp.embedded.services import child

VARIABLE = "DECNET_TTP_ARTIFACTS_ROOT"


@pytest.mark.parametrize(
    ("environ", "root"),
    [
        ({}, "{data}/artifacts"),
        ({"DECNET_ARTIFACTS_ROOT": "/srv/mails"}, "/srv/mails"),
        ({"DECNET_ARTIFACTS_ROOT": "/srv/mails", VARIABLE: "/srv/other"}, "/srv/other"),
    ],
)
def test_root_is_the_set_one_else_that_of_sensors_else_in_the_data_directory(
    tmp_path: Path, environ: dict[str, str], root: str
) -> None:
    instance = Instance(
        data_dir=tmp_path, run_dir=tmp_path, pid=1, pid_ticks=1, ready=False, started=0.0
    )
    made = child(instance, "tagger", ("x",), environ=environ)
    assert made.command.env[VARIABLE] == root.format(data=tmp_path)


def test_root_of_the_settings_file_stands(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('artifacts_root = "/srv/file"\n', encoding="utf-8")
    instance = Instance(
        data_dir=tmp_path, run_dir=tmp_path, pid=1, pid_ticks=1, ready=False, started=0.0
    )
    made = child(instance, "tagger", ("x",), environ={"DECNET_TTP_CONFIG": str(file)})
    assert VARIABLE not in made.command.env
