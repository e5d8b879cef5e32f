"""What the place that we write to can show: its width, its colours, its letters."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from git_hub_session._typing import TextIO
from git_hub_session.cli.view import TerminalStyle
from git_hub_session.git.config import is_true
from git_hub_session.util.numbers import parse_int

_MAX_COLUMNS = 9_999


def detect_style(color: str, stream: TextIO | None, environ: Mapping[str, str]) -> TerminalStyle:
    """The style for `stream`; git's rules for colour, and NO_COLOR."""
    terminal = stream is not None and not stream.closed and stream.isatty()
    paged = is_true(environ.get("GIT_PAGER_IN_USE"))
    wanted = color in ("always", "") or (
        color == "auto"
        and (terminal or paged)
        and not environ.get("NO_COLOR")
        and environ.get("TERM", "dumb") != "dumb"
    )
    columns = _terminal_width(stream, environ) if terminal and stream is not None else None
    arrow, ellipsis = ("→", "…") if _is_unicode(stream, environ) else ("->", "...")
    return TerminalStyle(columns, wanted, arrow, ellipsis)


def _terminal_width(stream: TextIO, environ: Mapping[str, str]) -> int | None:
    columns = parse_int(environ.get("COLUMNS", ""), _MAX_COLUMNS)
    if columns:
        return columns
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None


def _is_unicode(stream: TextIO | None, environ: Mapping[str, str]) -> bool:
    """Whether the locale is one of Unicode.

    The stream does not tell: under LC_ALL=C Python writes UTF-8 all the same, and says
    LC_CTYPE=C.UTF-8 where nothing was said (PEP 538, PEP 540).
    """
    spoken = environ.get("LC_CTYPE", "")
    if sys.flags.utf8_mode and spoken.startswith("C."):
        spoken = ""
    locale = environ.get("LC_ALL") or spoken or environ.get("LANG", "")
    encoding = (stream.encoding if stream else None) or "ascii"
    return all("utf8" in name.lower().replace("-", "") for name in (locale, encoding))
