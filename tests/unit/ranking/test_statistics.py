"""Robust estimates of paired differences."""

from __future__ import annotations

import math
from random import Random

import pytest

from git_hub_session.ranking.statistics import (
    compare,
    deviation,
    half_interval,
    median,
    pooled_deviation,
    pseudomedian,
    scale,
)


def test_locations() -> None:
    assert (median([3, 1, 2]), median([4, 1, 2, 3])) == (2, 2.5)
    assert pseudomedian([5.0]) == 5.0
    assert pseudomedian([1, 2, 3, 4, 5]) == 3
    assert pseudomedian([1, 2, 3, 4, 500]) == 3


def test_deviation_of_few_values_is_the_usual_one() -> None:
    assert deviation([7.0]) == 0.0
    assert deviation([1, 3]) == pytest.approx(math.sqrt(2))
    assert deviation([2, 4, 4, 6]) == pytest.approx(math.sqrt(8 / 3))


def test_deviation_of_normal_noise_hardly_changes_with_an_outlier() -> None:
    random = Random(1)
    values = [random.gauss(10, 2) for _ in range(400)]
    assert deviation(values) == pytest.approx(2, rel=0.1)
    assert deviation([*values, 1e9]) == pytest.approx(deviation(values), rel=0.02)


def test_positive_values_are_compared_by_their_ratio() -> None:
    [first], [second] = scale([[10.0], [20.0]])
    assert second - first == pytest.approx(math.log(2))
    assert scale([[10.0], [-20.0], [0.0]]) == [[10.0], [-20.0], [0.0]]


@pytest.mark.parametrize(
    ("rounds", "limit"), [(2, 15.895), (3, 4.849), (4, 3.482), (5, 2.999), (21, 2.359)]
)
def test_limits_of_two_agents_are_those_of_student(rounds: int, limit: float) -> None:
    """From six rounds on, Qn has half of the degrees of freedom."""
    values = [float(number) for number in range(rounds)]
    assert compare(values, values, 0.0, 2).limit == pytest.approx(limit, rel=0.03)
    assert compare(values, values, 0.0, 2, comparisons=10).limit > 1.3 * limit


def test_a_common_drift_is_no_noise() -> None:
    first = [10.0, 15.0, 12.0, 19.0, 11.0, 14.0]
    second = [value + 0.1 for value in first]
    difference = compare(first, second, pooled_deviation([first, second]), 2)
    assert difference.estimate == pytest.approx(0.1)
    assert difference.is_significant
    assert difference.rounds == 6


def test_one_round_tells_nothing_about_the_noise() -> None:
    assert compare([1.0], [2.0], 0.0, 3).is_significant
    assert not compare([1.0], [1.0], 0.0, 3).is_significant


def test_missing_rounds() -> None:
    """The error falls with the square root of the number of rounds."""
    first, second = [0.0] * 4, [0.0, 2.0, 0.0, 2.0]
    difference = compare(first, second, 0.0, 2)
    assert not difference.is_significant
    needed = (difference.limit * difference.error) ** 2 * 4
    assert difference.missing_rounds == math.ceil(needed) - 4
    assert compare(first, first, 0.0, 2).missing_rounds is None


def test_interval_contains_the_median() -> None:
    """In about 96 % of the series of any length. One outlier does not make it much wider."""
    random = Random(1)
    for count in (2, 3, 5, 10, 20):
        misses = 0
        for _ in range(500):
            half = half_interval(values := [random.gauss(50, 2) for _ in range(count)])
            assert half is not None
            misses += abs(median(values) - 50) > half
        assert misses <= 45, count
    values = [50 + random.gauss(0, 1) for _ in range(11)]
    narrow, wide = half_interval(values), half_interval([*values[1:], 1000])
    assert narrow is not None and wide is not None and narrow < wide < 2 * narrow
    assert [half_interval(series) for series in ([1.0], [], [1e200, 1], [5, 5, 5])] == [
        *(None, None, None, 0),
    ]
