"""JSON files of the hub: read them with size limits, and write them as AgentHub does."""

from __future__ import annotations

import json
import os

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import Damaged, HubError

if TYPE_CHECKING:
    from git_hub_session._typing import Any, NoReturn
    from git_hub_session.system.directory import SafeDirectory

MAX_JSON_BYTES = 16 << 20
# The json module reads about 1,000 levels but writes fewer. Every file must stay writable.
MAX_NESTING = 200
# Limit the memory: a value in memory takes up to 60 times its size in the file.
MAX_VALUES = 500_000
_BOM = "\ufeff".encode()
"""The mark that some editors write at the start of a file."""


class TooLarge(HubError):
    """A file that would be larger than readers accept."""

    code = "too-large"


def read_json(directory: SafeDirectory, name: str) -> dict[str, Any]:
    """Return the JSON object in the file `name`, or raise Damaged."""
    try:
        data = directory.read(name, limit=MAX_JSON_BYTES)
    except FileNotFoundError:
        raise Damaged(f"{os.path.basename(name)}: missing") from None
    return parse_json(os.path.basename(name), data)


def parse_json(name: str, data: bytes) -> dict[str, Any]:
    """Return the JSON object in `data`, or raise Damaged. `name` is the file in the message."""
    openings = data.count(b"[") + data.count(b"{")
    if openings + data.count(b",") > MAX_VALUES:
        raise Damaged(f"{name}: more than {MAX_VALUES} values")
    try:
        document = _decode(data)
        if openings > MAX_NESTING:
            _check_nesting(document, MAX_NESTING)
    except RecursionError:
        raise Damaged(f"{name}: nested too deeply") from None
    except ValueError as error:
        raise Damaged(f"{name}: not valid JSON ({error})") from None
    if not isinstance(document, dict):
        raise Damaged(f"{name}: not an object")
    return document


def _check_nesting(value: object, levels: int) -> None:
    """Raise RecursionError if lists and objects in `value` are nested deeper than `levels`."""
    if isinstance(value, dict | list):
        if not levels:
            raise RecursionError
        for inner in value.values() if isinstance(value, dict) else value:
            _check_nesting(inner, levels - 1)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _parse_finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text:.20} is out of range")
    return number


_raw_decode = json.JSONDecoder(
    parse_constant=_refuse_constant, parse_float=_parse_finite
).raw_decode


def _decode(data: bytes) -> Any:
    """Return the JSON document in `data`, or raise ValueError or RecursionError."""
    text = data.removeprefix(_BOM).decode().strip()
    document, end = _raw_decode(text)
    if end != len(text):
        raise ValueError("more than one document")
    return document


def encode_json(document: Any) -> bytes:
    """Return a JSON document as AgentHub writes it, or raise TooLarge.

    The indentation can make a small document with deep nesting too large.
    """
    pieces = []
    size = 1  # the line feed at the end
    for piece in json.JSONEncoder(indent=2, allow_nan=False).iterencode(document):
        size += len(piece)
        if size > MAX_JSON_BYTES:
            raise TooLarge(
                f"the file would be larger than {MAX_JSON_BYTES} bytes", hint="nothing was changed"
            )
        pieces.append(piece)
    return "".join([*pieces, "\n"]).encode()
