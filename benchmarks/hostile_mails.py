# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the worst stored mail costs: a mebibyte of bait, read and held against all rules on mails.

Run with `./dev bench hostile_mails`. Times are processor time, the least of three runs. The
baseline is the same with half of it: what costs twice as much for twice the input is linear. The
target is 50 ms per MB.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from benchmarks.matching import shipped
from decnet_ttp.attack import load_catalogue
from decnet_ttp.core.source_kinds import SourceKind
from decnet_ttp.tagger.lifter import Evaluator, load_lifters
from decnet_ttp.tagger.mail_content import NotAMailError, read_mail
from decnet_ttp.tagger.rule_set import RuleSet
from decnet_ttp.v1 import event_pb2

MEBIBYTE: Final = 2**20
RUNS: Final = 3

_FROM: Final = b"From: PayPal <a@b.example>\nSubject: urgent PayPal invoice\n"
_PAGE: Final = _FROM + b"Content-Type: text/html\n\n"
_PARTS: Final = _FROM + b"Content-Type: multipart/mixed; boundary=x\n\n"


def _nested(size: int) -> bytes:
    containers = b"".join(
        b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (level, level)
        for level in range(200)
    )
    return _FROM + containers + b"a\n" * (size // 2)


#: Mails of about so many bytes.
BAITS: Final[Mapping[str, Callable[[int], bytes]]] = {
    "plain text": lambda size: _FROM + b"\n" + b"please send a transfer " * (size // 23),
    "one line": lambda size: _FROM + b"\n" + b"A" * size,
    "base64 in text": lambda size: _FROM + b"\n" + (b"QUJD" * 15 + b"\n") * (size // 61),
    "links": lambda size: _FROM + b"\n" + b"http://xn--pypal-4ve.com/ " * (size // 26),
    "open tags": lambda size: _PAGE + b"<div>" * (size // 5),
    "open links": lambda size: _PAGE + b"<a href='http://b.example/'>" * (size // 28),
    "open comments": lambda size: _PAGE + b"<!--" * (size // 4),
    "parameters": lambda size: _FROM + b"Content-Type: a/b;" + b" a=b;" * (size // 5) + b"\n\nx",
    "quoted parameter": lambda size: (
        _FROM + b'Content-Type: a/b; a="' + b'\\";' * (size // 3) + b"\n\nx"
    ),
    "headers": lambda size: b"X-A: b\n" * (size // 7) + b"\nx",
    "parts": lambda size: _PARTS + b"--x\n\na\n" * (size // 7),
    "nested parts": _nested,
    "line ends": lambda size: _FROM + b"\n" + b"\r\n" * (size // 2),
    "folded header": lambda size: b"X-A: b\n" + b" b\n" * (size // 3) + b"\nx",
    "dashes": lambda size: _nested(0) + b"--a\n\n" * (size // 5),
    "delivery status": lambda size: (
        _FROM + b"Content-Type: message/delivery-status\n\n" + b"A: b\n\n" * (size // 6)
    ),
    "digest": lambda size: (
        _FROM + b"Content-Type: multipart/digest; boundary=x\n\n--x\n" + b"\n" * size
    ),
    "uuencode": lambda size: (
        _FROM + b"Content-Transfer-Encoding: x-uuencode\n\nbegin 644 x\n" + b"#86)C\n" * (size // 6)
    ),
    "lone surrogates": lambda size: (
        _FROM + b"Content-Type: text/plain; charset=utf-16\n\n" + b"\0\xd8" * (size // 2)
    ),
    "images": lambda size: _PAGE + b"<img src=x width=9>" * (size // 19),
    "line breaks": lambda size: _PAGE + b"<p>" * (size // 3),
    "brackets": lambda size: _PAGE + b"<" * size,
    "references": lambda size: _PAGE + b"&notareference" * (size // 14),
}


def _least_ms(evaluators: list[Evaluator], data: bytes) -> float:
    took = []
    for _ in range(RUNS):
        event = event_pb2.Event(source_kind=SourceKind.EMAIL, source_id="e")
        event.email.subject = "urgent PayPal invoice"
        began = time.process_time()
        with suppress(NotAMailError):
            event.mail_content.CopyFrom(read_mail(data, event.email))
        for evaluator in evaluators:
            list(evaluator.lift(event))
        took.append((time.process_time() - began) * 1000)
    return min(took)


def main() -> None:
    """Print the figures."""
    catalogue = load_catalogue()
    live = RuleSet.empty().changed(shipped(catalogue), (), load_lifters([]), catalogue)
    evaluators = [each for each in live.evaluators.values() if "email" in each.source_kinds]
    print("stored mail            per MiB   against half of it")
    for name, bait in BAITS.items():
        whole = _least_ms(evaluators, bait(MEBIBYTE))
        half = _least_ms(evaluators, bait(MEBIBYTE // 2))
        print(f"{name:<18}{whole:9.1f} ms{whole / half:9.1f} x")


if __name__ == "__main__":
    main()
