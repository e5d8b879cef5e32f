"""The output has valid formats, and colors only on a terminal."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping

import pytest

from git_hub_session.cli.formats import error_to_json, to_json, to_porcelain
from git_hub_session.cli.terminal import detect_style
from git_hub_session.commands.update import UpdateView
from git_hub_session.errors import HubError


class Terminal(io.TextIOWrapper):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def no_setting(_name: str) -> None:
    """Return None: git has no settings."""


@pytest.mark.parametrize(
    ("color", "environ", "colored"),
    [
        ("", {"TERM": "xterm"}, True),
        ("auto", {"TERM": "xterm"}, True),
        ("auto", {"TERM": "dumb"}, False),
        ("auto", {}, False),
        ("auto", {"TERM": "xterm", "NO_COLOR": "1"}, False),
        ("auto", {"TERM": "xterm", "NO_COLOR": ""}, True),
        ("always", {"TERM": "dumb", "NO_COLOR": "1"}, True),
        ("never", {"TERM": "xterm"}, False),
    ],
)
def test_color_on_a_terminal(color: str, environ: Mapping[str, str], colored: bool) -> None:
    """--color, TERM and NO_COLOR decide."""
    assert detect_style(color, Terminal(io.BytesIO()), environ, no_setting).color is colored


@pytest.mark.parametrize(
    ("color", "environ", "colored"),
    [
        ("auto", {"TERM": "xterm"}, False),
        ("auto", {"TERM": "xterm", "GIT_PAGER_IN_USE": "true"}, True),
        ("auto", {"TERM": "xterm", "GIT_PAGER_IN_USE": "false"}, False),
        ("auto", {"TERM": "dumb", "GIT_PAGER_IN_USE": "true"}, False),
        ("always", {}, True),
    ],
)
def test_color_in_a_pipe(color: str, environ: Mapping[str, str], colored: bool) -> None:
    """A pager that git has started gets colors. Other pipes get no colors."""
    style = detect_style(color, io.TextIOWrapper(io.BytesIO()), environ, no_setting)
    assert (style.color, style.columns) == (colored, None)


@pytest.mark.parametrize("value", ["0", "3", "65", "-1", "x", ""])
def test_invalid_length_of_object_ids(value: str) -> None:
    """git refuses to work with such a value of core.abbrev. Here the default counts."""
    style = detect_style("", None, {}, {"core.abbrev": value}.get)
    assert style.abbreviate("a" * 40) == "a" * 12


@pytest.mark.parametrize(
    ("environ", "encoding", "arrow"),
    [
        ({"LANG": "en_US.UTF-8"}, "utf-8", "→"),
        ({"LANG": "C.utf8"}, "utf-8", "→"),
        ({"LC_CTYPE": "UTF-8"}, "utf-8", "→"),
        ({"LC_ALL": "C", "LANG": "en_US.UTF-8"}, "utf-8", "->"),
        ({"LC_ALL": "", "LC_CTYPE": "POSIX", "LANG": "en_US.UTF-8"}, "utf-8", "->"),
        ({"LANG": "de_DE.ISO-8859-1"}, "iso-8859-1", "->"),
        ({"LANG": "en_US.UTF-8"}, "ascii", "->"),
        ({}, "utf-8", "->"),
    ],
)
def test_the_arrow_depends_on_the_locale(
    environ: Mapping[str, str], encoding: str, arrow: str
) -> None:
    """The locale decides, also if Python uses UTF-8. The encoding must have the arrow too."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    assert detect_style("auto", stream, environ, no_setting).arrow == arrow


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("plain value", b"to plain value\n"),
        ("", b"to\n"),
        ("two\nlines", b'to "two\\nlines"\n'),
        ('a "b" \\', b'to "a \\"b\\" \\\\"\n'),
        ("\x1b\x00", b'to "\\033\\000"\n'),
        ("é\udcff", b'to "\\303\\251\\377"\n'),
        ("\ud800", b'to "\\355\\240\\200"\n'),
    ],
)
def test_porcelain_quotes_as_git_does(value: str, line: bytes) -> None:
    """Each record is one line of ASCII. With -z the bytes are unchanged."""
    view = UpdateView("s1", "a", value, dry_run=False)  # type: ignore[arg-type]
    assert to_porcelain(view, nul=False) == b"session_id s1\nfrom a\n" + line + b"\n"
    raw = to_porcelain(view, nul=True).split(b"\0")
    assert raw[:2] == [b"session_id s1", b"from a"]
    if "\ud800" not in value:
        assert raw[2] == b" ".join([b"to", *([os.fsencode(value.replace("\0", ""))] * bool(value))])


def test_json_is_ascii() -> None:
    """A byte that is not UTF-8 becomes a lone surrogate, from which a reader gets the same byte."""
    view = UpdateView("s1", "a", "é\udcff\x1b", dry_run=True)  # type: ignore[arg-type]
    text = to_json(view)
    assert text.isascii()
    assert text.endswith("}\n")
    assert os.fsencode(json.loads(text)["to"]) == b"\xc3\xa9\xff\x1b"
    error = json.loads(error_to_json(HubError("no\udcff", hint="try")))
    fields = {"code": "error", "message": "no\udcff", "hint": "try"}
    assert error == {"version": 1, "error": fields}
