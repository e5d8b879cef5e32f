"""Make text safe for a terminal, measure its width, and sort it.

Names and messages in a repository may hold control characters that change the terminal.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# C0 and C1 controls and DEL; line and paragraph separators; bidirectional marks, embeddings,
# overrides and isolates; zero-width and invisible formatting characters; surrogates, which stand
# for bytes that are not UTF-8.
_UNSAFE = (
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_MAX_ENCODED = 10_000  # bytes: some encodings that Python knows, such as punycode, are slow
_COLOR = "\x1b\\[[0-9;]*m"
# Control sequences (colors, cursor), operating system commands (titles, links) and short escapes.
_ESCAPE_SEQUENCE = (
    "\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b\n]*(?:\x07|\x1b\\\\)|[ -/]*[0-Z\\\\^-~])"
)


def escape_control(text: str) -> str:
    r"""Return `text` with all control characters as escapes: \n, \x1b, \u202e, \xff."""
    if text.isascii() and text.isprintable():
        return text
    return re.sub(f"{_UNSAFE}+", lambda match: match[0].translate(_ESCAPES), text)


def count_noun(number: int, noun: str) -> str:
    """Return a number and a noun, such as "1 file" and "3 files"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def remove_colors(text: str) -> str:
    """Return `text` without the escape sequences that color it."""
    return re.sub(_COLOR, "", text) if "\x1b" in text else text


def decode_message(data: bytes, encoding: str) -> str:
    """Return the message of a commit, decoded from the encoding that its header names.

    The encoding is UTF-8 if `encoding` is empty, or if Python does not know it.
    """
    if encoding:
        try:
            return data[:_MAX_ENCODED].decode(encoding, "replace")
        except (LookupError, ValueError):
            pass
    return data.decode("utf-8", "replace")


def decode_terminal_line(line: bytes) -> str:
    """Return the text that a terminal shows for a line of a program's output.

    Colors, and text that the program overwrote after a carriage return, are left out.
    """
    text = remove_colors(line.decode("utf-8", "surrogateescape")).rstrip("\r")
    return escape_control(text.rpartition("\r")[2])


def remove_escape_sequences(text: str) -> str:
    """Return `text` without the escape sequences that color it or control the terminal."""
    return re.sub(_ESCAPE_SEQUENCE, "", text) if "\x1b" in text else text


def quote_ansi_c(text: str) -> str:
    """Return `text` as a shell word $'...' of printable ASCII, so that the user can type it."""
    data = text.encode("utf-8", "surrogateescape")
    return "$'" + "".join(_quote_byte(byte) for byte in data) + "'"


def _quote_byte(byte: int) -> str:
    char = chr(byte)
    return char if char.isascii() and char.isprintable() and char not in "\\'" else f"\\x{byte:02x}"


class _EscapeTable(dict[int, str]):
    """The escape of each control character. Compute it once: a text can have megabytes."""

    def __missing__(self, code: int) -> str:
        if 0xDC80 <= code <= 0xDCFF:
            escape = f"\\x{code - 0xDC00:02x}"  # a byte that is not UTF-8
        elif code < 256:
            escape = f"\\x{code:02x}"
        else:
            escape = f"\\u{code:04x}"
        self[code] = escape
        return escape


_ESCAPES = _EscapeTable({ord("\n"): "\\n", ord("\t"): "\\t", ord("\r"): "\\r"})


def display_width(text: str) -> int:
    """Return the number of columns that `text` takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(_char_width(char) for char in text)


def truncate(text: str, columns: int, ellipsis: str) -> str:
    """Return `text`, shortened to `columns` with an ellipsis if it is wider."""
    if display_width(text) <= columns:
        return text
    free = columns - len(ellipsis)
    end = 0
    for char in text:
        free -= _char_width(char)
        if free < 0:
            break
        end += 1
    return text[:end] + ellipsis


def wrap_words(text: str, columns: int) -> list[str]:
    """Return the lines of `text`, broken between words. A wider word keeps a line of its own."""
    lines: list[str] = []
    for word in text.split(" "):
        if lines and display_width(remove_colors(f"{lines[-1]} {word}")) <= columns:
            lines[-1] = f"{lines[-1]} {word}"
        else:
            lines.append(word)
    return lines


def wrap_line(line: str, columns: int) -> list[str]:
    """Return the lines of a line that is too long, the later ones indented more than the first.

    A line with a command stays whole, so that the user can copy the command.
    """
    plain = remove_colors(line)
    if "git " in plain or display_width(plain) <= columns:
        return [line]
    text = line.lstrip(" ")
    indent = " " * (len(line) - len(text))
    first, *others = wrap_words(text, columns - len(indent) - 4)
    return [f"{indent}{first}", *(f"{indent}    {other}" for other in others)]


def pad(text: str, columns: int) -> str:
    """Return `text` with spaces up to `columns`."""
    if text.isascii():
        return text.ljust(columns)
    return text + " " * (columns - display_width(text))


def _char_width(char: str) -> int:
    from unicodedata import category, east_asian_width  # ASCII text does not need it

    # Combining marks, and the later letters of a Korean syllable, take no column of their own.
    if category(char) in ("Mn", "Me") or "\u1160" <= char <= "\u11ff":
        return 0
    return 2 if east_asian_width(char) in "WF" else 1


def quote_list(names: Sequence[str], maximum: int = 3) -> str:
    """Return the first names in quotes, and the number of the others: 'a', 'b' and 3 more."""
    quoted = ", ".join(f"'{name}'" for name in names[:maximum])
    more = len(names) - maximum
    return f"{quoted} and {more} more" if more > 0 else quoted


_DIGITS = r"([0-9]+)"


def natural_key(text: str) -> tuple[tuple[int, str], ...]:
    """Return a sort key that puts agent-10 after agent-2."""
    parts = re.split(_DIGITS, text)
    # Text and digits alternate, so text is compared with text, and a number with a number.
    return tuple(_number_key(part) if index % 2 else (0, part) for index, part in enumerate(parts))


def _number_key(digits: str) -> tuple[int, str]:
    """Return a key that sorts like the number. Do not use `int`, which limits the digits."""
    number = digits.lstrip("0")
    return len(number), number


def describe_pass(passed: bool | None) -> str:
    """Return "pass" or "fail", or '' for None."""
    return {True: "pass", False: "fail"}[passed] if passed is not None else ""
