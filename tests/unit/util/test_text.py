"""Text is escaped, measured and sorted for a terminal."""

from __future__ import annotations

import shlex
import subprocess

import pytest

from git_hub_session.util.text import (
    decode_terminal_line,
    display_width,
    escape_control,
    natural_key,
    pad,
    quote_ansi_c,
    truncate,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("Größe →", "Größe →"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x1b[2J\x07\x7f\x9b", "\\x1b[2J\\x07\\x7f\\x9b"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\udcff", "\\xff"),
        ("\ud800", "\\ud800"),
    ],
)
def test_escape_control(text: str, expected: str) -> None:
    assert escape_control(text) == expected


def test_decode_terminal_line_returns_the_visible_text() -> None:
    assert decode_terminal_line(b"\x1b[31m10 %\r\x1b[32m100 %\r") == "100 %"
    assert decode_terminal_line(b"\xff\x07") == "\\xff\\x07"


@pytest.mark.parametrize("text", ["plain", "it's", "\\", "a\nb", "\x1b", "ü", "\udcff"])
def test_a_shell_reads_a_quoted_text_as_the_same_bytes(text: str) -> None:
    word = quote_ansi_c(text)
    assert word.isascii()
    assert word.isprintable()
    script = f"printf %s {word}"
    output = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout
    assert output == text.encode("utf-8", "surrogateescape"), shlex.quote(script)


@pytest.mark.parametrize(
    ("text", "columns"),
    [("", 0), ("abc", 3), ("ü", 1), ("u\u0308", 1), ("漢字", 4), ("\u1112\u1161\u11ab", 2)],
)
def test_display_width(text: str, columns: int) -> None:
    assert display_width(text) == columns


def test_truncate_and_pad_count_columns() -> None:
    assert truncate("abcdef", 6, "...") == "abcdef"
    assert truncate("abcdefg", 6, "...") == "abc..."
    assert truncate("漢字漢字", 6, "…") == "漢字…"
    assert pad("ab", 4) == "ab  "
    assert pad("漢", 4) == "漢  "
    assert pad("abcde", 4) == "abcde"


def test_natural_key_sorts_numbers_by_value() -> None:
    names = ["agent-10", "agent-2", "agent-02", "agent", "b", "10", "9"]
    expected = ["9", "10", "agent", "agent-2", "agent-02", "agent-10", "b"]
    assert sorted(names, key=natural_key) == expected
