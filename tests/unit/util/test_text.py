"""Text is escaped, measured and sorted for a terminal."""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest

from git_hub_session.util.text import (
    count_noun,
    decode_message,
    decode_terminal_line,
    display_width,
    escape_control,
    natural_key,
    pad,
    quote_ansi_c,
    remove_colors,
    truncate,
    wrap_line,
    wrap_words,
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


UNSAFE = [
    *map(chr, range(0x20)),
    *map(chr, range(0x7F, 0xA0)),
    *map(chr, range(0x200B, 0x2010)),
    *map(chr, range(0x2028, 0x202F)),
    *map(chr, range(0x2060, 0x2070)),
    *"\xad\u061c\u180e\ufeff\ufff9\ud800\udfff\udc80\U000e0001\U000e007f",
]
"""The characters that control a terminal, or that make a line look like another line."""


def test_each_unsafe_character_is_escaped_in_ascii() -> None:
    for char in UNSAFE:
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
def test_display_width(text: str, columns: int) -> None:
    """Wide characters need two columns. Marks and later letters of a syllable need no column."""
    assert display_width(text) == columns
    assert pad(text, 10) == text + " " * (10 - columns)


@pytest.mark.parametrize(
    ("text", "columns", "truncated"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abcde…"),
        ("漢字漢字", 8, "漢字漢字"),
        ("漢字漢字", 7, "漢字漢…"),
        ("漢字漢字", 6, "漢字…"),
        ("e\u0301e\u0301e\u0301", 2, "e\u0301…"),
    ],
)
def test_truncate(text: str, columns: int, truncated: str) -> None:
    """A text is truncated between characters, and is never wider than allowed."""
    assert truncate(text, columns, "…") == truncated
    assert display_width(truncated) <= columns


def test_truncate_counts_the_ellipsis() -> None:
    assert truncate("abcdefg", 6, "...") == "abc..."


def test_decode_terminal_line_returns_the_visible_text() -> None:
    assert decode_terminal_line(b"\x1b[31m10 %\r\x1b[32m100 %\r") == "100 %"
    assert decode_terminal_line(b"\xff\x07") == "\\xff\\x07"


@pytest.mark.parametrize("text", ["plain", "it's", "\\", "a\nb", "\x1b", "ü", "\udcff"])
def test_a_shell_reads_a_quoted_text_as_the_same_bytes(text: str) -> None:
    quoted = quote_ansi_c(text)
    assert quoted.isascii()
    assert quoted.isprintable()
    script = f"printf %s {quoted}"
    output = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout
    assert output == text.encode("utf-8", "surrogateescape"), shlex.quote(script)


def test_natural_key_sorts_numbers_by_value() -> None:
    names = ["agent-10", "agent-2", "agent-02", "agent", "b", "10", "9"]
    expected = ["9", "10", "agent", "agent-2", "agent-02", "agent-10", "b"]
    assert sorted(names, key=natural_key) == expected


def test_wrap_words() -> None:
    assert wrap_words("one two, three", 14) == ["one two, three"]
    assert wrap_words("one two, three", 8) == ["one two,", "three"]
    assert wrap_words("a longer-word b", 5) == ["a", "longer-word", "b"]
    assert wrap_words("漢字 漢字", 8) == ["漢字", "漢字"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("  one two", ["  one two"]),
        ("  one two three", ["  one", "      two", "      three"]),
        ("  \x1b[31mone\x1b[m two", ["  \x1b[31mone\x1b[m two"]),
        ("fix: git hub-session doctor", ["fix: git hub-session doctor"]),
        ("a longer-word", ["a", "    longer-word"]),
    ],
)
def test_wrap_line(line: str, expected: list[str]) -> None:
    """The later lines are indented more. A command stays whole."""
    assert wrap_line(line, 9) == expected


def test_count_noun() -> None:
    assert [count_noun(number, "file") for number in (0, 1, 2)] == ["0 files", "1 file", "2 files"]


def test_remove_colors() -> None:
    """Other escape sequences stay: escape_control() makes them visible."""
    assert remove_colors("\x1b[1;31mred\x1b[m, \x1b[2Jx, plain") == "red, \x1b[2Jx, plain"


@pytest.mark.parametrize(
    ("data", "encoding", "text"),
    [
        ("Größe".encode(), "", "Größe"),
        ("Größe".encode("latin-1"), "latin-1", "Größe"),
        ("Größe".encode(), "unknown", "Größe"),
        ("Größe".encode(), "nul\0", "Größe"),
        (b"\xff", "", "\ufffd"),
    ],
)
def test_decode_message(data: bytes, encoding: str, text: str) -> None:
    assert decode_message(data, encoding) == text


def test_long_message_in_a_slow_encoding_is_cut_off() -> None:
    """Python needs minutes to decode a megabyte of punycode."""
    assert len(decode_message(b"a" * 1_000_000, "punycode")) <= 10_000
