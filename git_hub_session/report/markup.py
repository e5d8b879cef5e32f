"""Write HTML and SVG. Each text is escaped here, and only here.

`element` returns Markup. It escapes each child and each attribute that is not Markup. No other
module creates Markup, so a text from the repository cannot become an element. Control characters,
and characters that change the direction of the text, are shown as escapes such as \\x1b.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from git_hub_session.util.text import escape_control

_VOID = frozenset({"meta", "br"})
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}
_SPECIAL = re.compile("[&<>\"'\ufffe\uffff]|[^\x00-\x7f]")


class Markup(str):
    """HTML or SVG in ASCII, ready to be written."""

    __slots__ = ()


def escape(text: str) -> Markup:
    """Return one line of text as Markup."""
    return Markup(_SPECIAL.sub(_reference, escape_control(text)))


def _reference(match: re.Match[str]) -> str:
    """Return a character reference. XML has none for the last two characters of the first plane."""
    char = match[0]
    if char in "\ufffe\uffff":
        return f"\\u{ord(char):04x}"
    # ASCII does not depend on the encoding of standard output.
    return _ENTITIES.get(char) or f"&#{ord(char)};"


def element(name: str, /, *children: str, **attributes: str | float) -> Markup:
    """Return an element. An attribute with an empty value is left out.

    In names of attributes, "_" stands for "-", and a last "_" is left out.
    """
    words = [name]
    for key, value in attributes.items():
        if value == "":
            continue
        spelled = key.rstrip("_").replace("_", "-")
        text = value if isinstance(value, str) else f"{value:.6g}"
        words.append(f'{spelled}="{escape(text)}"')
    start = f"<{' '.join(words)}>"
    if name in _VOID:
        return Markup(start)
    return Markup(f"{start}{join(children)}</{name}>")


def join(parts: Iterable[str], separator: str = "") -> Markup:
    """Return all parts. Escape those that are not Markup."""
    return Markup(
        separator.join(part if isinstance(part, Markup) else escape(part) for part in parts)
    )


def lines_of(text: str) -> Markup:
    """Return a text of several lines. Escape each line, and keep the line feeds."""
    return join((line.expandtabs() for line in text.split("\n")), "\n")


def style_sheet(css: str) -> Markup:
    """Return the element with a style sheet of this package, which is not escaped."""
    return Markup(f"<style>{css}</style>")
