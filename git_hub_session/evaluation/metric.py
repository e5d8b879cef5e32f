"""Find a metric in the output of an eval command. This module has no side effects.

If the output is a JSON document with a number at the path `name` (`p50`, `latency.p50`,
`runs[0].p50`), that number is the metric. In other output, the metric is the last number after
the name: `p50: 12.5`, `p50=12.5`, `"p50": 12.5`. NaN and infinity are errors.
"""

from __future__ import annotations

import json
import re

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.util.numbers import parse_int

if TYPE_CHECKING:
    from git_hub_session._typing import Any

_INFINITE = float("inf")
_LARGEST = 1e300  # the sum and the difference of two metrics must be finite
_VALUE = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?!\.?\d)|[+-]?(?:nan|inf(?:inity)?)\b"
# If the name starts or ends with a letter or a digit, do not find it inside a longer name.
_WORD_START = r"(?<![\w.-])"
_WORD_END = r"(?![\w-])"


class MetricNotFound(Exception):
    """The output has no metric. The message is the reason."""


def read_metric(text: str, name: str) -> float:
    """Return the metric `name` in `text`. Raise MetricNotFound."""
    for document in _parse_documents(text):
        value = _value_at(document, name)
        if value is not None:
            return _require_finite(value, name)
    start = _WORD_START if name[:1].isalnum() else ""
    end = _WORD_END if name[-1:].isalnum() else ""
    pattern = rf"{start}{re.escape(name)}{end}[\"']?\s*[:=]\s*({_VALUE})"
    numbers = re.findall(pattern, text, re.IGNORECASE)
    if not numbers:
        raise MetricNotFound(f"no '{name}' in the output")
    return _require_finite(float(numbers[-1]), name)


def parse_number(text: str) -> float | None:
    """Return the number in `text`, or None if it is not a finite number."""
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
    """Return the JSON document in the whole text or in its last line.

    Return a list, which is empty if there is no document: a document may be null.
    """
    lines = text.strip().rsplit("\n", 1)
    for candidate in dict.fromkeys((text, lines[-1])):
        try:
            return [json.loads(candidate)]
        except (ValueError, RecursionError):
            continue
    return []


def _value_at(document: Any, path: str) -> float | None:
    """Return the number at `path`, or None. Try the whole path as a key first: it may have dots."""
    number = _as_float(document.get(path)) if isinstance(document, dict) else None
    if number is not None:
        return number
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
    except OverflowError:  # the integer has more than 308 digits
        return _INFINITE
