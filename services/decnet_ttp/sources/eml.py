# SPDX-License-Identifier: AGPL-3.0-or-later
"""Mails from files, directories and mailboxes, described without their content."""

import lzma
import re
import zlib
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, Final

from decnet_ttp.core.mail_header import date_lag_s, first_domain, header, is_bulk
from decnet_ttp.core.mime import PARSER_FAILURES, Mail, parse_mail
from decnet_ttp.sources.addresses import parse_address
from decnet_ttp.sources.artifacts import ArtifactStore
from decnet_ttp.sources.lines import STDIN, Chunked, decompressed, open_raw
from decnet_ttp.sources.logfiles import FileNames, expand
from decnet_ttp.sources.mail_content import read_content
from decnet_ttp.sources.mail_headers import (
    envelope_domain,
    received_at,
    recipients,
    sender_address,
    stamp,
    subject,
    verdicts,
)
from decnet_ttp.sources.moments import epoch
from decnet_ttp.sources.protocol import Problem, SourceOption, Tally, Upstream

TOPIC: Final = "email.received"
TYPE: Final = "received"
MAX_MAIL: Final = 32 * 1024 * 1024
MAX_LINE: Final = 1024 * 1024
MAX_MAILER: Final = 256

_NAMES: Final = FileNames(re.compile(r"\.(?:eml|mbox|mbx|mail|msg\.txt)$"), "mail", "*.eml, *.mbox")
_DECKY: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def decky_name(text: str) -> str:
    """A decoy's name that is safe as a folder's.

    Raises:
        ValueError: it is not.
    """
    if not _DECKY.fullmatch(text):
        raise ValueError("use 1 to 63 of a-z, 0-9 and -, not - first")
    return text


