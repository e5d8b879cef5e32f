"""Read the values of a JSON file that another program may have written.

A value of the wrong type counts as missing.
"""

from __future__ import annotations

from collections.abc import Mapping

from git_hub_session._typing import Any
from git_hub_session.util.numbers import MAX_COUNT

# An integer in JSON can be larger than any float. A larger metric counts as missing.
_MAX_METRIC = 1e300
_MAX_VALUES = 1_000  # the largest number of repetitions


def as_mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def as_number(value: object) -> float | None:
    """Return a number of a JSON file, or None if it is missing or too large."""
    if not isinstance(value, int | float) or isinstance(value, bool) or abs(value) > _MAX_METRIC:
        return None
    return float(value)


def as_numbers(value: object) -> tuple[float, ...]:
    """Return the valid numbers in a list of a JSON file."""
    numbers = map(as_number, value[:_MAX_VALUES]) if isinstance(value, list) else ()
    return tuple(number for number in numbers if number is not None)


def as_count(value: object) -> int:
    """Return a positive number such as an attempt or a rank, or 0 for any other value."""
    return value if type(value) is int and 0 < value <= MAX_COUNT else 0


def as_text(value: object) -> str:
    """Return a text of a JSON file, or '' for any other value."""
    return value if isinstance(value, str) else ""


def as_texts(value: object) -> tuple[str, ...]:
    """Return the texts of a list, without ''."""
    return tuple(filter(None, map(as_text, value))) if isinstance(value, list) else ()
