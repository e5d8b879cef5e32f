"""The race of `eval --repeat auto`: repeat only the agents that may still be the best.

An agent leaves the race when it is significantly worse than the leader. The limit is corrected for
the comparisons of the race. This module has no side effects.
"""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.evaluation.ranking import location_of
from git_hub_session.evaluation.statistics import compare, pooled_deviation, scale

if TYPE_CHECKING:
    from git_hub_session.evaluation.ranking import Score

_FIRST_COMPARISON = 3
"""The number of rounds before the first comparison."""
COMPARISONS = 6
"""The correction for the comparisons of a race, of which there is one after each round.

In the simulation of the tests, equal agents are then told apart in fewer than 5 % of the races.
"""
DEFAULT_BUDGET = 12
"""The largest number of measurements of a race, for each agent."""


class Race(NamedTuple):
    """The rules of a race."""

    direction: str
    """The better direction, "lower" or "higher"."""
    budget: int = 0
    """The largest number of measurements, or 0 for DEFAULT_BUDGET for each agent."""

    def has_budget(self, agents: int, racing: int, done: int) -> bool:
        """Return True if another round may be measured.

        Args:
            agents: the number of agents at the start.
            racing: the number of agents in the round.
            done: the number of measurements so far.
        """
        return done + racing <= (self.budget or DEFAULT_BUDGET * agents)


def racing_agents(scores: Sequence[Score], racing: set[int], direction: str) -> set[int]:
    """Return the agents of `racing` that may still be the best.

    Args:
        scores: the scores of all agents that have values.
        racing: the agents that were measured in the last round.
    """
    sign = -1.0 if direction == "higher" else 1.0
    current = [score for score in scores if score.agent in racing]
    if len(current) < 2 or len(current[0].values) < _FIRST_COMPARISON:
        return {score.agent for score in current}
    scaled = scale([score.values for score in current])
    series = {score.agent: values for score, values in zip(current, scaled, strict=True)}
    pooled = pooled_deviation(scaled)
    location = location_of(series, sign)
    leader = min(series, key=lambda agent: (location[agent], agent))
    return {
        agent
        for agent, values in series.items()
        if agent == leader
        or not compare(
            series[leader], values, pooled, len(series), comparisons=COMPARISONS
        ).is_significant
    }
