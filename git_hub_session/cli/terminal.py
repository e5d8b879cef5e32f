"""The abilities of the terminal: its width, its colors and its character set."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.view import DEFAULT_DIGITS, TerminalStyle
from git_hub_session.git.config import is_false, is_true
from git_hub_session.util.numbers import parse_int

if TYPE_CHECKING:
    from git_hub_session._typing import TextIO

_MAX_COLUMNS = 9_999
_MIN_DIGITS = 4  # as in git
_ALL_DIGITS = 64  # of an object id with SHA-256


def detect_style(
    color: str,
    stream: TextIO | None,
    environ: Mapping[str, str],
    setting: Callable[[str], str | None],
) -> TerminalStyle:
    """Return the style for a stream. Colors follow git's rules and NO_COLOR.

    Args:
        color: the value of --color, or '' without the option.
        setting: the function that returns a setting of git, or None.
    """
    is_terminal = stream is not None and not stream.closed and stream.isatty()
    columns = _terminal_width(stream, environ) if is_terminal and stream is not None else None
    is_unicode = _is_unicode(stream, environ)
    signs = ("→", "…", "−", "±") if is_unicode else ("->", "...", "-", "+-")
    mode = color or _configured_color(setting)
    use_color = _wants_color(mode, environ, is_terminal=is_terminal)
    return TerminalStyle(columns, use_color, *signs, _configured_digits(setting))


def _configured_color(setting: Callable[[str], str | None]) -> str:
    """Return "auto", "always" or "never": color.hub-session, or else color.ui."""
    values = map(setting, ("color.hub-session", "color.ui"))
    value = next((value for value in values if value is not None), "auto").lower()
    if value in ("always", "never"):
        return value
    return "never" if is_false(value) else "auto"  # as in git, true means auto


def _configured_digits(setting: Callable[[str], str | None]) -> int:
    """Return core.abbrev: the number of digits of an abbreviated object id."""
    value = setting("core.abbrev") or ""
    if value.lower() in ("false", "no", "off"):
        return _ALL_DIGITS
    digits = parse_int(value, _ALL_DIGITS) or 0
    return digits if digits >= _MIN_DIGITS else DEFAULT_DIGITS


def _wants_color(color: str, environ: Mapping[str, str], *, is_terminal: bool) -> bool:
    if color != "auto":
        return color == "always"
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
