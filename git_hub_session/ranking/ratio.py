"""The ratio between a candidate and the base branch, measured in turns on one machine.

Values of two machines cannot be compared, but their ratios can. This module has no side effects.
"""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import NamedTuple
from git_hub_session.ranking.statistics import half_interval, median

NO_CHANGE = 1.0
"""The ratio of a candidate that is as good as the base branch."""
_INFINITE = float("inf")


class Ratio(NamedTuple):
    """The ratios of the rounds in which a candidate and the base branch were measured."""

    values: tuple[float, ...]

    @property
    def estimate(self) -> float:
        """The median of the ratios."""
        return median(self.values)

    @property
    def interval(self) -> float | None:
        """Half of the width of the confidence interval, or None for one value."""
        return half_interval(self.values)


def paired_ratio(values: Sequence[float], base_values: Sequence[float]) -> Ratio | None:
    """Return the ratios of the rounds that both series have.

    Return None if there is none, or if a value of the base is not positive: then a smaller ratio is
    not a smaller value.
    """
    pairs = [*zip(values, base_values, strict=False)]
    if not pairs or any(base <= 0 for _, base in pairs):
        return None
    ratios = tuple(value / base for value, base in pairs)
    return Ratio(ratios) if all(abs(ratio) < _INFINITE for ratio in ratios) else None