class EmlSource:
    """One `email.received` message a mail.

    Only domains, digests, counts and verdicts go on the bus, with the subject and the links cut
    down to what names nobody. The mail itself is stored below the artifacts root, if one is given,
    where rules that look into bodies find it. Its id is the SHA-256 of its bytes with line ends
    made plain, so the same mail from a file and from a mailbox is one.
    """

    summary = "Import mails: .eml files, directories of them, mailboxes (mbox)."
    options: ClassVar = (
        SourceOption(
            name="decky",
            metavar="NAME",
            doc="Decoy that received the mails.",
            parse=decky_name,
            default="mail",
        ),
        SourceOption(
            name="attacker_ip",
            metavar="ADDRESS",
            doc="Who sent them; default: whom the receiving server's own headers name.",
            parse=parse_address,
        ),
        SourceOption(
            name="artifacts",
            metavar="DIR",
            doc="Keep each mail below this root, for rules that look into bodies.",
            parse=Path,
            variable="DECNET_ARTIFACTS_ROOT",
            writes=True,
        ),
    )

    def __init__(
        self,
        *,
        decky: str = "mail",
        attacker_ip: str | None = None,
        artifacts: Path | None = None,
        max_mail: int = MAX_MAIL,
    ) -> None:
        self.tally = Tally()
        self._decky = decky
        self._attacker_ip = attacker_ip
        self._store = ArtifactStore(artifacts) if artifacts else None
        self._max_mail = max_mail
        self._file = ""

    def read(self, paths: Sequence[str]) -> Iterator[Upstream]:
        """See `Source.read`.

        Raises:
            FileNotFoundError: a path does not exist or a directory holds no mail.
        """
        files: dict[str, None] = {}
        for path in paths:
            found = [path] if path == STDIN else map(str, expand(Path(path), _NAMES))
            files.update(dict.fromkeys(found))
        self.tally.bytes_total = sum(Path(file).stat().st_size for file in files if file != STDIN)
        return self._read(list(files))

    def _read(self, files: Sequence[str]) -> Iterator[Upstream]:
        for file in files:
            self._file = file
            self.tally.files += 1
            try:
                raw = open_raw(file)
            except OSError as error:
                self._report("unreadable-file", 0, f"left out: {error.strerror}")
                continue
            done = self.tally.bytes_done
            with raw:
                for line, data in self._mails(decompressed(raw)):
                    message = self._message(data, line)
                    if message is not None:
                        yield message
                    if file != STDIN:
                        self.tally.bytes_done = done + raw.tell()

    def _report(self, reason: str, line: int, detail: str) -> None:
        self.tally.note(Problem(reason, self._file, line, detail))

    def _lines(self, stream: Chunked) -> Iterator[bytes]:
        while True:
            try:
                line = stream.readline(MAX_LINE)
            except EOFError:
                self._report("truncated-file", 0, "the file ends early; what it held was kept")
                return
            except (OSError, zlib.error, lzma.LZMAError) as error:
                self._report(
                    "unreadable-file",
                    0,
                    f"reading stopped ({type(error).__name__}); what came before was kept",
                )
                return
            if not line:
                return
            self.tally.lines += line.endswith(b"\n")
            yield line

    def _mails(self, stream: Chunked) -> Iterator[tuple[int, bytes]]:
        """The mails of one file, each with the number of its first line."""
        held: list[bytes] = []
        size, begin, number = 0, 1, 0
        mailbox = blank = False
        for line in self._lines(stream):
            number += 1
            envelope = line.startswith(b"From ")
            if number == 1 and envelope:
                mailbox = True
                begin = 2
                continue
            if mailbox and blank and envelope:
                yield from self._whole(held, size, begin)
                held, size, begin = [], 0, number + 1
                continue
            blank = not line.strip()
            size += len(line)
            if size <= self._max_mail:
                held.append(line)
        yield from self._whole(held, size, begin)

    def _whole(self, held: list[bytes], size: int, begin: int) -> Iterator[tuple[int, bytes]]:
        if size > self._max_mail:
            self._report("mail-too-large", begin, f"over {self._max_mail} bytes; left out")
        elif size:
            yield begin, b"".join(held)

    def _message(self, data: bytes, line: int) -> Upstream | None:
        plain = data.replace(b"\r\n", b"\n").rstrip(b"\n") + b"\n"
        try:
            mail = parse_mail(plain)
            if not mail.keys():
                self._report("not-a-mail", line, "no header in it; left out")
                return None
            return self._describe(mail, plain, line)
        except PARSER_FAILURES as error:
            self._report("unreadable-mail", line, f"{type(error).__name__}; left out")
            return None

    def _describe(self, mail: Mail, data: bytes, line: int) -> Upstream | None:
        self.tally.mails += 1
        address = self._attacker_ip or sender_address(mail)
        if address is None:
            self._report(
                "no-attacker-address",
                line,
                "no header of the receiving server names the sender; give --attacker-ip; left out",
            )
            return None
        digest = sha256(data).hexdigest()
        ts = received_at(mail)
        content = read_content(mail)
        count, domains = recipients(mail)
        dkim, spf = verdicts(mail)
        stored = self._kept(f"{stamp(ts)}_{digest[:12]}_message.eml", data, line)
        payload: dict[str, Any] = {
            "source_id": f"eml/{self._decky}/{digest}",
            "attacker_uuid": None,
            "attacker_ip": address,
            "decky_id": self._decky,
            "service": "smtp",
            "subject": subject(mail),
            "from_domain": first_domain(mail, "From"),
            "mail_from_domain": envelope_domain(mail),
            "return_path_domain": first_domain(mail, "Return-Path"),
            "rcpt_count": count,
            "rcpt_domains": domains,
            "x_mailer": (header(mail, "X-Mailer") or header(mail, "User-Agent"))[:MAX_MAILER],
            "dkim_signed": dkim,
            "spf_pass": spf,
            "urls": content.urls,
            "attachment_count": content.attachments,
            "attachment_sha256s": content.attachment_sha256s,
            "attachment_extensions": content.extensions,
            "body_simhash": content.body_simhash,
            "body_base64_bytes": content.base64_bytes,
            "attachment_macros": content.macros,
            "attachment_password_protected": content.locked,
            "html_smuggling": content.smuggling,
            "stored_as": stored,
            "body_sha256": content.body_sha256,
            "reply_to_domain": first_domain(mail, "Reply-To"),
            "mailing_list": is_bulk(mail),
            "date_lag_s": date_lag_s(mail),
            "received_at": ts,
        }
        at = epoch(ts) if ts else None
        return Upstream.of(TOPIC, TYPE, payload["source_id"], payload, at, 0)

    def _kept(self, name: str, data: bytes, line: int) -> str | None:
        """Stores the mail; its name in the store, None when it is not kept."""
        if self._store is None:
            return None
        try:
            self._store.keep(self._decky, "smtp", name, data)
        except OSError as error:
            self._report("not-stored", line, f"no artifact: {error.strerror}; the rest was kept")
            return None
        return name
