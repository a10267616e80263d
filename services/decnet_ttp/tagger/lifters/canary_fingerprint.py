# SPDX-License-Identifier: AGPL-3.0-or-later
"""The canary lifter: a token was touched, and what the browser that did so gives away.

Evidence names the measure and a signature of our own, never what the browser told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final

from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.tagger.fields import extra_flag, extra_text
from decnet_ttp.tagger.predicate_lifter import NoParameters, PredicateLifter, holds
from decnet_ttp.v1 import event_pb2, tag_pb2

_CANARY = (SourceKind.CANARY_FINGERPRINT,)

#: Tools whose canvas and audio rendering is known.
TOOLS: Final = ("puppeteer", "playwright", "selenium", "curl_impersonate")

#: Renderers that draw without a graphics card, as headless browsers and virtual machines do.
SOFTWARE_RENDERERS: Final = ("swiftshader", "llvmpipe", "softpipe", "microsoft basic render")

#: Longest text that is searched; renderers and agents are short.
_MAX_TEXT = 1_024

#: Verdicts that a sensor may send as a flag, and the signature each is told by.
FLAGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "tor_browser": "tor_browser_signature",
        "webrtc_anonymizer": "webrtc_address_of_anonymizer",
        "anti_fingerprint_browser": "anti_fingerprint_browser_signature",
        "mobile_ua_desktop_screen": "mobile_agent_on_desktop_screen",
        "vm_timing": "virtual_machine_timing",
    }
)

#: What the names that producers give to kinds of tokens mean.
TOKEN_CLASSES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "aws_key": ("aws", "aws_key", "aws_keys", "aws_credentials", "awskeys", "aws_passive"),
        "credential": (
            "azure_id", "gcp_key", "git_config", "env_file", "kubeconfig", "ssh_key", "wireguard",
            "password", "api_key", "credentials", "mysql_dump", "honeycred",
        ),
        "document": (
            "honeydoc", "ms_word", "ms_excel", "docx", "xlsx", "pptx", "pdf", "adobe_pdf", "doc",
            "document", "windows_dir", "qr_code",
        ),
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tools:
    """Parameters of `canary_automation_hash`.

    Attributes:
        tools: Names from `TOOLS`.
    """

    tools: tuple[str, ...] = TOOLS

    def __post_init__(self) -> None:
        """Refuse tools that no sensor names."""
        if not self.tools or not set(self.tools) <= set(TOOLS):
            raise ValueError(f"unknown name in `tools`; allowed: {', '.join(TOOLS)}")


@dataclass(frozen=True, slots=True)
class Zones:
    """Parameters of `canary_tz_lang_mismatch`.

    Attributes:
        min_zones: Time zones between clock and address from which it is a mismatch.
    """

    min_zones: int = 3

    def __post_init__(self) -> None:
        """Refuse a distance that every browser has."""
        if self.min_zones < 1:
            raise ValueError(f"`min_zones` is {self.min_zones}; give it at least 1")


@dataclass(frozen=True, slots=True)
class Flag:
    """Parameters of `canary_flag`.

    Attributes:
        flag: A name from `FLAGS`.
    """

    flag: str

    def __post_init__(self) -> None:
        """Refuse flags that no sensor sends."""
        if self.flag not in FLAGS:
            raise ValueError(f"unknown `flag`; allowed: {', '.join(FLAGS)}")


@dataclass(frozen=True, slots=True)
class Token:
    """Parameters of `canary_token_triggered`.

    Attributes:
        token_class: A name from `TOKEN_CLASSES`, or `other` for all that is in none.
    """

    token_class: str

    def __post_init__(self) -> None:
        """Refuse classes that hold nothing."""
        if self.token_class not in (*TOKEN_CLASSES, "other"):
            allowed = ", ".join((*TOKEN_CLASSES, "other"))
            raise ValueError(f"unknown `token_class`; allowed: {allowed}")


def _evidence(metric: str, signature: str) -> tag_pb2.Evidence:
    evidence = tag_pb2.Evidence()
    evidence.canary_fingerprint.metric = metric
    evidence.canary_fingerprint.matched_signature = signature
    return evidence


def webdriver(event: event_pb2.Event, parameters: NoParameters) -> tag_pb2.Evidence | None:
    """The browser says that a program drives it."""
    del parameters
    if not event.canary_fingerprint.navigator_webdriver:
        return None
    return _evidence("navigator_webdriver", "navigator.webdriver_true")


def automation_hash(event: event_pb2.Event, parameters: Tools) -> tag_pb2.Evidence | None:
    """Canvas or audio come out as they do in a tool."""
    named = event.canary_fingerprint.matched_tool or extra_text(event, "canvas_audio_hash_match")
    tool = named[:_MAX_TEXT].lower()
    return _evidence("canvas_audio_hash", tool) if tool in parameters.tools else None


def software_renderer(event: event_pb2.Event, parameters: NoParameters) -> tag_pb2.Evidence | None:
    """The page was drawn without a graphics card."""
    del parameters
    renderer = extra_text(event, "webgl_renderer")[:_MAX_TEXT].lower()
    found = next((each for each in SOFTWARE_RENDERERS if each in renderer), None)
    return _evidence("webgl_renderer", found) if found else None


def webrtc_leak(event: event_pb2.Event, parameters: NoParameters) -> tag_pb2.Evidence | None:
    """WebRTC tells an address from elsewhere than the source."""
    del parameters
    if not event.canary_fingerprint.webrtc_geo_mismatch:
        return None
    return _evidence("webrtc_geo_mismatch", "webrtc_private_vs_source_ip")


def tz_lang_mismatch(event: event_pb2.Event, parameters: Zones) -> tag_pb2.Evidence | None:
    """Clock or language do not fit the country of the source."""
    payload = event.canary_fingerprint
    # A clock may be off to either side.
    if abs(payload.tz_mismatch_zones) >= parameters.min_zones:
        return _evidence("timezone_geo_mismatch", f"tz_zones>={parameters.min_zones}")
    if payload.lang_country_mismatch:
        return _evidence("language_country_mismatch", "lang_vs_source_country")
    return None


def platform_inconsistency(
    event: event_pb2.Event, parameters: NoParameters
) -> tag_pb2.Evidence | None:
    """The browser contradicts itself about what it runs on."""
    del parameters
    payload = event.canary_fingerprint
    if payload.platform_ua_inconsistent:
        return _evidence("platform_ua_mismatch", "navigator.platform_vs_userAgent")
    if payload.ua_webgl_mismatch:
        return _evidence("ua_webgl_mismatch", "userAgent_vs_webgl_renderer")
    return None


def flag(event: event_pb2.Event, parameters: Flag) -> tag_pb2.Evidence | None:
    """The sensor came to a verdict of its own."""
    if not extra_flag(event, parameters.flag):
        return None
    return _evidence(parameters.flag, FLAGS[parameters.flag])


def token_class(event: event_pb2.Event) -> str:
    """Return the class of the token that was touched; `other` when it is in none.

    A producer that does not name the kind may still show it: only the cloud's own logs report
    the use of a key, with the agent of its tools.
    """
    payload = event.canary_fingerprint
    named = extra_text(event, "token_kind", "token_type", "kind", "canary_type")[:_MAX_TEXT]
    name = named.lower().replace("-", "_").replace(" ", "_")
    for found, names in TOKEN_CLASSES.items():
        if name in names:
            return found
    agent = payload.user_agent[:_MAX_TEXT].lower()
    if not name and agent.startswith(("aws-cli/", "boto3/", "botocore/", "aws-sdk-")):
        return "aws_key"
    return "other"


def token_triggered(event: event_pb2.Event, parameters: Token) -> tag_pb2.Evidence | None:
    """A token of a class was touched."""
    if token_class(event) != parameters.token_class:
        return None
    return _evidence("token_triggered", parameters.token_class)


class CanaryFingerprintLifter(PredicateLifter):
    """Lifts the call-backs of canary tokens."""

    name: ClassVar[str] = "canary_fingerprint"
    owns_prefixes: ClassVar = ("canary_",)
    predicates: ClassVar = {
        "canary_automation_hash": holds(_CANARY, Tools, automation_hash),
        "canary_flag": holds(_CANARY, Flag, flag),
        "canary_platform_inconsistency": holds(_CANARY, NoParameters, platform_inconsistency),
        "canary_software_renderer": holds(_CANARY, NoParameters, software_renderer),
        "canary_token_triggered": holds(_CANARY, Token, token_triggered),
        "canary_tz_lang_mismatch": holds(_CANARY, Zones, tz_lang_mismatch),
        "canary_webdriver": holds(_CANARY, NoParameters, webdriver),
        "canary_webrtc_leak": holds(_CANARY, NoParameters, webrtc_leak),
    }
