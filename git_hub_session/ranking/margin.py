"""The margin by which an agent has to differ from the baseline.

This module has no side effects.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.ranking.statistics import (
    MAX_VALUE,
    compare,
    deviation,
    median,
    paired,
    pooled_deviation,
    scale,
)

if TYPE_CHECKING:
    from git_hub_session.ranking.ranking import Score

# A margin has to be a finite number.
_MAX_LOGARITHM = 50.0
MAX_MARGIN = 1e300


def baseline_margins(
    scores: Sequence[Score], baseline: float, baseline_values: Sequence[float], direction: str
) -> dict[int, float]:
    """Return the smallest significant difference from the baseline, by agent number.

    It is 0.0 for agents that were measured once, because their noise is unknown. With more values, it
    is smaller.

    Args:
        scores: the scores of the agents. Those without values are left out.
        baseline_values: the values of the same rounds, or () if the baseline is a given number.
        direction: "lower" or "higher".
    """
    measured = [score for score in scores if score.values]
    rounds = max((len(score.values) for score in measured), default=0)
    unscaled = [baseline_values or (baseline,) * rounds, *(score.values for score in measured)]
    is_ratio = all(value > 0 for values in unscaled for value in values)
    limits = _significant_differences(scale(unscaled), is_baseline_measured=bool(baseline_values))
    return {
        score.agent: min(
            _to_difference(limit, baseline, direction) if is_ratio else limit, MAX_MARGIN
        )
        for score, limit in zip(measured, limits, strict=True)
    }


def _significant_differences(
    series: Sequence[Sequence[float]], *, is_baseline_measured: bool
) -> list[float]:
    """Return the smallest significant difference of each series to the first one, the baseline.

    Args:
        is_baseline_measured: False if the baseline is a given number without noise.
    """
    reference, *others = series
    if not others:
        return []
    if any(abs(value) > MAX_VALUE for values in series for value in values):
        return [MAX_MARGIN for _ in others]
    if is_baseline_measured:
        pooled = pooled_deviation(series)
    else:
        pooled = median([deviation(paired(reference, values)) for values in others])
    # The winner is the best of all agents, so correct for a comparison of each of them.
    differences = [
        compare(reference, values, pooled, len(series), comparisons=len(others))
        for values in others
    ]
    return [difference.limit * difference.error for difference in differences]


def _to_difference(limit: float, baseline: float, direction: str) -> float:
    """Return the difference from the baseline whose logarithm is as large as `limit`."""
    limit = min(limit, _MAX_LOGARITHM)
    return baseline * (exp(limit) - 1 if direction == "higher" else 1 - exp(-limit))
