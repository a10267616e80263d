# SPDX-License-Identifier: AGPL-3.0-or-later
import gzip
import io
import os
import stat
import zipfile
from email.message import EmailMessage
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decnet_ttp.core.mime import inspect
from decnet_ttp.sources.eml import EmlSource, decky_name
from decnet_ttp.sources.mail_content import simhash, without_secrets
from decnet_ttp.sources.protocol import Upstream

SHARED = Path(os.environ.get("DECNET_TTP_SHARED", Path(__file__).resolve().parents[3] / "shared"))
KEYS = [
    "source_id",
    "attacker_uuid",
    "attacker_ip",
    "decky_id",
    "service",
    "subject",
    "from_domain",
    "mail_from_domain",
    "return_path_domain",
    "rcpt_count",
    "rcpt_domains",
    "x_mailer",
    "dkim_signed",
    "spf_pass",
    "urls",
    "attachment_count",
    "attachment_sha256s",
    "attachment_extensions",
    "body_simhash",
    "body_base64_bytes",
    "attachment_macros",
    "attachment_password_protected",
    "html_smuggling",
    "stored_as",
    "body_sha256",
    "reply_to_domain",
    "mailing_list",
    "date_lag_s",
    "received_at",
]
RECEIVED = (
    "from mx.evil.example (mx.evil.example [9.9.9.9]) by mail.decoy.example with ESMTP; "
    "Tue, 12 Mar 2024 10:00:00 +0100"
)


def mail(**headers: str) -> EmailMessage:
    message = EmailMessage()
    for name, value in {
        "Return-Path": "<bounce@mailer.example>",
        "Received": RECEIVED,
        "From": '"IT Desk" <helpdesk@evil.example>',
        "To": "Alice <alice@Victim.example>, bob@victim.example",
        "Cc": "carol@other.example",
        "Subject": "Reset for alice@victim.example",
        "X-Mailer": "PhishKit 1.0",
        **{key.replace("_", "-"): value for key, value in headers.items()},
    }.items():
        message[name] = value
    message.set_content("Please open https://user:pw@login.evil.example/reset?who=alice now.\n")
    return message


def read(path: Path, **options: Any) -> tuple[list[dict[str, Any]], EmlSource, list[Upstream]]:
    source = EmlSource(**options)
    messages = list(source.read([str(path)]))
    return [orjson.loads(message.payload) for message in messages], source, messages


def test_mail_is_described_without_its_content(tmp_path: Path) -> None:
    path = tmp_path / "a.eml"
    path.write_bytes(mail().as_bytes())
    (payload,), source, (message,) = read(path)
    body = "Please open https://user:pw@login.evil.example/reset?who=alice now.\n"
    assert list(payload) == KEYS
    assert (message.topic, message.type) == ("email.received", "received")
    assert message.ts == 1710234000.0
    assert payload.pop("source_id").startswith("eml/mail/")
    assert payload.pop("body_simhash") == simhash(body)
    assert payload == {
        "attacker_uuid": None,
        "attacker_ip": "9.9.9.9",
        "decky_id": "mail",
        "service": "smtp",
        "subject": "Reset for @victim.example",
        "from_domain": "evil.example",
        "mail_from_domain": "mailer.example",
        "return_path_domain": "mailer.example",
        "rcpt_count": 3,
        "rcpt_domains": ["other.example", "victim.example"],
        "x_mailer": "PhishKit 1.0",
        "dkim_signed": False,
        "spf_pass": None,
        "urls": ["https://login.evil.example/reset"],
        "attachment_count": 0,
        "attachment_sha256s": [],
        "attachment_extensions": [],
        "body_base64_bytes": 0,
        "attachment_macros": False,
        "attachment_password_protected": False,
        "html_smuggling": False,
        "stored_as": None,
        "body_sha256": sha256(body.encode()).hexdigest(),
        "reply_to_domain": "",
        "mailing_list": False,
        "date_lag_s": None,
        "received_at": "2024-03-12T09:00:00.000000Z",
    }
    assert b"alice" not in message.payload
    assert source.tally.mails == 1


def test_headers_about_answers_lists_and_times_are_told_by_domain_flag_and_number(
    tmp_path: Path,
) -> None:
    listed = mail(
        Reply_To="Alice <alice@answers.example>",
        List_Id="<all.lists.example>",
        Date="Tue, 12 Mar 2024 08:00:00 +0000",
    )
    path = tmp_path / "a.eml"
    path.write_bytes(listed.as_bytes())
    ((payload,), _, _) = read(path)
    assert payload["reply_to_domain"] == "answers.example"
    assert payload["mailing_list"] is True
    assert payload["date_lag_s"] == 3600.0


