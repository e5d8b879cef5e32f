"""A word of a printed command is the same word after a shell has read it."""

from __future__ import annotations

import os
import subprocess

import pytest

from git_hub_session.util.shell import quote_word
from git_hub_session.util.text import escape_control


@pytest.mark.parametrize(
    "word",
    [
        "a",
        "",
        "it's $HOME",
        "two\nlines",
        "\n\n 'x'\\n \\\\ \t$(y) %s \\0101\nend",
        "-n\n-e",
        "end\n",
        "tab\tCR\r1 ESC\x1b7 \x7f\x80",
        "not UTF-8: \udcff\udc80 1",
        "bidi \u202e\u200b\U000e0001 ü",
    ],
)
def test_shell_reads_the_word(word: str) -> None:
    line = quote_word(word)
    assert escape_control(line) == line or word.endswith("\n")
    command = ["sh", "-c", f"printf '%s|' {line} end"]
    output = subprocess.run(command, capture_output=True, check=True).stdout
    assert os.fsdecode(output) == f"{word}|end|"


def test_half_of_a_surrogate_pair() -> None:
    """JSON can contain it, but no argument of a program can."""
    assert quote_word("a\ud800") == "\"$(printf %b 'a\\0355\\0240\\0200')\""
