"""The displays of the manual page, as a user types them."""

from __future__ import annotations

import re

from tests.support.hub import CHECKOUT

PAGE = CHECKOUT / "man" / "git-hub-session.1"


def displays(text: str) -> list[str]:
    """Return the displays in the source of the page, without its escapes."""
    found = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", text, re.DOTALL | re.MULTILINE)
    return [_unescape(display) for display in found]


def _unescape(text: str) -> str:
    return text.replace(r"\-", "-").replace(r"\(aq", "'").replace(r"\e", "\\")
