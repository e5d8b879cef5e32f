"""Rank agents by their measured values. This module has no side effects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from git_hub_session._typing import NamedTuple

DIRECTIONS = ("lower", "higher")
_INFINITE = float("inf")


class Score(NamedTuple):
    """The measured values of one agent."""

    agent: int
    values: tuple[float, ...]
    """One value for each repetition; empty if the agent could not be measured."""
    size: tuple[int, int]
    """The size of the diff: added and deleted lines, then files."""

    @property
    def metric(self) -> float:
        """The median of the values."""
        middle = len(self.values) // 2
        values = sorted(self.values)
        return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2

    @property
    def spread(self) -> float:
        """The difference between the largest and the smallest value."""
        return max(self.values) - min(self.values)


class Rank(NamedTuple):
    """The rank of one agent."""

    agent: int
    place: int
    """1 is the best."""
    is_tie: bool
    """True if the measurements do not separate the agent from another one."""


def rank_scores(scores: Iterable[Score], direction: str) -> list[Rank]:
    """Return the ranks of the agents, the best first. `direction` is "lower" or "higher".

    An agent ties with the best remaining agent if their metrics differ by no more than the larger
    spread of the two. The smaller diff breaks a tie, then the smaller number. Agents that could
    not be measured come last, by number.
    """
    scores = list(scores)
    sign = -1 if direction == "higher" else 1
    measured = [score for score in scores if _is_measured(score)]
    measured.sort(key=lambda score: sign * score.metric)
    agents: list[tuple[int, bool]] = []
    while measured:
        # Take the best score out before the comparison, so that each round ends with fewer scores.
        best, *others = measured
        ties = [score for score in others if _is_tie(best, score)]
        equal = sorted((best, *ties), key=lambda score: (score.size, score.agent))
        agents += [(score.agent, len(equal) > 1) for score in equal]
        measured = [score for score in others if score not in ties]
    agents += sorted((score.agent, False) for score in scores if not _is_measured(score))
    return [Rank(agent, place, is_tie) for place, (agent, is_tie) in enumerate(agents, start=1)]


def _is_measured(score: Score) -> bool:
    """Return True if the score has values, and all of them are finite numbers.

    Neither infinity nor NaN ties with itself, and NaN has no place in an order.
    """
    return bool(score.values) and all(abs(value) < _INFINITE for value in score.values)


def _is_tie(best: Score, other: Score) -> bool:
    return abs(best.metric - other.metric) <= max(best.spread, other.spread)


def ranks_from_list(agents: Sequence[int]) -> list[Rank]:
    """Return the ranks of `agents`, which the user listed with the best first."""
    return [Rank(agent, place, is_tie=False) for place, agent in enumerate(agents, start=1)]
