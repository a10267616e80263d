# SPDX-License-Identifier: AGPL-3.0-or-later
"""Settings: the environment over the file over the defaults, and errors that name the culprit."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from decnet_ttp.runtime.config import PREFIX, Settings, SettingsError, load_settings, setting_docs

#: Every default, so that a change of one is seen when it is reviewed.
DEFAULTS = {
    "data_dir": None,
    "listen": "127.0.0.1:0",
    "insecure": False,
    "tls_ca": None,
    "tls_cert": None,
    "tls_key": None,
    "token_file": None,
    "access_file": None,
    "people_listen": "",
    "tag_store": "",
    "rule_store": "",
    "ingest": "",
    "attribution": "",
    "taggers": (),
    "database_url": "",
    "nats_url": "",
    "pg_bin": None,
    "rules_dir": None,
    "rule_backend": "filesystem",
    "rule_role": "writer",
    "attack_bundle": None,
    "attack_sha256": "",
    "attack_cache_dir": None,
    "artifacts_root": None,
    "artifacts_max_bytes": 32 * 1024**2,
    "anchor_policy": "create",
    "ingest_batch_messages": 500,
    "ingest_max_in_flight": 3,
    "ingest_ack_wait_s": 30.0,
    "ingest_max_deliveries": 20,
    "park_first_delay_s": 5.0,
    "park_longest_delay_s": 14_400.0,
    "park_limit_s": 259_200.0,
    "park_poll_s": 2.0,
    "events_max_age_days": 30.0,
    "events_max_bytes": 8 * 1024**3,
    "retention_days": 0.0,
    "announce_per_minute": 0,
    "outbox_limit": 1_000_000,
    "log_level": "info",
    "log_format": "auto",
    "grace_s": 20.0,
    "heartbeat_s": 30.0,
    "metrics_listen": "",
    "otel_endpoint": "",
}


def _file(folder: Path, text: str) -> dict[str, str]:
    path = folder / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return {f"{PREFIX}CONFIG": str(path)}


def test_defaults_are_pinned() -> None:
    assert vars(load_settings({})) == DEFAULTS


def test_environment_wins_over_file_and_file_over_default(tmp_path: Path) -> None:
    environ = _file(tmp_path, 'log_level = "error"\ngrace_s = 3\ninsecure = true\n')
    environ[f"{PREFIX}LOG_LEVEL"] = "debug"
    settings = load_settings(environ)
    assert settings.log_level == "debug"
    assert settings.grace_s == 3.0
    assert settings.insecure is True
    assert settings.log_format == "auto"


def test_overrides_win_over_everything_unless_they_are_none(tmp_path: Path) -> None:
    environ = _file(tmp_path, 'listen = "127.0.0.1:1"\n') | {f"{PREFIX}LISTEN": "127.0.0.1:2"}
    assert load_settings(environ, listen="127.0.0.1:3").listen == "127.0.0.1:3"
    assert load_settings(environ, listen=None).listen == "127.0.0.1:2"


def test_empty_variable_is_as_good_as_none(tmp_path: Path) -> None:
    """Compose files write `VARIABLE=${VARIABLE:-}`."""
    environ = _file(tmp_path, "grace_s = 3\n") | {f"{PREFIX}GRACE_S": ""}
    assert load_settings(environ).grace_s == 3.0


def test_values_are_parsed_to_their_types(tmp_path: Path) -> None:
    environ = _file(
        tmp_path,
        'taggers = ["unix:/a.sock", "dns:///b:1"]\ndata_dir = "/var/lib/x"\n'
        "events_max_bytes = 1_000\nevents_max_age_days = 0.5\n",
    )
    settings = load_settings(environ)
    assert settings.taggers == ("unix:/a.sock", "dns:///b:1")
    assert settings.data_dir == Path("/var/lib/x")
    assert settings.events_max_bytes == 1000
    assert settings.events_max_age_days == 0.5
    assert load_settings({f"{PREFIX}TAGGERS": " a:1 ,, b:2 "}).taggers == ("a:1", "b:2")


@pytest.mark.parametrize(
    ("name", "text", "cure"),
    [
        ("INSECURE", "maybe", "use true or false"),
        ("GRACE_S", "0", "use a number above 0"),
        ("GRACE_S", "-1", "use a number above 0"),
        ("GRACE_S", "nan", "use a number above 0"),
        ("GRACE_S", "inf", "use a number above 0"),
        ("GRACE_S", "soon", "could not convert string to float"),
        ("INGEST_BATCH_MESSAGES", "0", "use a whole number above 0"),
        ("INGEST_BATCH_MESSAGES", "1.5", "invalid literal for int"),
        ("LOG_LEVEL", "loud", "use one of debug, info, warning, error"),
        ("ANCHOR_POLICY", "drop", "use one of create, park"),
    ],
)
def test_bad_value_names_its_variable_and_the_cure(name: str, text: str, cure: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({PREFIX + name: text})
    assert str(caught.value).startswith(f"{PREFIX}{name}: {name.lower()} cannot be {text!r}: ")
    assert cure in str(caught.value)


def test_bad_value_in_the_file_names_the_file(tmp_path: Path) -> None:
    environ = _file(tmp_path, 'grace_s = "soon"\n')
    with pytest.raises(SettingsError, match=r"settings\.toml: grace_s cannot be 'soon'"):
        load_settings(environ)


def test_unknown_key_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    environ = _file(tmp_path, "grace = 3\n")
    with pytest.raises(SettingsError, match=r"unknown setting 'grace'; allowed are .*grace_s"):
        load_settings(environ)


def test_table_is_refused(tmp_path: Path) -> None:
    environ = _file(tmp_path, '[listen]\nhost = "a"\n')
    with pytest.raises(SettingsError, match="listen cannot be a table; give it a value"):
        load_settings(environ)


@pytest.mark.parametrize("text", ["grace_s = = 3", "\x00", 'listen = "\udcff"'])
def test_file_that_is_no_toml_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SettingsError, match=r"settings\.toml: not TOML"):
        load_settings({f"{PREFIX}CONFIG": str(path)})


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot read .*none\.toml \(No such file"):
        load_settings({f"{PREFIX}CONFIG": str(tmp_path / "none.toml")})


def test_secrets_are_not_in_the_representation() -> None:
    settings = Settings(
        database_url="postgresql://u:hunter2@h/d", nats_url="nats://u:hunter3@h:4222"
    )
    assert "hunter" not in repr(settings)
    assert "database_url" not in repr(settings)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Settings().listen = "x"  # type: ignore[misc]  # what the test is about


def test_every_field_is_documented_once() -> None:
    docs = setting_docs()
    assert [item.variable for item in docs] == [
        f"{PREFIX}CONFIG",
        *(PREFIX + item.name.upper() for item in fields(Settings)),
    ]
    assert all(item.doc.endswith(".") for item in docs)


def test_documented_default_is_one_that_can_be_set() -> None:
    """Whoever copies a default from the manual into the environment gets the default."""
    copied = {item.variable: item.default for item in setting_docs() if item.default}
    assert vars(load_settings(copied)) == DEFAULTS