def test_verdicts_are_those_of_the_receiving_server(tmp_path: Path) -> None:
    """The sender's own claims, further down, do not count."""
    checked = mail(
        DKIM_Signature="v=1; d=evil.example; b=x",
        Received_SPF="Fail (mx: not permitted) client-ip=8.8.4.4; envelope-from=x@spoofed.example;",
    )
    text = (
        b"Authentication-Results: mail.decoy.example; dkim=pass header.d=evil.example; spf=fail\n"
        + checked.as_bytes().replace(
            b"X-Mailer:", b"Authentication-Results: evil; spf=pass\nX-Mailer:"
        )
    )
    (tmp_path / "a.eml").write_bytes(text)
    (payload,), _, _ = read(tmp_path / "a.eml")
    assert (payload["dkim_signed"], payload["spf_pass"]) == (True, False)
    assert payload["attacker_ip"] == "8.8.4.4"
    assert payload["mail_from_domain"] == "spoofed.example"


def packed(name: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, b"x")
    return out.getvalue()


def test_attachments_are_told_by_digest_extension_and_marks(tmp_path: Path) -> None:
    message = mail()
    macros = packed("word/vbaProject.bin")
    for name, data in (("Invoice.DOCM", macros), ("a\r\n b.pdf.exe", b"MZ"), ("noextension", b"x")):
        message.add_attachment(
            data, maintype="application", subtype="octet-stream", filename=name.replace("\r\n", "")
        )
    script = "<script>var b=new Blob([atob('AAAA')]);a.download='x.zip';a.click()</script>"
    message.add_attachment(script.encode(), maintype="text", subtype="html", filename="view.html")
    (tmp_path / "a.eml").write_bytes(message.as_bytes())
    (payload,), _, _ = read(tmp_path / "a.eml")
    assert payload["attachment_count"] == 4
    assert payload["attachment_extensions"] == ["docm", "exe", "", "html"]
    assert payload["attachment_sha256s"][0] == sha256(macros).hexdigest()
    assert payload["attachment_macros"]
    assert payload["html_smuggling"]
    assert not payload["attachment_password_protected"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"PK\x03\x04garbage", (False, False)),
        (
            packed("a.txt").replace(
                b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"
            ),
            (False, True),
        ),
        (b"%PDF-1.7 /Encrypt 3 0 R", (False, True)),
        (b"Rar!\x1a\x07\x00" + bytes(3) + b"\x80", (False, True)),
        (b"Rar!\x1a\x07\x01\x00" + bytes(5) + b"\x04", (False, True)),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "_VBA_PROJECT".encode("utf-16le"), (True, False)),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16le"),
            (False, True),
        ),
        (b"", (False, False)),
    ],
)
def test_files_are_inspected_by_their_directories(data: bytes, expected: tuple[bool, bool]) -> None:
    assert inspect(data) == expected


def test_one_mail_has_one_id_whatever_holds_it(tmp_path: Path) -> None:
    """As a file, with other line ends, compressed, and in a mailbox."""
    data = mail().as_bytes()
    other = mail(Subject="Another").as_bytes()
    (tmp_path / "a.eml").write_bytes(data)
    (tmp_path / "b.eml").write_bytes(data.replace(b"\n", b"\r\n"))
    (tmp_path / "c.eml.gz").write_bytes(gzip.compress(data + b"\n\n"))
    (tmp_path / "d.mbox").write_bytes(
        b"From x Tue Mar 12 10:00:00 2024\n" + data + b"\nFrom y Tue Mar 12\n" + other + b"\n"
    )
    payloads, source, messages = read(tmp_path)
    assert len(payloads) == 5
    assert len({message.id for message in messages}) == 2
    assert source.tally.mails == 5
    assert source.tally.files == 4


def test_artifact_is_stored_once_under_the_name_that_rules_ask_for(tmp_path: Path) -> None:
    root = tmp_path / "artifacts"
    (tmp_path / "a.eml").write_bytes(mail().as_bytes())
    for _ in range(2):
        (payload,), source, _ = read(tmp_path / "a.eml", artifacts=root, decky="mx-1")
    digest = payload["source_id"].rpartition("/")[2]
    assert payload["stored_as"] == f"2024-03-12T09:00:00Z_{digest[:12]}_message.eml"
    stored = root / "mx-1" / "smtp" / payload["stored_as"]
    assert [path for path in root.rglob("*") if path.is_file()] == [stored]
    assert sha256(stored.read_bytes()).hexdigest() == digest
    assert stat.S_IMODE(stored.stat().st_mode) == 0o640
    assert not source.tally.problems


