"""Requirements: conditions for a metric that each run must meet, such as `errors==0`.

This module has no side effects.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from git_hub_session._typing import NamedTuple
from git_hub_session.errors import UsageError
from git_hub_session.metric.quantity import Quantity, convert_quantity, parse_finite_quantity
from git_hub_session.util.numbers import format_values

_MAX_REQUIREMENTS = 20  # limit the time: config.yaml may have come with the repository
_pattern = re.compile(r"(\S.*?)\s*(==|!=|<=|>=|<|>)\s*(.*)")


class Requirement(NamedTuple):
    """A metric and the condition that its value must meet."""

    name: str
    """The name of the metric."""
    operator: str
    """One of ==, !=, <, <=, > and >=."""
    limit: Quantity
    text: str
    """The requirement as the user wrote it, such as "p99<250ms"."""

    def describe_failure(self, quantity: Quantity) -> str:
        """Return the reason that the value does not meet the requirement, or '' if it does.

        A limit without a unit is in the unit of the value.
        """
        limit = self.limit
        value = convert_quantity(quantity, limit.unit) if limit.unit else quantity.value
        if value is not None and self._holds(value):
            return ""
        shown = format_values(quantity.value, limit.value)[0]
        found = f"{shown} {quantity.unit}".rstrip()
        if value is None:
            found += ", in another unit" if quantity.unit else ", without a unit"
        return f"'{self.name}' is {found} (required: {self.text})"

    def _holds(self, value: float) -> bool:
        limit = self.limit.value
        return {
            "==": value == limit,
            "!=": value != limit,
            "<": value < limit,
            "<=": value <= limit,
            ">": value > limit,
            ">=": value >= limit,
        }[self.operator]


def parse_requirements(texts: Iterable[str]) -> tuple[Requirement, ...]:
    """Return the requirements, each once, or raise UsageError."""
    requirements = tuple(dict.fromkeys(map(_parse_requirement, texts)))
    if len(requirements) > _MAX_REQUIREMENTS:
        raise UsageError(f"more than {_MAX_REQUIREMENTS} requirements")
    return requirements


def _parse_requirement(text: str) -> Requirement:
    text = text.strip()
    match = _pattern.fullmatch(text)
    limit = parse_finite_quantity(match[3]) if match else None
    if match is None or limit is None:
        raise UsageError(
            f"not a requirement: '{text}'",
            hint="give a metric, a comparison and a number, such as 'errors==0'",
        )
    return Requirement(match[1], match[2], limit, text)
