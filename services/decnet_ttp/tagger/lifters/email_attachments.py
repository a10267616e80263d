# SPDX-License-Identifier: AGPL-3.0-or-later
"""Predicates on what is attached to a mail, as sensor and headers of the files tell; unopened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from decnet_ttp.tagger.lifters.email_evidence import evidence_of
from decnet_ttp.v1 import event_pb2, tag_pb2

#: What a sensor may say of attachments, in the order in which it counts.
FLAGS: Final = (
    "attachment_macros",
    "attachment_password_protected",
    "html_smuggling",
    "mal_hash_match",
)
_MAX_ATTACHMENTS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Harmful:
    """What makes an attachment harmful.

    Attributes:
        extensions: Extensions of files that run or mount what they hold, without dot.
        flags: From `FLAGS`.
    """

    extensions: tuple[str, ...] = ()
    flags: tuple[str, ...] = FLAGS

    def __post_init__(self) -> None:
        """Refuse what could never be found."""
        if not set(self.flags) <= set(FLAGS):
            raise ValueError(f"unknown name in `flags`; allowed: {', '.join(FLAGS)}")
        if any(each != each.lower().strip(".") for each in self.extensions):
            raise ValueError("write `extensions` in lower case, without dot")


def _extensions(event: event_pb2.Event) -> Iterator[str]:
    for each in event.email.attachment_extensions[:_MAX_ATTACHMENTS]:
        yield each[-32:].strip().lstrip(".").lower()
    for attachment in event.mail_content.attachments:
        yield attachment.extension


def malicious_attachment(event: event_pb2.Event, parameters: Harmful) -> tag_pb2.Evidence | None:
    """A file is attached that is harmful to open."""
    for flag in parameters.flags:
        if getattr(event.email, flag):
            return evidence_of(event, trigger=flag)
    for extension in _extensions(event):
        if extension in parameters.extensions:
            return evidence_of(event, trigger=f"extension:{extension}")
    return None
