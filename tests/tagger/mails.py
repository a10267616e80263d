# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stored mails for tests, under an artifacts root of their own."""

from __future__ import annotations

from pathlib import Path

NAME = "2026-03-12T09:00:00Z_0123456789ab_message.eml"

BEC = (
    b"From: Head Office <boss@corp.example>\r\nTo: you@decoy.example\r\n"
    b"Subject: urgent wire\r\n\r\n"
    b"Please transfer it today. XYZZY-BODY-MARK\r\n"
)


def store(root: Path, data: bytes, *, decky: str = "mail-1", name: str = NAME) -> Path:
    """Put a mail where a sensor would."""
    folder = root / decky / "smtp"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(data)
    return path
