"""A word of a printed command is the same word after a shell has read it."""

from __future__ import annotations

import subprocess

import pytest

from git_hub_session.util.shell import quote_word


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
    ],
)
def test_shell_reads_the_word(word: str) -> None:
    line = quote_word(word)
    assert "\n" not in line or word.endswith("\n")
    command = ["sh", "-c", f"printf '%s|' {line} end"]
    output = subprocess.run(command, capture_output=True, check=True).stdout
    assert output.decode() == f"{word}|end|"
