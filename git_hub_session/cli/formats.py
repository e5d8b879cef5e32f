"""Answers for programs: JSON and porcelain. Both are stable, and no configuration changes them."""

from __future__ import annotations

import json

from git_hub_session._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from git_hub_session.cli.view import View
    from git_hub_session.errors import HubError


_QUOTED = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\", '"': '\\"'}


def to_json(view: View) -> str:
    """One JSON object, ASCII; a byte that is no UTF-8 is the lone surrogate U+DC00 + byte."""
    return json.dumps(view.document(), indent=2, allow_nan=False) + "\n"


def error_to_json(error: HubError) -> str:
    """{"error": {"code", "message", "hint"}}"""
    fault = {"code": error.code, "message": error.message, "hint": error.hint}
    return json.dumps({"error": fault}, indent=2) + "\n"


def to_porcelain(view: View, *, nul: bool) -> bytes:
    """Lines `key value`, an empty line after each record; with `nul`, NUL in place of LF, and nothing quoted."""
    end = "\0" if nul else "\n"
    out = []
    for record in view.records():
        for key, value in record:
            shown = value.replace("\0", "") if nul else _quote(value)
            out.append(f"{key} {shown}{end}" if value else f"{key}{end}")
        out.append(end)
    return _encode("".join(out))


def _encode(text: str) -> bytes:
    """UTF-8; a byte that was none comes out as it was."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a surrogate pair out of JSON, which was never a byte
        return text.encode("utf-8", "surrogatepass")


def _quote(value: str) -> str:
    """In double quotes, C's way, where a value holds what would break the line: core.quotePath."""
    if value.isascii() and value.isprintable() and '"' not in value and "\\" not in value:
        return value
    out = []
    for char in value:
        if char in _QUOTED:
            out.append(_QUOTED[char])
        elif char.isascii() and char.isprintable():
            out.append(char)
        else:
            out += [f"\\{byte:03o}" for byte in _encode(char)]
    return '"' + "".join(out) + '"'
