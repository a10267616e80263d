# SPDX-License-Identifier: AGPL-3.0-or-later
"""Text, links and hidden images of HTML, however broken."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decnet_ttp.tagger.html_text import MAX_LINKS, read_html


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>one<br>two</p>", "\none\ntwo"),
        ("a<script>var x = '<p>no</p>'</script>b", "ab"),
        ("<STYLE>p{}</style >x", "x"),
        ("a<!-- no <p>x</p> -->b", "ab"),
        ("1 < 2 &amp; 3 &gt; 2", "1 < 2 & 3 > 2"),
        ("<div", ""),
        ("a<!-- never ends", "a"),
        ("a<script>never ends", "a"),
        ("ver<b></b>ify", "verify"),
        ("<?xml version='1.0'?><!DOCTYPE html>x", "x"),
    ],
)
def test_text_is_what_a_reader_sees(html: str, text: str) -> None:
    assert read_html(html).text.rstrip("\n") == text


def test_links_have_their_text() -> None:
    page = read_html(
        "<a class=x href='http://a.example/?a=1&amp;b=2'>Pay<b>Pal</b></a> "
        '<A HREF="http://b.example/"><img src=x alt="Log in"></A><a href=http://c.example>open'
    )
    assert page.links == [
        ("http://a.example/?a=1&b=2", "PayPal"),
        ("http://b.example/", "Log in"),
        ("http://c.example", "open"),
    ]
    assert read_html("<a name=top>x</a>").links == []


@pytest.mark.parametrize(
    ("attributes", "hidden"),
    [
        ("width=1 height=1", True),
        ('width="0" height="0"', True),
        ("width=1 height=100", False),
        ("width=1", False),
        ('style="display:none"', True),
        ('style="width: 1px; height: 1px"', True),
        ('style="max-width:1px"', False),
        ('style="width:100px"', False),
        ('style="opacity:0.5"', False),
    ],
)
def test_images_that_nobody_sees_are_told(attributes: str, hidden: bool) -> None:  # noqa: FBT001 - a table's column
    page = read_html(f"<img {attributes} src='http://t.example/o?id=1'>")
    assert page.hidden_images == (["http://t.example/o?id=1"] if hidden else [])


@pytest.mark.parametrize(
    "unit",
    ["<!--", "<a ", "<a href='", "</", "<script>", "<style><", "&", "<", "<!", "<div>", "<a b=",
     "<img ", "<a><b>", "<a href=x>", "&#x41", "<img style='width", "<a href=\"x'", "</a>"],
)  # fmt: skip
def test_bait_is_read_in_proportion_to_its_size(unit: str) -> None:
    html = unit * (256 * 1024 // len(unit))
    began = time.process_time()
    page = read_html(html)
    # The bound leaves room for a busy machine and none for a square.
    assert time.process_time() - began < 2.0
    assert len(page.links) <= MAX_LINKS


@given(st.text(alphabet=st.sampled_from("<>!-/a='\" &;#scripthrefimg"), max_size=200))
def test_nothing_raises(html: str) -> None:
    page = read_html(html)
    assert len(page.text) <= 2 * len(html)
