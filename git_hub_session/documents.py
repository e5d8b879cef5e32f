"""JSON documents of the hub: read with bounds, written as AgentHub writes them."""

from __future__ import annotations

import json
import os

from git_hub_session.errors import Damaged
from git_hub_session.files import Directory
from git_hub_session.typed import Any, NoReturn

LIMIT = 16 << 20  # bytes
# json reads about 1,000 levels, but writes fewer: what is read must be writable again.
MAX_NESTING = 200


def read_document(directory: Directory, name: str) -> dict[str, Any]:
    """The JSON object in the file `name`; raises Damaged."""
    try:
        document = _decode(directory.read(name, limit=LIMIT))
    except FileNotFoundError:
        fault = "missing"
    except RecursionError:
        fault = "nested too deep"
    except ValueError as error:
        fault = f"not valid JSON ({error})"
    else:
        if isinstance(document, dict):
            return document
        fault = "not an object"
    raise Damaged(f"{os.path.basename(name)}: {fault}")


def _check_nesting(value: object, levels: int) -> None:
    """Raise RecursionError where `value` has more than that many levels of lists and objects."""
    if isinstance(value, dict | list):
        if not levels:
            raise RecursionError
        for inner in value.values() if isinstance(value, dict) else value:
            _check_nesting(inner, levels - 1)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text:.20} is out of range")
    return number


_raw_decode = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite).raw_decode


def _decode(data: bytes) -> Any:
    """The JSON document in `data`; raises ValueError, RecursionError."""
    text = data.decode().strip()
    document, end = _raw_decode(text)
    if end != len(text):
        raise ValueError("more than one document")
    if data.count(b"[") + data.count(b"{") > MAX_NESTING:
        _check_nesting(document, MAX_NESTING)
    return document


def encode_document(document: Any) -> bytes:
    """A JSON document as AgentHub writes it."""
    return (json.dumps(document, indent=2, allow_nan=False) + "\n").encode()
