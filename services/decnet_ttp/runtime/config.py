# SPDX-License-Identifier: AGPL-3.0-or-later
"""Settings: read once at start, from one TOML file and the environment (which wins)."""

from __future__ import annotations

import logging
import math
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

PREFIX = "DECNET_TTP_"


class SettingsError(Exception):
    """A setting that cannot be used; the text says which, why and what is allowed."""


def _setting(
    doc: str,
    default: Any = None,
    *,
    parse: Callable[[str], Any] = str,
    secret: bool = False,
) -> Any:
    return field(
        default=default,
        repr=not secret,
        metadata={"doc": doc, "parse": parse},
    )


def _bool(text: str) -> bool:
    match text.strip().lower():
        case "1" | "true" | "yes" | "on":
            return True
        case "0" | "false" | "no" | "off" | "":
            return False
        case _:
            raise ValueError("use true or false")


def _positive_int(text: str) -> int:
    value = int(text)
    if value <= 0:
        raise ValueError("use a whole number above 0")
    return value


def _positive_float(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise ValueError("use a number above 0")
    return value


def _not_negative_int(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError("use a whole number, 0 or above")
    return value


def _not_negative_float(text: str) -> float:
    value = float(text)
    if not 0 <= value < math.inf:
        raise ValueError("use a number, 0 or above")
    return value


def _targets(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _choice(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"use one of {', '.join(allowed)}")
        return text

    return parse


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything a process of decnet-ttp can be told from outside.

    Each field is the environment variable DECNET_TTP_<FIELD>, or the key of that name in the
    TOML file that DECNET_TTP_CONFIG names.
    """

    data_dir: Path | None = _setting("Data directory of the embedded installation.", parse=Path)
    listen: str = _setting(
        "Where a service listens: unix:/path/to.sock or host:port.", "127.0.0.1:0"
    )
    insecure: bool = _setting(
        "Allow a TCP listener beyond loopback without TLS.", default=False, parse=_bool
    )
    tls_ca: Path | None = _setting("CA certificate that peers are checked against.", parse=Path)
    tls_cert: Path | None = _setting("Certificate of this process.", parse=Path)
    tls_key: Path | None = _setting("Key of that certificate.", parse=Path)
    token_file: Path | None = _setting("File with the bearer token a client sends.", parse=Path)
    access_file: Path | None = _setting(
        "File with the bearer tokens a server takes, a role (reader, operator or service) and a "
        "token a line; unset: it asks for none. On Unix sockets and loopback it does so with "
        "people_listen only.",
        parse=Path,
    )
    people_listen: str = _setting(
        "Where a service listens besides, for people and programs who have a token and no "
        "certificate, as host:port; empty: nowhere. With it every caller is asked for a token.",
        "",
    )

    tag_store: str = _setting("gRPC target of the tag-store.", "")
    rule_store: str = _setting("gRPC target of the rule-store.", "")
    ingest: str = _setting("gRPC target of ingest.", "")
    attribution: str = _setting("gRPC target of attribution.", "")
    taggers: tuple[str, ...] = _setting(
        "gRPC targets of the taggers, separated by commas.", (), parse=_targets
    )

    database_url: str = _setting("PostgreSQL, as postgresql://user@host/name.", "", secret=True)
    nats_url: str = _setting("NATS, as nats://user:password@host:port.", "", secret=True)

    pg_bin: Path | None = _setting(
        "Directory of PostgreSQL programs for the embedded installation; default: the wheel's.",
        parse=Path,
    )

    rules_dir: Path | None = _setting(
        "Directory with ttp/ and intel/; default: the rules that came with the program.",
        parse=Path,
    )
    rule_backend: str = _setting(
        "Where the rule-store has its rules from: filesystem (the rules directory) or database "
        "(PostgreSQL, filled from the rules directory of a writer).",
        "filesystem",
        parse=_choice("filesystem", "database"),
    )
    rule_role: str = _setting(
        "With rule_backend database: writer (fills the database from the rules directory; of "
        "several, one works and the others stand by) or reader (needs no directory).",
        "writer",
        parse=_choice("writer", "reader"),
    )
    attack_bundle: Path | None = _setting(
        "ATT&CK data: a STIX bundle or a compiled catalogue.", parse=Path
    )
    attack_sha256: str = _setting("SHA-256 that attack_bundle must have.", "")
    attack_cache_dir: Path | None = _setting("Where compiled catalogues are kept.", parse=Path)

    artifacts_root: Path | None = _setting(
        "Directory beneath which sensors store mails, for rules that look into bodies; default: no "
        "body is read, but in the embedded installation artifacts/ in its data directory.",
        parse=Path,
    )
    artifacts_max_bytes: int = _setting(
        "Size of a stored mail that is read at most, in bytes.", 32 * 1024**2, parse=_positive_int
    )

    anchor_policy: str = _setting(
        "What ingest does with an unknown address: create (make the attacker) or park "
        "(try again later).",
        "create",
        parse=_choice("create", "park"),
    )
    ingest_batch_messages: int = _setting(
        "Messages ingest pulls at once.", 500, parse=_positive_int
    )
    ingest_max_in_flight: int = _setting("Batches ingest works on at once.", 3, parse=_positive_int)
    ingest_ack_wait_s: float = _setting(
        "Seconds after which an unacknowledged message is delivered again.",
        30.0,
        parse=_positive_float,
    )
    ingest_max_deliveries: int = _setting(
        "Deliveries after which a message that is refused every time becomes a dead letter.",
        20,
        parse=_positive_int,
    )
    park_first_delay_s: float = _setting(
        "Seconds until a parked message is tried again for the first time; doubled each time.",
        5.0,
        parse=_positive_float,
    )
    park_longest_delay_s: float = _setting(
        "Longest time between two tries of a parked message, in seconds.",
        4 * 3600.0,
        parse=_positive_float,
    )
    park_limit_s: float = _setting(
        "Age at which a parked message becomes a dead letter, in seconds.",
        72 * 3600.0,
        parse=_positive_float,
    )
    park_poll_s: float = _setting(
        "Seconds between two looks whether the attackers of parked messages have appeared.",
        2.0,
        parse=_positive_float,
    )
    events_max_age_days: float = _setting(
        "Days the streams keep their messages.", 30.0, parse=_positive_float
    )
    events_max_bytes: int = _setting(
        "Bytes each stream keeps at most; less where the disk is smaller.",
        8 * 1024**3,
        parse=_positive_int,
    )

    retention_days: float = _setting(
        "Days the tag-store keeps tags and sessions after they were stored; 0: for ever.",
        0.0,
        parse=_not_negative_float,
    )
    announce_per_minute: int = _setting(
        "Tags of one rule and one attacker that are announced within a minute; 0: all. What is "
        "held back is stored all the same.",
        0,
        parse=_not_negative_int,
    )
    outbox_limit: int = _setting(
        "Upstream messages that may wait to be announced before tags are refused.",
        1_000_000,
        parse=_positive_int,
    )

    log_level: str = _setting(
        "Lowest level that is logged.",
        "info",
        parse=_choice("debug", "info", "warning", "error"),
    )
    log_format: str = _setting(
        "auto (text on a terminal, else JSON lines), text or json.",
        "auto",
        parse=_choice("auto", "text", "json"),
    )
    grace_s: float = _setting(
        "Seconds a service takes at most to finish after SIGTERM.", 20.0, parse=_positive_float
    )
    heartbeat_s: float = _setting(
        "Seconds between the heart-beats of a service on the bus.", 30.0, parse=_positive_float
    )
    metrics_listen: str = _setting(
        "Where a service serves Prometheus metrics, as host:port; empty: nowhere.", ""
    )
    otel_endpoint: str = _setting(
        "Collector that traces are sent to over OTLP, as http://host:4317; empty: no traces.", ""
    )


@dataclass(frozen=True)
class SettingDoc:
    """One line of the settings' documentation."""

    variable: str
    default: str
    doc: str


def setting_docs() -> list[SettingDoc]:
    """Describe every setting, for `--help` and the manual."""
    docs = [SettingDoc(f"{PREFIX}CONFIG", "", "TOML file with any of the settings below.")]
    for item in fields(Settings):
        default = item.default
        if default is None or default in {"", ()}:
            text = ""
        elif isinstance(default, bool):
            text = str(default).lower()
        else:
            text = str(default)
        docs.append(SettingDoc(PREFIX + item.name.upper(), text, item.metadata["doc"]))
    return docs


def _from_file(path: str) -> dict[str, str]:
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"{PREFIX}CONFIG: cannot read {path} ({error.strerror}); name a readable TOML file"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not TOML ({error}); correct the file") from error
    values = {}
    known = {item.name for item in fields(Settings)}
    for key, value in table.items():
        if key not in known:
            raise SettingsError(
                f"{path}: unknown setting {key!r}; allowed are {', '.join(sorted(known))}"
            )
        if isinstance(value, dict):
            raise SettingsError(f"{path}: {key} cannot be a table; give it a value")
        values[key] = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return values


def quieten_libraries() -> None:
    """Keep libraries from writing lines of their own to standard error.

    The gRPC library tells there of every handshake that a stranger fails, unless GRPC_VERBOSITY is
    set before it is loaded. The standard library warns of every stream over TLS that ends.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    logging.getLogger("asyncio").addFilter(
        lambda record: not str(record.msg).startswith("returning true from eof_received()")
    )


def load_settings(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Read the settings.

    Args:
        environ: The environment; default: that of the process.
        overrides: Values that win over both, already parsed (from the command line).

    Raises:
        SettingsError: A value cannot be used, or the file holds an unknown key.
    """
    environ = os.environ if environ is None else environ
    path = environ.get(f"{PREFIX}CONFIG", "")
    texts = _from_file(path) if path else {}
    origin = dict.fromkeys(texts, path)
    for item in fields(Settings):
        variable = PREFIX + item.name.upper()
        if environ.get(variable):
            texts[item.name] = environ[variable]
            origin[item.name] = variable
    values: dict[str, Any] = {}
    for item in fields(Settings):
        if item.name in texts:
            try:
                values[item.name] = item.metadata["parse"](texts[item.name])
            except ValueError as error:
                raise SettingsError(
                    f"{origin[item.name]}: {item.name} cannot be {texts[item.name]!r}: {error}"
                ) from error
    values.update({key: value for key, value in overrides.items() if value is not None})
    return Settings(**values)
