"""JSON and porcelain output. Both formats are stable and ignore the configuration."""

from __future__ import annotations

import json

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.view import error_fields
from git_hub_session.schemas.schema import ANSWER_VERSION

if TYPE_CHECKING:
    from git_hub_session.cli.view import View
    from git_hub_session.errors import HubError


_QUOTED = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\", '"': '\\"'}


def to_json(view: View) -> str:
    """Return the view as one JSON object in ASCII, with the version of its keys.

    A byte that is not valid UTF-8 becomes the lone surrogate U+DC00 + byte.
    """
    answer = {"version": ANSWER_VERSION, **view.document()}
    return json.dumps(answer, indent=2, allow_nan=False) + "\n"


def error_to_json(error: HubError) -> str:
    """Return an error as JSON: `version`, and `error` with code, message and hint."""
    answer = {"version": ANSWER_VERSION, "error": error_fields(error)}
    return json.dumps(answer, indent=2) + "\n"


def to_porcelain(view: View, *, nul: bool) -> bytes:
    """Return lines `key value`, and an empty line after each record.

    With `nul`, each line ends with NUL instead of LF, and no value is quoted.
    """
    end = "\0" if nul else "\n"
    out = []
    for record in view.records():
        for key, value in record:
            text = value.replace("\0", "") if nul else _quote(value)
            out.append(f"{key} {text}{end}" if value else f"{key}{end}")
        out.append(end)
    return _encode("".join(out))


def _encode(text: str) -> bytes:
    """Encode as UTF-8. Write invalid bytes of the input unchanged."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        # A lone surrogate from a JSON file that does not stand for a byte.
        return text.encode("utf-8", "surrogatepass")


def _quote(value: str) -> str:
    """Quote a value as core.quotePath does if it has special characters."""
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
