"""Text from a repository, made safe to show: it cannot drive the terminal."""

from __future__ import annotations

import re

# C0 and C1 controls, DEL; line and paragraph separator; bidirectional marks, embeddings,
# overrides and isolates; zero-width and invisible formatting; surrogates (bytes that are no text).
_UNSAFE = (
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_COLOR = "\x1b\\[[0-9;]*m"


def escape_control(text: str) -> str:
    r"""`text` with every character that a terminal would act on written out: \n, \x1b, \u202e, \xff."""
    if text.isascii() and text.isprintable():
        return text
    return re.sub(f"{_UNSAFE}+", lambda match: match[0].translate(_SHOWN), text)


def decode_terminal_line(line: bytes) -> str:
    """A line that a program wrote to a terminal, as text: without its colours, and without what it wrote over."""
    text = re.sub(_COLOR, "", line.decode("utf-8", "surrogateescape")).rstrip("\r")
    return escape_control(text.rpartition("\r")[2])


def quote_ansi_c(text: str) -> str:
    r"""`text` as a shell's $'…', all in printable ASCII: what `visible` writes out can be typed so."""
    data = text.encode("utf-8", "surrogateescape")
    return "$'" + "".join(_in_ansi_c(byte) for byte in data) + "'"


def _in_ansi_c(byte: int) -> str:
    char = chr(byte)
    return char if char.isascii() and char.isprintable() and char not in "\\'" else f"\\x{byte:02x}"


class _EscapeTable(dict[int, str]):
    """What is shown of each hostile character: megabytes of them are looked up, not made one by one."""

    def __missing__(self, code: int) -> str:
        if 0xDC80 <= code <= 0xDCFF:
            shown = f"\\x{code - 0xDC00:02x}"  # a byte that was no UTF-8
        else:
            shown = f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
        self[code] = shown
        return shown


_SHOWN = _EscapeTable({ord("\n"): "\\n", ord("\t"): "\\t", ord("\r"): "\\r"})


def display_width(text: str) -> int:
    """How many columns a terminal gives `text`."""
    if text.isascii():
        return len(text)
    return sum(_char_width(char) for char in text)


def truncate(text: str, columns: int, ellipsis: str) -> str:
    """`text`, cut to `columns` with an ellipsis where it is wider."""
    if display_width(text) <= columns:
        return text
    taken, left = [], columns - len(ellipsis)
    for char in text:
        left -= _char_width(char)
        if left < 0:
            break
        taken.append(char)
    return "".join(taken) + ellipsis


def pad(text: str, columns: int) -> str:
    """`text` with spaces up to `columns`."""
    if text.isascii():
        return text.ljust(columns)
    return text + " " * (columns - display_width(text))


def _char_width(char: str) -> int:
    from unicodedata import category, east_asian_width  # not needed while all is ASCII

    # Marks go over what stands before them; the later letters of a Korean syllable into it.
    if category(char) in ("Mn", "Me") or "\u1160" <= char <= "\u11ff":
        return 0
    return 2 if east_asian_width(char) in "WF" else 1


_DIGITS = r"([0-9]+)"


def natural_key(text: str) -> tuple[tuple[int, str], ...]:
    """A sort key that puts agent-10 after agent-2."""
    parts = re.split(_DIGITS, text)
    numbers = [part.lstrip("0") for part in parts]
    # The pieces alternate: text, digits, text, … so like is only compared with like.
    return tuple(
        (len(numbers[at]), numbers[at]) if at % 2 else (0, part) for at, part in enumerate(parts)
    )
