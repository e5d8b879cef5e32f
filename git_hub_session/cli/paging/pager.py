"""Show a long answer in the pager of the user, by git's rules (git-config(1), core.pager)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from git_hub_session.git.config import is_false, is_true
from git_hub_session.programs.foreground import run_in_foreground
from git_hub_session.util.text import display_width, remove_colors

# git sets these variables if the user has not set them.
_DEFAULTS = {"LESS": "FRX", "LV": "-c"}
_CANNOT_RUN = (126, 127)  # the exit statuses of a shell


def find_pager(environ: Mapping[str, str], setting: Callable[[str], str | None]) -> str:
    """Return the command of the pager, or '' if no pager is wanted.

    Args:
        setting: the function that returns a setting of git, or None.
    """
    own = setting("pager.hub-session")
    if own is not None and is_false(own):
        return ""
    configured = setting("core.pager") if own is None or is_true(own) else own
    values = (environ.get("GIT_PAGER"), configured, environ.get("PAGER"), "less")
    pager = next(value for value in values if value is not None)
    return "" if pager == "cat" else pager


def fits_screen(text: str, columns: int | None, rows: int) -> bool:
    """Return True if the terminal can show the text and a prompt below it.

    Args:
        rows: the height of the terminal, or 0 if it is not known.
    """
    lines = [remove_colors(line) for line in text.splitlines()]
    width = columns or 80
    return sum(max(1, -(-display_width(line) // width)) for line in lines) < (rows or 24)


def show_in_pager(text: bytes, pager: str, environ: Mapping[str, str]) -> bool:
    """Show a text in the pager. Return False if the pager cannot run.

    The user may leave the pager before the end of the text.
    """
    variables = {**_DEFAULTS, **environ, "GIT_PAGER_IN_USE": "true"}
    status = run_in_foreground(["/bin/sh", "-c", pager], None, variables, stdin=text)
    return status not in _CANNOT_RUN
