"""Find a metric in the output of an eval command. This module has no side effects.

The metric is the last value with its name in the output:

- a value at the path `name` (`p50`, `latency.p50`, `runs[0].p50`) in a JSON document. The document
  may be the whole output, one of several documents, or between other lines.
- text after the name and a sign: `p50: 12.5 ms`, `p50=12.5`, `"p50": 12.5`.
- a number after the name at the start of a line: `real 0m1.234s`.

With a regular expression, the metric is the group of its last match. If the last value is not a
number, there is no metric: an earlier number is not used. quantity.py defines numbers and units.
"""

from __future__ import annotations

import json
import re

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import UsageError
from git_hub_session.metric.quantity import (
    LARGEST,
    Quantity,
    is_not_zero,
    parse_leading_quantity,
    parse_quantity,
)
from git_hub_session.util.numbers import parse_int
from git_hub_session.util.text import remove_escape_sequences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from git_hub_session._typing import Any

# If the name starts or ends with a letter or a digit, do not find it inside a longer name.
_WORD_START = r"(?<![\w.-])"
_WORD_END = r"(?![\w-])"
_SIGN = r"[ \t]*[:=]=?>?[ \t]*"
# Without a sign, the name starts the line and the value looks like a number. `step 3: ok` is text.
_NUMBER_FOLLOWS = r"[ \t]+(?=[+\u2212-]?\.?[0-9]\S*(?<![:=])(?:[ \t]|$))"
_DOCUMENT_START = re.compile(r"\{(?=\s*[\"}])|^[ \t]*\[", re.MULTILINE)
_MAX_FAILED = 16 << 20  # characters: limit the time for text that only looks like JSON
_ERROR_COST = 100  # json counts the lines before an error: 100 times as fast as it parses them
_MAX_VALUE = 200  # characters of a line after the name
_MAX_QUOTE = 60
_MAX_PATTERN = 1_000  # characters of a regular expression
_MAX_LINE = 10_000  # characters of a line that a regular expression searches
_ELLIPSIS = "..."
_MISSING = object()


class MetricNotFound(Exception):
    """The output has no metric. The message is the reason."""


class _Occurrence(NamedTuple):
    """A value of the metric in the output."""

    quantity: Quantity | None
    """None if the value is not a number."""
    source: str
    """The line or the JSON value, for the message."""


def parse_metric_regex(text: str) -> re.Pattern[str]:
    """Return the pattern of `--metric-regex`. Raise UsageError if it cannot be used."""
    if len(text) > _MAX_PATTERN:
        raise UsageError(f"the regular expression is longer than {_MAX_PATTERN} characters")
    try:
        pattern = re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(f"not a regular expression: '{text}' ({error})") from None
    if not pattern.groups:
        raise UsageError(
            f"no group in the regular expression: '{text}'",
            hint="put the number in parentheses, such as 'p50 ([0-9.]+ms)'",
        )
    return pattern


def read_metric(text: str, name: str, regex: str = "") -> Quantity:
    """Return the last metric `name` in `text`, or the last match of `regex`.

    A regular expression can be slow: the caller has to limit the time.

    Raises:
        MetricNotFound: the output has no metric, or its last value is not a number.
    """
    text = _normalize_output(text)
    if regex:
        match = _find_last_match(text, parse_metric_regex(regex))
        if match is None:
            raise MetricNotFound(f"no match for '{regex}' in the output")
        return _require_number(match, name)
    occurrence, end = _find_in_documents(text, name)
    occurrence = _find_in_text(text, name, end) or occurrence
    if occurrence is None:
        raise MetricNotFound(f"no '{name}' in the output")
    return _require_number(occurrence, name)


def _normalize_output(text: str) -> str:
    """Return the text without escape sequences, with a line feed at the end of each line."""
    text = remove_escape_sequences(text)
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _require_number(occurrence: _Occurrence, name: str) -> Quantity:
    quantity = occurrence.quantity
    if quantity is None:
        raise MetricNotFound(f"'{name}' is not a number: '{occurrence.source}'")
    if not abs(quantity.value) <= LARGEST:
        raise MetricNotFound(f"'{name}' is {quantity.value}")
    return quantity


