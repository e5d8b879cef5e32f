"""JSON documents of the hub: read with bounds, written as AgentHub writes them."""

from __future__ import annotations

import json
import os

from git_hub_session._typing import Any, NoReturn
from git_hub_session.errors import Damaged, HubError
from git_hub_session.system.directory import SafeDirectory

LIMIT = 16 << 20  # bytes
# json reads about 1,000 levels, but writes fewer: what is read must be writable again.
MAX_NESTING = 200
# A value takes up to sixty times the room in memory that it has in the file.
MAX_VALUES = 500_000


class TooLarge(HubError):
    """What was to be written is larger than any reader would take."""

    code = "too-large"


def read_json(directory: SafeDirectory, name: str) -> dict[str, Any]:
    """The JSON object in the file `name`; raises Damaged."""
    try:
        data = directory.read(name, limit=LIMIT)
    except FileNotFoundError:
        raise Damaged(f"{os.path.basename(name)}: missing") from None
    return parse_json(os.path.basename(name), data)


def parse_json(name: str, data: bytes) -> dict[str, Any]:
    """The JSON object in `data`, which the file `name` holds; raises Damaged."""
    openings = data.count(b"[") + data.count(b"{")
    if openings + data.count(b",") > MAX_VALUES:
        raise Damaged(f"{name}: more than {MAX_VALUES} values")
    try:
        document = _decode(data)
        if openings > MAX_NESTING:
            _check_nesting(document, MAX_NESTING)
    except RecursionError:
        fault = "nested too deep"
    except ValueError as error:
        fault = f"not valid JSON ({error})"
    else:
        if isinstance(document, dict):
            return document
        fault = "not an object"
    raise Damaged(f"{name}: {fault}")


def _check_nesting(value: object, levels: int) -> None:
    """Raise RecursionError where `value` has more than that many levels of lists and objects."""
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
    """The JSON document in `data`; raises ValueError, RecursionError."""
    text = data.decode().strip()
    document, end = _raw_decode(text)
    if end != len(text):
        raise ValueError("more than one document")
    return document


def encode_json(document: Any) -> bytes:
    """A JSON document as AgentHub writes it; raises TooLarge where nobody could read it again.

    Its lines are indented: what was small and deep can be large.
    """
    out, size = [], 1
    for piece in json.JSONEncoder(indent=2, allow_nan=False).iterencode(document):
        size += len(piece)
        if size > LIMIT:
            raise TooLarge(
                f"the document takes more than {LIMIT} bytes", hint="nothing was changed"
            )
        out.append(piece)
    return "".join([*out, "\n"]).encode()
