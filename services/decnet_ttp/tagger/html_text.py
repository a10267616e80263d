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

_NAME: Final = re.compile(r"/?[a-zA-Z][a-zA-Z0-9]{0,15}")
_ATTRIBUTE: Final = re.compile(r"""([a-zA-Z-]{1,32})\s{0,8}=\s{0,8}("[^"]*"|'[^']*'|[^\s"'>]+)""")
_SKIPPED: Final = {
    name: re.compile(rf"</{name}", re.IGNORECASE) for name in ("script", "style", "title")
}
_BREAKS: Final = frozenset({"br", "p", "/p", "div", "/div", "tr", "/tr", "td", "li", "h1", "h2"})
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
    """Goes through a page once; every step moves on."""

    def __init__(self, html: str) -> None:
        self._html = html
        self._page = Page()
        self._pieces: list[str] = []
        self._link: str | None = None
        self._link_text: list[str] = []

    def read(self) -> Page:
        html = self._html
        position, end = 0, len(html)
        while position < end:
            opening = html.find("<", position)
            self._show(html[position : opening if opening >= 0 else end])
            if opening < 0:
                break
            position = self._markup(opening)
        self._end_link()
        self._page.text = unescape("".join(self._pieces))
        return self._page

    def _show(self, text: str) -> None:
        if text:
            self._pieces.append(text)
            if self._link is not None:
                self._link_text.append(text)

    def _markup(self, opening: int) -> int:
        """Read what begins with an angle bracket; returns where to go on."""
        html = self._html
        if html.startswith("<!--", opening):
            return self._behind("-->", opening + 4)
        name = _NAME.match(html, opening + 1)
        if name is None and html[opening + 1 : opening + 2] not in {"!", "?", "/"}:
            self._show("<")
            return opening + 1
        behind = self._behind(">", opening + 1)
        tag = name[0].lower() if name else ""
        if tag in _SKIPPED:
            after = _SKIPPED[tag].search(html, behind)
            return after.start() if after else len(html)
        self._element(tag, html[opening : min(behind, opening + _MAX_TAG)])
        return behind

    def _behind(self, text: str, start: int) -> int:
        found = self._html.find(text, start)
        return found + len(text) if found >= 0 else len(self._html)

    def _element(self, tag: str, markup: str) -> None:
        if tag in {"a", "/a", "area"}:
            self._end_link()
            if tag != "/a":
                self._link = _attributes(markup).get("href")
        elif tag == "img":
            attributes = _attributes(markup)
            if self._link is not None:
                self._link_text.append(attributes.get("alt", ""))
            _image(self._page, attributes)
        elif tag in _BREAKS:
            self._pieces.append("\n")

    def _end_link(self) -> None:
        if self._link is not None and len(self._page.links) < MAX_LINKS:
            text = unescape("".join(self._link_text)[:_MAX_LINK_TEXT]).strip()
            self._page.links.append((self._link, text))
        self._link = None
        self._link_text = []


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
