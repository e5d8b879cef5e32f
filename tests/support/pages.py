"""Read an HTML page as a browser does, as far as the tests need it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import NamedTuple

VOID = {"meta", "br"}
_REQUESTS = {
    "src",
    "href",
    "srcset",
    "action",
    "data",
    "poster",
    "background",
    "style",
    "xlink:href",
}


class Element(NamedTuple):
    """The start of an element."""

    name: str
    attributes: dict[str, str]


class Page(HTMLParser):
    """The elements, the texts and the tables of a page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self.texts: list[tuple[str, str]] = []
        """The texts, each with the name of its element."""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.append((self._open[-1], data))

    def texts_of(self, name: str) -> list[str]:
        """Return the texts directly in the elements of this name."""
        return [text for element, text in self.texts if element == name]

    @property
    def text(self) -> str:
        """All texts except the style sheet."""
        return "".join(text for element, text in self.texts if element != "style")

    @property
    def active_parts(self) -> list[str]:
        """The elements and attributes that run a program or start a request."""
        names = {"script", "iframe", "object", "embed", "img", "link", "form", "base", "a", "image"}
        found = [each.name for each in self.elements if each.name in names]
        return found + [
            f"{each.name}.{name}"
            for each in self.elements
            for name in each.attributes
            if name.startswith("on") or name in _REQUESTS
        ]


def section(page: str, heading: str) -> str:
    """Return the HTML of the section with this heading, or ''."""
    found = re.search(f"<section><h2>{re.escape(heading)}</h2>.*?</section>", page, re.DOTALL)
    return found[0] if found else ""


def rows(html: str) -> list[list[str]]:
    """Return the cells of the first table in a part of a page, with the header."""
    table = re.search("<table>.*?</table>", html, re.DOTALL)
    lines = re.findall("<tr>.*?</tr>", table[0] if table else "", re.DOTALL)
    return [[Page(cell).text for cell in re.findall("<t[hd].*?</t[hd]>", line)] for line in lines]