def _find_last_match(text: str, pattern: re.Pattern[str]) -> _Occurrence | None:
    """Return the first group of the last match. Search the start of each line."""
    last = None
    for line in text.split("\n"):
        for match in pattern.finditer(line[:_MAX_LINE]):
            last = match
    if last is None:
        return None
    return _Occurrence(parse_quantity((last[1] or "")[:_MAX_LINE]), _quote(last.string))


def _find_in_documents(text: str, name: str) -> tuple[_Occurrence | None, int]:
    """Return the value in the last JSON document that has one, and the end of the document."""
    occurrence, last_end = None, 0
    for document, end in parse_documents(text):
        value = _value_at(document, name)
        if value is not _MISSING:
            occurrence = _Occurrence(_as_quantity(value), _quote(json.dumps(value)))
            last_end = end
    return occurrence, last_end


def parse_documents(text: str) -> Iterator[tuple[Any, int]]:
    """Yield each JSON object and array in the text with its end. Arrays start a line."""
    # An integer may have more digits than `int` accepts.
    decoder = json.JSONDecoder(parse_int=float, parse_float=_parse_float)
    position = failed = 0
    while failed <= _MAX_FAILED:
        match = _DOCUMENT_START.search(text, position)
        if match is None:
            return
        start = match.end() - 1
        try:
            document, position = decoder.raw_decode(text, start)
        except json.JSONDecodeError as error:
            position = start + 1
            failed += error.pos - start + error.pos // _ERROR_COST + 1
            continue
        except RecursionError:
            return
        yield document, position


def _parse_float(text: str) -> float | str:
    """Return the number, or the text of a number that is too small for a float."""
    value = float(text)
    return value if value or not is_not_zero(text) else text


def _value_at(document: Any, path: str) -> Any:
    """Return the value at `path`, or _MISSING. Try the whole path as a key: it may have dots."""
    if isinstance(document, dict) and not isinstance(document.get(path, {}), dict | list):
        return document[path]
    keys = re.findall(r"[^.\[\]]+", path)
    if not keys:
        return _MISSING
    for key in keys:
        if isinstance(document, dict):
            document = document.get(key, _MISSING)
        elif isinstance(document, list):
            index = parse_int(key, len(document) - 1)
            document = _MISSING if index is None else document[index]
        else:
            return _MISSING
    return document


def _as_quantity(value: Any) -> Quantity | None:
    """Return the quantity of a JSON value: a number, or a text that spells one."""
    if isinstance(value, str):
        return parse_quantity(value) if len(value) <= _MAX_VALUE else None
    return Quantity(value) if isinstance(value, float) else None


def _find_in_text(text: str, name: str, position: int) -> _Occurrence | None:
    """Return the last value after the name in the text from `position` on."""
    start = _WORD_START if name[:1].isalnum() else ""
    end = _WORD_END if name[-1:].isalnum() else ""
    word = rf"{start}{re.escape(name)}{end}[\"']?"
    pattern = rf"{word}{_SIGN}|^[ \t]*{word}{_NUMBER_FOLLOWS}"
    last = None
    for match in re.compile(pattern, re.IGNORECASE | re.MULTILINE).finditer(text, position):
        last = match
    if last is None:
        return None
    value = text[last.end() : last.end() + _MAX_VALUE].partition("\n")[0]
    if len(value) == _MAX_VALUE:
        value += _ELLIPSIS  # a number that reaches the limit is not whole
    line_start = text.rfind("\n", 0, last.start() + 1) + 1
    if last.start() - line_start > _MAX_QUOTE // 2:
        line_start = last.start()
    line = text[line_start : line_start + _MAX_VALUE].partition("\n")[0]
    return _Occurrence(parse_leading_quantity(value.lstrip("\"'")), _quote(line))


def _quote(text: str) -> str:
    text = text.strip()
    return text if len(text) <= _MAX_QUOTE else text[: _MAX_QUOTE - len(_ELLIPSIS)] + _ELLIPSIS
