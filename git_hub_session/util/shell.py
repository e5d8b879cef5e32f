"""Quote the words of a shell command that is printed on one line."""

from __future__ import annotations

from shlex import quote


def quote_word(word: str) -> str:
    """Return a word of a shell command on one line.

    A user types the command from the line of a hint, so it must not contain a line feed. printf(1)
    prints the line feeds of the word. A command substitution removes those at its end.
    """
    if "\n" not in word:
        return quote(word)
    escaped = word.replace("\\", "\\\\").replace("\n", "\\n")
    return f'"$(printf %b {quote(escaped)})"'
