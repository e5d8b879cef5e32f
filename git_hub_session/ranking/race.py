"""The race of `eval --repeat auto`: repeat only the agents that may still be the best.

An agent leaves the race when it is significantly worse than the leader. The limit is corrected for
the comparisons of the race. This module has no side effects.
"""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.ranking.ranking import ComparedScores

if TYPE_CHECKING:
    from git_hub_session.ranking.ranking import Score

_FIRST_COMPARISON = 3
"""The number of rounds before the first comparison."""
COMPARISONS = 6
"""The number of comparisons for which a race is corrected. It makes one after each round.

With it, fewer than 5 % of the simulated races of equal agents find a difference.
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
    current = [score for score in scores if score.agent in racing]
    if len(current) < 2 or len(current[0].values) < _FIRST_COMPARISON:
        return {score.agent for score in current}
    compared = ComparedScores(current, direction, COMPARISONS)
    leader, *others = compared.best_first
    losers = {score.agent for score in others if compared.difference(leader, score).is_significant}
    return {score.agent for score in current} - losers
