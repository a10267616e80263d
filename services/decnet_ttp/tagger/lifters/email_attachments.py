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
        among: Extensions of which an attachment must have one for a flag to count, so far as
            extensions are known; none means any.
    """

    extensions: tuple[str, ...] = ()
    flags: tuple[str, ...] = FLAGS
    among: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what could never be found."""
        if not set(self.flags) <= set(FLAGS):
            raise ValueError(f"unknown name in `flags`; allowed: {', '.join(FLAGS)}")
        if any(each != each.lower().strip(".") for each in (*self.extensions, *self.among)):
            raise ValueError("write extensions in lower case, without dot")


def _extensions(event: event_pb2.Event) -> Iterator[str]:
    for each in event.email.attachment_extensions[:_MAX_ATTACHMENTS]:
        yield each[-32:].strip().lstrip(".").lower()
    for attachment in event.mail_content.attachments:
        yield attachment.extension


def malicious_attachment(event: event_pb2.Event, parameters: Harmful) -> tag_pb2.Evidence | None:
    """A file is attached that is harmful to open."""
    extensions = list(_extensions(event))
    fits = (
        not parameters.among or not extensions or not set(parameters.among).isdisjoint(extensions)
    )
    for flag in parameters.flags if fits else ():
        if getattr(event.email, flag):
            return evidence_of(event, trigger=flag)
    for extension in extensions:
        if extension in parameters.extensions:
            return evidence_of(event, trigger=f"extension:{extension}")
    return None


#: What a reader takes a file for by its extension, and what its content may then be.
_SHOWN_AS: Final = {
    **dict.fromkeys(("pdf", "doc", "xls", "ppt", "rtf", "odt", "csv", "txt"), "document"),
    **dict.fromkeys(("docx", "xlsx", "pptx", "ods"), "document"),
    **dict.fromkeys(("jpg", "jpeg", "png", "gif", "bmp", "tif", "tiff", "webp"), "image"),
    **dict.fromkeys(("mp3", "mp4", "avi", "mov", "wav"), "recording"),
}
_RUNS: Final = frozenset({"executable", "script", "shortcut"})
#: Extensions that run what they name.
_RUNNING: Final = frozenset(
    {
        "apk", "bat", "cmd", "com", "cpl", "exe", "hta", "jar", "js", "jse", "lnk", "msi", "pif",
        "ps1", "scr", "vbe", "vbs", "wsf",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Disguise:
    """How a file hides that it runs.

    Attributes:
        by: content (its first bytes contradict its extension) or double_extension (an extension
            that reads as harmless stands before the one that counts).
    """

    by: str

    def __post_init__(self) -> None:
        """Refuse what is neither."""
        if self.by not in {"content", "double_extension"}:
            raise ValueError("`by` must be content or double_extension")


def disguised_executable(event: event_pb2.Event, parameters: Disguise) -> tag_pb2.Evidence | None:
    """A file that runs passes for one that does not."""
    for attachment in event.mail_content.attachments:
        if parameters.by == "content":
            shown = _SHOWN_AS.get(attachment.extension)
            if shown and attachment.content in _RUNS:
                return evidence_of(event, trigger=f"{attachment.content} shown as {shown}")
        elif attachment.extension in _RUNNING and attachment.inner_extension in _SHOWN_AS:
            return evidence_of(event, trigger=f"double extension, {attachment.extension} last")
    return None
