"""Write text as YAML."""

from __future__ import annotations

import re

UNPRINTABLE = r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]"
"""The characters that YAML does not allow in plain text."""


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
