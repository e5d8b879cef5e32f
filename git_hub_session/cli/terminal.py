"""The abilities of the terminal: its width, its colors and its character set."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.view import TerminalStyle
from git_hub_session.git.config import is_true
from git_hub_session.util.numbers import parse_int

if TYPE_CHECKING:
    from git_hub_session._typing import TextIO

_MAX_COLUMNS = 9_999


def detect_style(color: str, stream: TextIO | None, environ: Mapping[str, str]) -> TerminalStyle:
    """Return the style for a stream. Colors follow git's rules and NO_COLOR.

    Args:
        color: the value of --color; '' is 'always'.
    """
    is_terminal = stream is not None and not stream.closed and stream.isatty()
    columns = _terminal_width(stream, environ) if is_terminal and stream is not None else None
    is_unicode = _is_unicode(stream, environ)
    signs = ("→", "…", "−", "±") if is_unicode else ("->", "...", "-", "+-")
    use_color = _wants_color(color, environ, is_terminal=is_terminal)
    return TerminalStyle(columns, use_color, *signs)


def _wants_color(color: str, environ: Mapping[str, str], *, is_terminal: bool) -> bool:
    if color != "auto":
        return color in ("always", "")
    if not is_terminal and not is_true(environ.get("GIT_PAGER_IN_USE")):
        return False
    return not environ.get("NO_COLOR") and environ.get("TERM", "dumb") != "dumb"


def _terminal_width(stream: TextIO, environ: Mapping[str, str]) -> int | None:
    columns = parse_int(environ.get("COLUMNS", ""), _MAX_COLUMNS)
    if columns:
        return columns
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None


def _is_unicode(stream: TextIO | None, environ: Mapping[str, str]) -> bool:
    """Return True if the locale and the stream use UTF-8.

    The encoding of the stream is not enough: under LC_ALL=C Python writes UTF-8 too. If no
    locale is set, Python sets LC_CTYPE=C.UTF-8 itself (PEP 538, PEP 540).
    """
    ctype = environ.get("LC_CTYPE", "")
    if sys.flags.utf8_mode and ctype.startswith("C."):
        ctype = ""
    locale = environ.get("LC_ALL") or ctype or environ.get("LANG", "")
    encoding = (stream.encoding if stream else None) or "ascii"
    return all("utf8" in name.lower().replace("-", "") for name in (locale, encoding))