def test_store_that_cannot_be_written_is_reported_and_the_mail_kept(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("a file, not a folder")
    (tmp_path / "a.eml").write_bytes(mail().as_bytes())
    (payload,), source, _ = read(tmp_path / "a.eml", artifacts=tmp_path / "root")
    assert payload["stored_as"] is None
    assert source.tally.problems == {"not-stored": 1}


def test_what_cannot_be_used_is_counted(tmp_path: Path) -> None:
    (tmp_path / "empty.eml").write_bytes(b"")
    (tmp_path / "noheader.eml").write_bytes(b"\njust text\n")
    (tmp_path / "large.eml").write_bytes(mail().as_bytes() + b"x" * 5000)
    private = RECEIVED.replace("9.9.9.9", "192.168.1.9")
    (tmp_path / "nobody.eml").write_bytes(mail(Received=private).as_bytes())
    (tmp_path / "cut.eml.gz").write_bytes(gzip.compress(mail().as_bytes())[:-20])
    payloads, source, _ = read(tmp_path, max_mail=4000)
    assert source.tally.problems == {
        "not-a-mail": 1,
        "mail-too-large": 1,
        "no-attacker-address": 1,
        "truncated-file": 1,
    }
    assert len(payloads) == 1


def test_nesting_as_deep_as_the_mail_is_long_ends_nothing(tmp_path: Path) -> None:
    deep = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(5000)
    )
    (tmp_path / "deep.eml").write_bytes(f"Received: {RECEIVED}\n".encode() + deep)
    (tmp_path / "ok.eml").write_bytes(mail().as_bytes())
    payloads, source, _ = read(tmp_path)
    assert len(payloads) + source.tally.problems["unreadable-mail"] == 2
    assert payloads[-1]["from_domain"] == "evil.example"


HEADER_NAMES = ["From", "To", "Subject", "Received", "Date", "Content-Type", "DKIM-Signature"]
VALUES = st.one_of(
    st.text(max_size=30),
    st.just("=?utf-8?b?gA==?="),
    st.just("=?nosuch?q?=FF?="),
    st.just("=?utf-7?q?+2AA-?="),
    st.just("text/plain; charset=utf-7"),
    st.just("text/html; charset=punycode"),
    st.just("multipart/mixed; boundary="),
    st.just('text/html; charset="\ud800x"'),
    st.just("text/plain; charset*=utf-8''%ff"),
    st.just("attachment; filename*0*=utf-8''a; filename*1=b"),
    st.just("from x ([9.9.9.9]) by y; Tue, 99 Mar 2024 10:00:00 +9999"),
    st.just('"@<@>,:;@'),
)


@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(
        st.tuples(st.sampled_from([*HEADER_NAMES, "Content-Disposition"]), VALUES), max_size=8
    ),
    st.one_of(st.binary(max_size=200), st.just(b"see http://x.example/+2AA-a")),
)
def test_no_input_ends_the_reading(
    tmp_path: Path, headers: list[tuple[str, str]], body: bytes
) -> None:
    data = b"".join(
        f"{name}: {value}\n".encode("utf-8", "surrogatepass") for name, value in headers
    )
    (tmp_path / "a.eml").write_bytes(data + b"\n" + body)
    payloads, source, _ = read(tmp_path / "a.eml", attacker_ip="9.9.9.9")
    assert len(payloads) + source.tally.problems.total() <= 2
    assert all(list(payload) == KEYS for payload in payloads)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("HTTPS://User:Pw@Evil.example:8443/a/b?c=d#e", "https://evil.example:8443/a/b"),
        (
            "http://evil.example/unsubscribe/alice@victim.example/x",
            "http://evil.example/unsubscribe//x",
        ),
        ("http://[2001:db8::1]/x", "http://[2001:db8::1]/x"),
        ("http://[bad/x", ""),
        ("http://evil.example:99999/", ""),
        ("http:///x", ""),
    ],
)
def test_links_lose_what_names_somebody(url: str, expected: str) -> None:
    assert without_secrets(url) == expected


def test_alike_bodies_have_alike_hashes() -> None:
    text = " ".join(f"word{n}" for n in range(200))
    near = text.replace("word100", "other")
    far = " ".join(f"term{n}" for n in range(200))

    def distance(a: str, b: str) -> int:
        return (int(simhash(a), 16) ^ int(simhash(b), 16)).bit_count()

    assert distance(text, near) < 10 < distance(text, far)
    assert simhash("two words") == ""


def test_names_that_are_no_folder_are_refused() -> None:
    assert decky_name("mx-1") == "mx-1"
    for name in ("", "../x", "A", "-a", "a" * 64):
        with pytest.raises(ValueError, match="use 1 to 63"):
            decky_name(name)


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data folder is absent")
@pytest.mark.parametrize("folder", ["phishing", "spam-2", "easy-ham-1", "hard-ham-1"])
def test_every_real_mail_is_described_and_names_no_recipient(folder: str) -> None:
    files = sorted((SHARED / "data" / "mail" / folder).glob("*.eml"))
    payloads, source, messages = read(SHARED / "data" / "mail" / folder, attacker_ip="9.9.9.9")
    assert len(payloads) == len(files) == source.tally.mails
    assert not source.tally.problems
    assert len({message.id for message in messages}) == len(files)
    assert all(payload["from_domain"] for payload in payloads) or folder != "easy-ham-1"
    for message in messages:
        names = [text for text in message.payload.split(b'"') if b"@" in text]
        assert not [text for text in names if text.partition(b"@")[0][-1:].isalnum()]
