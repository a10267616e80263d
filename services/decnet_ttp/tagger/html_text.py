# SPDX-License-Identifier: AGPL-3.0-or-later
"""The text, links and images of hostile HTML, in one pass of linear time.

Only what a reader sees or follows is wanted, so tags are cut out where they stand instead of being
built into a tree: the trees of the parsers at hand take quadratic time on unclosed tags.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape
from typing import Final

#: Characters of one tag that are looked at.
_MAX_TAG: Final = 8 * 1024
MAX_LINKS: Final = 500
MAX_IMAGES: Final = 100
_MAX_LINK_TEXT: Final = 256
#: Links and images whose attributes are read.
_MAX_ELEMENTS: Final = 5_000

#: The end of a tag's name, and what follows it to the end of the tag or of the page.
_REST: Final = r"(?![a-zA-Z0-9])[^>]*>?"
#: Markup in the order in which it is tried. The first group holds a tag that is read, the second
#: marks one that begins a new line; all other markup is left out, with what no browser shows of it.
_MARKUP: Final = re.compile(
    rf"<(?=[a-zA-Z/!?])(?:((?:/?a|area|img){_REST})|(?:br|/?p|/?div|/?tr|td|li|h1|h2){_REST}()"
    rf"|script{_REST}(?:.*?(?=</script)|.*)|style{_REST}(?:.*?(?=</style)|.*)"
    rf"|title{_REST}(?:.*?(?=</title)|.*)|!--(?:.*?-->|.*)|(?:/?[a-zA-Z]|[!?/])[^>]*>?)",
    re.IGNORECASE | re.DOTALL | re.ASCII,
)
_GROUPS: Final = 2
_ATTRIBUTE: Final = re.compile(r"""([a-zA-Z-]{1,32})\s{0,8}=\s{0,8}("[^"]*"|'[^']*'|[^\s"'>]+)""")
#: At least what HTML takes for a character reference.
_REFERENCE: Final = re.compile(r"(&(?:#[0-9a-zA-Z]+;?|[^\t\n\f <&#;]{1,32};?))")
#: Sizes and styles that leave nothing to be seen.
_INVISIBLE_STYLE: Final = re.compile(
    r"display\s{0,4}:\s{0,4}none|visibility\s{0,4}:\s{0,4}hidden|opacity\s{0,4}:\s{0,4}0(?![.\d])"
    r"|(?<![\w-])(?:width|height)\s{0,4}:\s{0,4}[01](?:px)?\s{0,4}(?:;|$|!)",
    re.IGNORECASE,
)


@dataclass(slots=True)
class Page:
    """What a page shows.

    Attributes:
        text: Its text.
        links: Where its links lead, and the text of each.
        hidden_images: Images that no reader sees.
    """

    text: str = ""
    links: list[tuple[str, str]] = field(default_factory=list)
    hidden_images: list[str] = field(default_factory=list)


def read_html(html: str) -> Page:
    """Read a page."""
    return _Reader(html).read()


class _Reader:
    """Goes through a page once."""

    def __init__(self, html: str) -> None:
        self._html = html
        self._page = Page()
        self._link: str | None = None
        self._link_text: list[str] = []
        self._elements = 0

    def read(self) -> Page:
        # Text, and of the markup behind it a tag, or a mark of a new line, or neither.
        found = _MARKUP.split(self._html)
        step = _GROUPS + 1
        texts, tags = found[::step], found[1::step]
        found[1::step] = [""] * len(tags)
        found[2::step] = ["" if mark is None else "\n" for mark in found[2::step]]
        self._page.text = _resolved("".join(found))
        places = [place for place, tag in enumerate(tags) if tag is not None]
        for place, following in zip(places, [*places[1:], len(tags)], strict=False):
            self._element(tags[place])
            if self._link is not None:
                self._link_text += texts[place + 1 : following + 1]
        self._end_link()
        return self._page

    def _element(self, tag: str) -> None:
        image = tag[:1] in {"i", "I"}
        if not image:
            self._end_link()
        if self._elements >= _MAX_ELEMENTS or tag[:1] == "/":
            return
        self._elements += 1
        attributes = _attributes(tag[:_MAX_TAG])
        if not image:
            self._link = attributes.get("href")
            return
        if self._link is not None:
            self._link_text.append(attributes.get("alt", ""))
        _image(self._page, attributes)

    def _end_link(self) -> None:
        if self._link is not None and len(self._page.links) < MAX_LINKS:
            text = unescape("".join(self._link_text)[:_MAX_LINK_TEXT]).strip()
            self._page.links.append((self._link, text))
        self._link = None
        self._link_text = []


def _resolved(text: str) -> str:
    """Return text with its character references resolved, each spelling once."""
    if "&" not in text:
        return text
    pieces = _REFERENCE.split(text)
    known = {each: unescape(each) for each in set(pieces[1::2])}
    pieces[1::2] = [known[each] for each in pieces[1::2]]
    return "".join(pieces)


def _attributes(markup: str) -> dict[str, str]:
    return {
        match[1].lower(): unescape(match[2].strip("\"'")) for match in _ATTRIBUTE.finditer(markup)
    }


def _image(page: Page, attributes: dict[str, str]) -> None:
    small = {"0", "1", "0px", "1px"}
    sized = [attributes.get(side, "").strip().lower() for side in ("width", "height")]
    hidden = all(each in small for each in sized)
    if not hidden and not _INVISIBLE_STYLE.search(attributes.get("style", "")):
        return
    if "src" in attributes and len(page.hidden_images) < MAX_IMAGES:
        page.hidden_images.append(attributes["src"])
