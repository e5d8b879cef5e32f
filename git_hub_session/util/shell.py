"""Quote the words of a printed shell command, and split a line into words."""

from __future__ import annotations

_PLAIN_MARKS = str.maketrans("", "", "@%+=:,./-_")


def quote_word(word: str) -> str:
    """Return a word of a shell command on one line.

    A user types the command from the line of a hint, so the command must not contain a line feed.
    printf(1) prints the line feeds of the word. A command substitution would remove a line feed at
    the end, so such a word stays on several lines.
    """
    if word.isascii() and word.translate(_PLAIN_MARKS).isalnum():
        return word
    from shlex import quote

    if "\n" not in word or word.endswith("\n"):
        return quote(word)
    escaped = word.replace("\\", "\\\\").replace("\n", "\\n")
    return f'"$(printf %b {quote(escaped)})"'


def split_words(text: str) -> list[str] | None:
    """Return the words of a line as a shell reads them, or None if a quote is not closed."""
    from shlex import split

    try:
        return split(text)
    except ValueError:
        return None
