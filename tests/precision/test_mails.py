# SPDX-License-Identifier: AGPL-3.0-or-later
"""Precision of the mail rules: whole mails through importer, artifacts, tagger."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import yaml
from benchmarks.mail_precision import MailStack, mail_stack

ROWS: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent / "mails.yaml").read_text(encoding="utf-8")
)
#: Rules whose facts only other sensors tell than a mail's own headers and parts.
TOLD_BY_SENSORS = {"R0131", "R0132", "R0142"}
HIGH, MEDIUM = 0.85, 0.6


def _zip(*, locked: bool) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.txt", "a")
    data = bytearray(packed.getvalue())
    if locked:
        # The mark of encryption in the header of the file and in the directory.
        data[6] |= 1
        data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


FILES = {
    "pdf": b"%PDF-1.7\n1 0 obj\n",
    "jpg": b"\xff\xd8\xff\xe0" + bytes(20),
    "exe": b"MZ" + bytes(58) + (64).to_bytes(4, "little") + b"PE\0\0" + bytes(64),
    "lnk": b"L\0\0\0\x01\x14\x02\0" + bytes(60),
    "zip": _zip(locked=False),
    "locked_zip": _zip(locked=True),
    "page": b"<html><script>draw()</script><p>Numbers</p></html>",
    "smuggler": b"<script>a=new Blob([atob(x)]);l.download='x.iso';l.click()</script>",
}


def message(row: dict[str, Any]) -> bytes:
    """The mail that a row describes, as a receiving server stores it."""
    mail = EmailMessage()
    mail["Return-Path"] = f"<{row['envelope']}>"
    mail["Received"] = (
        "from x (x [203.0.113.9]) by mail.decoy.example; Tue, 12 Mar 2024 10:00:00 +0000"
    )
    verdicts = [f"{name}={row[name]}" for name in ("spf", "dkim") if name in row]
    if verdicts:
        mail["Authentication-Results"] = "mail.decoy.example; " + "; ".join(verdicts)
    if "dkim" in row:
        mail["DKIM-Signature"] = "v=1; d=x.example; b=x"
    mail["From"] = row["from"]
    mail["To"] = ", ".join(f"u{number}@decoy.example" for number in range(row.get("to", 1)))
    mail["Subject"] = row["subject"]
    mail["Date"] = row.get("date", "Tue, 12 Mar 2024 09:59:00 +0000")
    for header, key in (("Reply-To", "reply_to"), ("X-Mailer", "mailer")):
        if key in row:
            mail[header] = row[key]
    if row.get("list"):
        mail["List-Id"] = "<all.lists.example>"
    if "html" in row:
        mail.set_content(row["html"], "html")
    else:
        mail.set_content(("QUJD" * 18 + "\n") * 100 if row["text"] == "base64" else row["text"])
    for name, kind in row.get("files", {}).items():
        mail.add_attachment(FILES[kind], "application", "octet-stream", filename=name)
    return mail.as_bytes()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailStack]:
    with mail_stack(tmp_path_factory.mktemp("artifacts")) as made:
        yield made


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['subject']}-{row['from']}"[:50])
async def test_mail_fires_exactly_its_rules(
    stack: MailStack, tmp_path: Path, row: dict[str, Any]
) -> None:
    path = tmp_path / "a.eml"
    path.write_bytes(message(row))
    assert sorted(await stack.tags(path)) == row["rules"]


def test_every_rule_has_a_mail_and_near_misses_are_as_many(stack: MailStack) -> None:
    assert stack.rules.rules.keys() - TOLD_BY_SENSORS == {
        rule_id for row in ROWS for rule_id in row["rules"]
    }
    assert sum(not row["rules"] for row in ROWS) >= len(ROWS) * 2 // 5


@pytest.mark.shared
async def test_labelled_mails_bear_out_the_confidence_of_each_rule(
    stack: MailStack, shared_dir: Path
) -> None:
    """Unwanted mail counts as right, wanted mail as wrong, of which nothing is said at all."""
    right: Counter[tuple[str, str]] = Counter()
    wrong: Counter[tuple[str, str]] = Counter()
    found: Counter[str] = Counter()
    for folder in sorted((shared_dir / "data" / "mail").iterdir()):
        wanted = "ham" in folder.name
        for path in sorted(folder.glob("*.eml")):
            tags = await stack.tags(path)
            found[folder.name] += bool(tags)
            for rule_id, confidence in tags.items():
                band = "high" if confidence >= HIGH else "medium" if confidence >= MEDIUM else "low"
                (wrong if wanted else right)[rule_id, band] += 1
    for (rule_id, band), count in (right + wrong).items():
        least = {"high": 0.95, "medium": 0.8, "low": 0.0}[band]
        assert right[rule_id, band] / count >= least, (rule_id, band)
    assert not wrong
    assert found["phishing"] >= 35
    assert len({rule_id for rule_id, _ in right}) >= 10
