"""A metric, read from what an eval command printed. Pure.

The name is a path in a JSON document (`p50`, `latency.p50`, `runs[0].p50`); where there is no
such document it is what stands before a number: `p50: 12.5`, `p50=12.5`, `"p50": 12.5`. The
last one counts; where it is no number (nan, inf) there is no metric.
"""

from __future__ import annotations

import json
import re

from git_hub_session._typing import Any
from git_hub_session.util.numbers import parse_int

_INFINITE = float("inf")
_LARGEST = 1e300  # so that what is reckoned from two of them is a number too
_VALUE = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?!\.?\d)|[+-]?(?:nan|inf(?:inity)?)\b"
# A name that starts or ends with a letter is not found within a longer one.
_BEFORE, _BEHIND = r"(?<![\w.-])", r"(?![\w-])"


class MetricNotFound(Exception):
    """There is none; the message says why."""


def read_metric(text: str, name: str) -> float:
    """The metric called `name` in `text`; raises NoMetric."""
    for document in _parse_documents(text):
        found = _value_at(document, name)
        if found is not None:
            return _require_finite(found, name)
    word = f"{_BEFORE if name[:1].isalnum() else ''}{re.escape(name)}{_BEHIND if name[-1:].isalnum() else ''}"
    numbers = re.findall(rf"{word}[\"']?\s*[:=]\s*({_VALUE})", text, re.IGNORECASE)
    if not numbers:
        raise MetricNotFound(f"no '{name}' in what it printed")
    return _require_finite(float(numbers[-1]), name)


def parse_number(text: str) -> float | None:
    """The number that `text` is, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) <= _LARGEST else None


def _require_finite(number: float, name: str) -> float:
    if not abs(number) <= _LARGEST:
        raise MetricNotFound(f"'{name}' is {number}")
    return number


def _parse_documents(text: str) -> list[Any]:
    """The JSON document that the text is, or that its last line is, after other lines."""
    lines = text.strip().rsplit("\n", 1)
    for candidate in dict.fromkeys((text, lines[-1])):
        try:
            return [json.loads(candidate)]
        except (ValueError, RecursionError):
            continue
    return []


def _value_at(document: Any, path: str) -> float | None:
    """The number at `path`, or None where there is none."""
    whole = _as_float(document.get(path)) if isinstance(document, dict) else None
    if whole is not None:
        return whole
    for key in re.findall(r"[^.\[\]]+", path):
        if isinstance(document, dict):
            document = document.get(key)
        elif isinstance(document, list):
            index = parse_int(key, len(document) - 1)
            document = None if index is None else document[index]
        else:
            return None
    return _as_float(document)


def _as_float(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:  # an integer of a thousand digits
        return _INFINITE
