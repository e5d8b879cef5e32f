"""Robust estimates of the difference between two series of paired values.

In one round all agents are measured under the same conditions. So values of the same round are
compared: a load that changes from round to round affects both. This module has no side effects.

Sources: Hodges and Lehmann, "Estimates of location based on rank tests" (1963) for the estimate;
Rousseeuw and Croux, "Alternatives to the Median Absolute Deviation" (1993) for Qn, the noise; and
Student's t for the limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, exp, log, pi, sqrt, tan

from git_hub_session._typing import NamedTuple
from git_hub_session.util.numbers import midpoint

_QN_FACTOR = 2.2219
"""The factor that makes Qn the standard deviation of normal noise."""
_QN_MINIMUM = 6
"""The smallest number of values for Qn."""
_MAX_POOL_WEIGHT = 12
"""The largest weight of the noise of all agents, as a number of rounds of two agents."""
_PSEUDOMEDIAN_VARIANCE = 1.06
"""The variance of the pseudomedian of normal noise, as a multiple of that of the mean."""
_SIGNIFICANCE = 0.04
"""The probability that a difference between equal agents counts as significant."""
MAX_VALUE = 1e150
"""The largest value for an estimate of the noise: its square is a finite number."""


class Difference(NamedTuple):
    """The difference between two series of values."""

    estimate: float
    error: float
    """The standard error of the estimate, or 0.0 if the noise is unknown."""
    rounds: int
    limit: float
    """The smallest multiple of the error that is significant."""

    @property
    def is_significant(self) -> bool:
        """True if noise is an unlikely cause of the difference."""
        return abs(self.estimate) > self.limit * self.error

    @property
    def missing_rounds(self) -> int | None:
        """The number of further rounds that are likely to make it significant, or None."""
        if not self.estimate:
            return None
        factor = (self.limit * self.error / self.estimate) ** 2
        return max(ceil(self.rounds * factor) - self.rounds, 1)


def median(values: Sequence[float]) -> float:
    """Return the median of at least one value."""
    middle = len(values) // 2
    ordered = sorted(values)
    return ordered[middle] if len(ordered) % 2 else midpoint(ordered[middle - 1], ordered[middle])


def pseudomedian(values: Sequence[float]) -> float:
    """Return the median of the means of all pairs of values.

    It is nearly as precise as the mean, and an outlier hardly changes it.
    """
    means = [
        (first + second) / 2 for index, first in enumerate(values) for second in values[index:]
    ]
    return median(means)


def deviation(values: Sequence[float]) -> float:
    """Return the standard deviation of the values, without the influence of outliers.

    The estimate is Qn. With fewer than six values no estimate is robust, so use the usual one.
    """
    count = len(values)
    if max(values) == min(values):
        return 0.0  # the sum below is not exact
    if count < _QN_MINIMUM:
        mean = sum(values) / count
        return sqrt(sum((value - mean) ** 2 for value in values) / max(count - 1, 1))
    half = count // 2 + 1
    distances = sorted(
        abs(value - other) for index, value in enumerate(values) for other in values[:index]
    )
    correction = count / (count + (1.4 if count % 2 else 3.8))
    return _QN_FACTOR * correction * distances[half * (half - 1) // 2 - 1]


def half_interval(values: Sequence[float]) -> float | None:
    """Return half of the width of the confidence interval of the pseudomedian.

    Return None for fewer than two values, or if a value is too large. In 96 % of all cases, the
    interval contains the value that many more repetitions would give.
    """
    count = len(values)
    if count < 2 or any(abs(value) > MAX_VALUE for value in values):
        return None
    freedom = _own_freedom(count)
    return _limit(freedom, 1) * sqrt(_PSEUDOMEDIAN_VARIANCE / count) * deviation(values)


def scale(series: Sequence[Sequence[float]]) -> list[list[float]]:
    """Return the logarithms if all values are positive, otherwise the values.

    Noise usually grows with the value. The difference of two logarithms does not.
    """
    if all(value > 0 for values in series for value in values):
        return [[log(value) for value in values] for values in series]
    return [list(values) for values in series]


def paired(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """Return the differences in the rounds that both series have."""
    return [other - value for value, other in zip(first, second, strict=False)]


def pooled_deviation(series: Sequence[Sequence[float]]) -> float:
    """Return the typical deviation of the paired differences of two agents."""
    neighbors = zip(series, [*series[1:], series[0]], strict=True)
    return median([deviation(paired(first, second)) for first, second in neighbors])


def compare(
    first: Sequence[float],
    second: Sequence[float],
    pooled: float,
    agents: int,
    *,
    comparisons: int = 1,
) -> Difference:
    """Return by how much `second` is larger than `first`.

    Args:
        pooled: the typical deviation of the paired differences. With few rounds it is more reliable
            than that of two agents.
        agents: the number of agents that `pooled` is from.
        comparisons: the number of comparisons of these agents, for which the limit is corrected.
    """
    differences = paired(first, second)
    rounds = len(differences)
    if rounds < 2:
        return Difference(pseudomedian(differences), 0.0, rounds, 0.0)
    own_weight = _own_freedom(rounds)
    pool_weight = min((agents - 2) * own_weight, _MAX_POOL_WEIGHT)
    weight = pool_weight + own_weight
    variance = (pool_weight * pooled**2 + own_weight * deviation(differences) ** 2) / weight
    error = sqrt(_PSEUDOMEDIAN_VARIANCE * variance / rounds)
    return Difference(pseudomedian(differences), error, rounds, _limit(weight, comparisons))


def _own_freedom(count: int) -> int:
    """Return the degrees of freedom of the deviation of one series.

    Qn is less precise than the usual estimate. Fewer degrees of freedom account for that.
    """
    return count - 1 if count < _QN_MINIMUM else (count - 1) // 2


def _limit(freedom: int, comparisons: int) -> float:
    """Return the two-sided limit of Student's t, corrected for the number of comparisons.

    The formulas for one and two degrees of freedom are exact. The others are from Gaver and
    Kafadar, "A Retrievable Recipe for Inverse t" (1984).
    """
    significance = _SIGNIFICANCE / comparisons
    if freedom == 1:
        return 1 / tan(pi * significance / 2)
    if freedom == 2:
        return (1 - significance) * sqrt(2 / (significance * (2 - significance)))
    exponent = _normal_limit(significance) ** 2 * (freedom - 1.5) / (freedom - 1) ** 2
    return sqrt(freedom * (exp(exponent) - 1))


def _normal_limit(significance: float) -> float:
    """Return the two-sided limit of the normal distribution (Abramowitz and Stegun, 26.2.23)."""
    tail = sqrt(-2 * log(significance / 2))
    above = 2.515517 + tail * (0.802853 + tail * 0.010328)
    return tail - above / (1 + tail * (1.432788 + tail * (0.189269 + tail * 0.001308)))
