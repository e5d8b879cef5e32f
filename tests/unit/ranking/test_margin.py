"""The margin to the baseline, with noise from a fixed seed."""

from __future__ import annotations

from random import Random

import pytest

from git_hub_session.ranking.margin import baseline_margins
from git_hub_session.ranking.ranking import Score

NOISE = 0.015


def scores(generator: Random, agents: int, rounds: int, value: float = 100.0) -> list[Score]:
    """Return the scores of equal agents."""
    return [
        Score(agent, noisy_values(generator, rounds, value), (0, 0))
        for agent in range(1, agents + 1)
    ]


def noisy_values(generator: Random, rounds: int, value: float) -> tuple[float, ...]:
    return tuple(value * (1 + generator.gauss(0, NOISE)) for _ in range(rounds))


def largest_margin(rounds: int, *, agents: int = 8, is_measured: bool = False) -> float:
    generator = Random(rounds)
    baseline = noisy_values(generator, rounds, 100.0) if is_measured else ()
    return max(
        baseline_margins(scores(generator, agents, rounds), 100.0, baseline, "lower").values()
    )


@pytest.mark.parametrize("is_measured", [False, True])
def test_more_rounds_need_a_smaller_difference(is_measured: bool) -> None:
    margins = [largest_margin(rounds, is_measured=is_measured) for rounds in (5, 10, 20, 40)]
    assert margins == sorted(margins, reverse=True)
    assert margins[-1] < margins[0] / 3


@pytest.mark.parametrize("is_measured", [False, True])
def test_equal_agents_rarely_improve(is_measured: bool) -> None:
    """In at least 95 % of the evaluations, no agent that is equal to the baseline is better."""
    generator = Random(7)
    wrong = 0
    for _ in range(200):
        baseline = noisy_values(generator, 10, 100.0) if is_measured else ()
        value = Score(0, baseline, (0, 0)).metric if is_measured else 100.0
        agents = scores(generator, 8, 10)
        margins = baseline_margins(agents, value, baseline, "lower")
        wrong += any(value - score.metric > margins[score.agent] for score in agents)
    assert wrong <= 10


@pytest.mark.parametrize(("direction", "value"), [("lower", 95.0), ("higher", 106.0)])
def test_better_agents_improve(direction: str, value: float) -> None:
    """A difference of 5 % is found by ten rounds with 1.5 % noise."""
    generator = Random(3)
    for _ in range(100):
        [score] = scores(generator, 1, 10, value)
        margins = baseline_margins([score], 100.0, (), direction)
        assert abs(100.0 - score.metric) > margins[1]


def test_one_round_has_no_margin() -> None:
    assert baseline_margins([Score(1, (5.0,), (0, 0)), Score(2, (), (0, 0))], 6.0, (), "lower") == {
        1: 0.0
    }
    assert baseline_margins([Score(2, (), (0, 0))], 6.0, (), "lower") == {}


@pytest.mark.parametrize(
    ("values", "baseline", "direction"),
    [
        ((1e-300, 1e300), 1e290, "higher"),
        ((1e-300, 1e300), 1e290, "lower"),
        ((-1e300, 1e300), 1e300, "lower"),
        ((-5.0, 5.0), 0.0, "higher"),
        ((0.0, 0.0), 0.0, "lower"),
    ],
)
def test_extreme_values_have_a_finite_margin(
    values: tuple[float, ...], baseline: float, direction: str
) -> None:
    [margin] = baseline_margins([Score(1, values, (0, 0))], baseline, (), direction).values()
    assert 0 <= margin <= 1e300
