"""What is shown: nothing in it drives a terminal, widths are a terminal's, formats are valid."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Mapping

import pytest

from git_hub_session.cli.formats import error_to_json, to_json, to_porcelain
from git_hub_session.cli.terminal import detect_style
from git_hub_session.commands.update import UpdateView
from git_hub_session.errors import HubError
from git_hub_session.util.text import display_width, escape_control, pad, truncate

# Whatever a terminal may act on, or that makes a line look like another one.
HOSTILE = [
    *map(chr, range(0x20)),
    *map(chr, range(0x7F, 0xA0)),
    *map(chr, range(0x200B, 0x2010)),
    *map(chr, range(0x2028, 0x202F)),
    *map(chr, range(0x2060, 0x2070)),
    *"\xad\u061c\u180e\ufeff\ufff9\ud800\udfff\udc80\U000e0001\U000e007f",
]


def test_no_hostile_character_is_left() -> None:
    """Each is written out, in ASCII; what is printable stays as it is."""
    for char in HOSTILE:
        assert re.fullmatch(r"a\\[\x21-\x7e]+z", escape_control(f"a{char}z")), repr(char)
    harmless = "plain ~ é ß → 漢字 \U0001f600 עברית e\u0301"
    assert escape_control(harmless) == harmless
    assert escape_control("\x1b]0;x\x07\r\n\t") == "\\x1b]0;x\\x07\\r\\n\\t"
    assert escape_control("\udcff\u202e\x9b\U000e0001") == "\\xff\\u202e\\x9b\\ue0001"


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("abc", 3),
        ("é", 1),
        ("e\u0301", 1),
        ("漢字", 4),
        ("ｆｕｌｌ", 8),
        ("\U0001f600", 2),
        ("\u2764\ufe0f", 1),
        ("한", 2),
        ("\u1112\u1161\u11ab", 2),
        ("a\u20dd", 1),
    ],
)
def test_width(text: str, columns: int) -> None:
    """Wide characters take two columns, marks and the later letters of a syllable none."""
    assert display_width(text) == columns
    assert pad(text, 10) == text + " " * (10 - columns)


@pytest.mark.parametrize(
    ("text", "columns", "cut"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abcde…"),
        ("漢字漢字", 8, "漢字漢字"),
        ("漢字漢字", 7, "漢字漢…"),
        ("漢字漢字", 6, "漢字…"),
        ("e\u0301e\u0301e\u0301", 2, "e\u0301…"),
    ],
)
def test_fitted(text: str, columns: int, cut: str) -> None:
    """A text is cut at a whole character and never wider than it may be."""
    assert truncate(text, columns, "…") == cut
    assert display_width(cut) <= columns


def test_fitted_in_ascii() -> None:
    """The ellipsis counts too."""
    assert truncate("abcdefg", 6, "...") == "abc..."


class Terminal(io.TextIOWrapper):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("color", "environ", "painted"),
    [
        ("auto", {"TERM": "xterm"}, True),
        ("auto", {"TERM": "dumb"}, False),
        ("auto", {}, False),
        ("auto", {"TERM": "xterm", "NO_COLOR": "1"}, False),
        ("auto", {"TERM": "xterm", "NO_COLOR": ""}, True),
        ("always", {"TERM": "dumb", "NO_COLOR": "1"}, True),
        ("never", {"TERM": "xterm"}, False),
    ],
)
def test_colour_on_a_terminal(color: str, environ: Mapping[str, str], painted: bool) -> None:
    """Colour as git has it, and NO_COLOR."""
    assert detect_style(color, Terminal(io.BytesIO()), environ).color is painted


@pytest.mark.parametrize(
    ("color", "environ", "painted"),
    [
        ("auto", {"TERM": "xterm"}, False),
        ("auto", {"TERM": "xterm", "GIT_PAGER_IN_USE": "true"}, True),
        ("auto", {"TERM": "xterm", "GIT_PAGER_IN_USE": "false"}, False),
        ("auto", {"TERM": "dumb", "GIT_PAGER_IN_USE": "true"}, False),
        ("always", {}, True),
    ],
)
def test_colour_in_a_pipe(color: str, environ: Mapping[str, str], painted: bool) -> None:
    """A pager that git started shows colours; any other pipe gets none."""
    style = detect_style(color, io.TextIOWrapper(io.BytesIO()), environ)
    assert (style.color, style.columns) == (painted, None)


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
def test_arrow_where_the_locale_can(environ: Mapping[str, str], encoding: str, arrow: str) -> None:
    """The locale decides, not what Python makes of it."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    assert detect_style("auto", stream, environ).arrow == arrow


@pytest.mark.parametrize(
    ("value", "shown"),
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
def test_porcelain_quotes_as_git_does(value: str, shown: bytes) -> None:
    """A line is a line, in ASCII, whatever is in the value; with -z the bytes come as they are."""
    view = UpdateView("s1", "a", value, dry_run=False)  # type: ignore[arg-type]
    assert to_porcelain(view, nul=False) == b"session_id s1\nfrom a\n" + shown + b"\n"
    raw = to_porcelain(view, nul=True).split(b"\0")
    assert raw[:2] == [b"session_id s1", b"from a"]
    if "\ud800" not in value:
        assert raw[2] == b" ".join([b"to", *([os.fsencode(value.replace("\0", ""))] * bool(value))])


def test_json_is_ascii() -> None:
    """A byte that was no UTF-8 is a lone surrogate, and comes back as the byte."""
    view = UpdateView("s1", "a", "é\udcff\x1b", dry_run=True)  # type: ignore[arg-type]
    text = to_json(view)
    assert text.isascii()
    assert text.endswith("}\n")
    assert os.fsencode(json.loads(text)["to"]) == b"\xc3\xa9\xff\x1b"
    fault = json.loads(error_to_json(HubError("no\udcff", hint="try")))
    assert fault == {"error": {"code": "error", "message": "no\udcff", "hint": "try"}}
