"""Write text as YAML."""

from __future__ import annotations

import re

UNPRINTABLE = r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]"
"""The characters that YAML does not allow in plain text."""
# Words with single spaces that YAML reads as plain text: no ': ', and no '#'.
_PLAIN = r"(?:[A-Za-z0-9_./+]|-(?=[0-9.]))(?:[A-Za-z0-9_./+@%-]|:(?! |\Z)| (?=[A-Za-z0-9_./+%-]))*"


def quote_scalar(value: str) -> str:
    """Return a double-quoted scalar with escapes. Its tag `!!str` marks it as YAML."""
    pieces = []
    for char in value:
        if char in '"\\':
            pieces.append("\\" + char)
        elif char == "\n":
            pieces.append("\\n")
        elif re.match(UNPRINTABLE, char):
            code = ord(char)
            pieces.append(f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
        else:
            pieces.append(char)
    return '!!str "' + "".join(pieces) + '"'


def render_scalar(value: str) -> str:
    """Return a value as YAML: plain if possible, else in quotes or as a block."""
    if re.search(UNPRINTABLE, value):
        return _render_block(value)
    return value if re.fullmatch(_PLAIN, value) else "'" + value.replace("'", "''") + "'"


def render_literal(value: str) -> str:
    """Return a value in double quotes, as AgentHub's scripts write and read it.

    Write a value of several lines as YAML. The scripts cannot read it.
    """
    return _render_block(value) if re.search(UNPRINTABLE, value) else f'"{_pad_quotes(value)}"'


def _pad_quotes(text: str) -> str:
    """Return the text with a space beside a double quote at its start or end.

    AgentHub's scripts remove all double quotes at the ends of a value.
    """
    start = " " if text.startswith('"') else ""
    end = " " if text.endswith('"') else ""
    return f"{start}{text}{end}"


def _render_block(value: str) -> str:
    # AgentHub's scripts read every line with a colon as a setting, even inside a block.
    is_block = "\n" in value and ":" not in value and not value.endswith("\n")
    if is_block and not re.search(UNPRINTABLE, value.replace("\n", "")):
        return "|2-\n" + "\n".join(f"  {line}" if line else "" for line in value.split("\n"))
    return quote_scalar(value)
