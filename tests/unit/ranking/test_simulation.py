"""The true best agent wins: simulated tournaments with the real ranking, and a fixed seed.

Each value has normal noise of 1.5 %. Each agent is 1 to 30 % worse than the best one, with the
logarithm of this gap equally distributed, so that most runners-up are close. All diffs have the
same size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import exp, log, pi, sin
from random import Random
from typing import NamedTuple

import pytest

from git_hub_session.ranking.race import COMPARISONS, Race, racing_agents
from git_hub_session.ranking.ranking import Rank, Score, rank_scores
from tests.support.interrupt import LONG

NOISE = 0.015
COUNT = 1000 if LONG else 100
"""The number of tournaments with a fixed number of repeats."""
RACES = 1000 if LONG else 50
"""The number of races, which take longer."""
EQUAL = 1000 if LONG else 200
"""The number of tournaments and races of equal agents: in 100, one result more is 1 %."""

Measure = Callable[[int, int], float]
"""A function of the agent and the round. Agent 1 is the best."""


class Outcome(NamedTuple):
    """The shares of the tournaments, and the mean number of measurements."""

    best_first: float
    tie_first: float
    measurements: float


def tournaments(count: int, agents: int, *, equal: bool, drift: float) -> Iterator[Measure]:
    """Yield the measurements of random tournaments. `drift` changes the values of all agents."""
    random = Random(f"{agents} {equal}")
    for _ in range(count):
        gaps = [0.0] + [
            0.0 if equal else exp(random.uniform(log(0.01), log(0.30))) for _ in range(agents - 1)
        ]

        def measure(agent: int, round_: int, gaps: list[float] = gaps) -> float:
            common = 1 + drift * sin(round_ * pi / 7)
            return 100 * (1 + gaps[agent - 1]) * common * (1 + random.gauss(0, NOISE))

        yield measure


def run_fixed(measure: Measure, agents: int, repeats: int) -> tuple[list[Rank], int]:
    """Measure all agents equally often. Return the ranks and the number of measurements."""
    values = {
        agent: tuple(measure(agent, round_) for round_ in range(repeats))
        for agent in range(1, agents + 1)
    }
    return rank_scores(scores_of(values), "lower"), agents * repeats


def run_race(measure: Measure, agents: int) -> tuple[list[Rank], int]:
    """Measure as `--repeat auto` does. Return the ranks and the number of measurements."""
    race = Race("lower")
    values: dict[int, tuple[float, ...]] = {agent: () for agent in range(1, agents + 1)}
    racing, done, round_ = set(values), 0, 0
    while len(racing) > 1 and race.has_budget(agents, len(racing), done):
        for agent in sorted(racing):
            values[agent] += (measure(agent, round_),)
        done += len(racing)
        round_ += 1
        racing = racing_agents(scores_of(values), racing, race.direction)
    return rank_scores(scores_of(values), "lower", comparisons=COMPARISONS), done


def scores_of(values: dict[int, tuple[float, ...]]) -> list[Score]:
    return [Score(agent, measured, (1, 1)) for agent, measured in values.items()]


def simulate(agents: int, repeats: int, *, equal: bool = False, drift: float = 0.0) -> Outcome:
    """Run many tournaments. `repeats` is 0 for a race."""
    count = EQUAL if equal else COUNT if repeats else RACES
    results = [
        run_fixed(measure, agents, repeats) if repeats else run_race(measure, agents)
        for measure in tournaments(count, agents, equal=equal, drift=drift)
    ]
    return Outcome(
        sum(ranks[0].agent == 1 for ranks, _ in results) / count,
        sum(ranks[0].is_tie for ranks, _ in results) / count,
        sum(done for _, done in results) / count,
    )


def test_ten_repeats_put_the_best_agent_first() -> None:
    assert simulate(8, 10).best_first >= 0.88


def test_more_repeats_do_not_make_the_ranking_worse() -> None:
    once, three, ten, twenty = (simulate(8, repeats).best_first for repeats in (1, 3, 10, 20))
    assert once < three < ten
    assert twenty >= 0.95


@pytest.mark.parametrize(
    ("agents", "drift", "share", "measurements"),
    [(8, 0.0, 0.97, 75), (8, 0.05, 0.94, 75), (16, 0.0, 0.93, 165)],
)
def test_a_race_finds_the_best_agent(
    agents: int, drift: float, share: float, measurements: float
) -> None:
    outcome = simulate(agents, 0, drift=drift)
    assert outcome.best_first >= share
    assert outcome.measurements <= measurements


@pytest.mark.parametrize("repeats", [3, 10, 0])
@pytest.mark.parametrize("agents", [2, 8])
def test_equal_agents_are_a_tie(agents: int, repeats: int) -> None:
    assert simulate(agents, repeats, equal=True).tie_first >= 0.95
