"""Quote the words of a printed shell command, and split a line into words."""

from __future__ import annotations

_PLAIN_MARKS = str.maketrans("", "", "@%+=:,./-_")


def quote_word(word: str) -> str:
    """Return a word of a shell command, on one line and in printable characters.

    A user types the command from the line of a hint. printf(1) prints the line feeds, the control
    characters and the bytes that are not UTF-8. A command substitution would remove a line feed at
    the end, so such a word stays on several lines.
    """
    if word.isascii() and word.translate(_PLAIN_MARKS).isalnum():
        return word
    from shlex import quote

    if word.isprintable() or word.endswith("\n"):
        return quote(word)
    escaped = "".join(
        char if char.isprintable() else _octal(char) for char in word.replace("\\", "\\\\")
    )
    return f'"$(printf %b {quote(escaped)})"'


def _octal(char: str) -> str:
    """Return the escape of a character for `printf %b`."""
    if char == "\n":
        return "\\n"
    errors = "surrogateescape" if "\udc80" <= char <= "\udcff" else "surrogatepass"
    return "".join(f"\\0{byte:03o}" for byte in char.encode("utf-8", errors))


def split_words(text: str) -> list[str] | None:
    """Return the words of a line as a shell reads them, or None if a quote is not closed."""
    from shlex import split

    try:
        return split(text)
    except ValueError:
        return None
