"""Rank agents by their measured values. This module has no side effects."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from git_hub_session._typing import NamedTuple
from git_hub_session.git.ref_names import agent_name
from git_hub_session.ranking.statistics import (
    Difference,
    compare,
    half_interval,
    median,
    paired,
    pooled_deviation,
    pseudomedian,
    scale,
)
from git_hub_session.util.numbers import difference

DIRECTIONS = ("lower", "higher")
_INFINITE = float("inf")


class Score(NamedTuple):
    """The measured values of one agent, or of one attempt if attempts are compared."""

    agent: int
    """The number of the agent or the attempt."""
    values: tuple[float, ...]
    """One value for each repetition; empty if the agent could not be measured."""
    size: tuple[int, int]
    """The size of the diff: added and deleted lines, then files."""

    @property
    def metric(self) -> float:
        """The median of the values."""
        return median(self.values)

    @property
    def spread(self) -> float:
        """The difference between the largest and the smallest value."""
        return difference(max(self.values), min(self.values))

    @property
    def interval(self) -> float | None:
        """Half of the width of the metric's confidence interval, or None for one value."""
        return half_interval(self.values)


class Rank(NamedTuple):
    """The rank of one agent."""

    agent: int
    place: int
    """1 is the best."""
    tie: int = 0
    """The first agent of the tie that the agent is in, or 0 if it is in none."""
    missing_rounds: int | None = None
    """The number of further rounds that are likely to end its tie with the best agent, or None."""

    @property
    def is_tie(self) -> bool:
        """True if the measurements cannot tell the agent apart from another one."""
        return self.tie > 0


def rank_scores(scores: Iterable[Score], direction: str, *, comparisons: int = 1) -> list[Rank]:
    """Return the ranks of the agents, the best first.

    Args:
        direction: "lower" or "higher".
        comparisons: the number of times that the scores have been compared (see race.py).

    An agent ties with the best remaining agent if noise can explain their difference. The smaller
    diff breaks a tie, then the better values, then the smaller number. Agents that could not be
    measured come last, by number.
    """
    scores = list(scores)
    measured = [score for score in scores if _is_measured(score)]
    ranks = [
        Rank(score.agent, place, tie, missing)
        for place, (score, tie, missing) in enumerate(
            _rank_measured(measured, direction, comparisons), 1
        )
    ]
    for score in sorted(scores, key=lambda score: score.agent):
        if not _is_measured(score):
            ranks.append(Rank(score.agent, len(ranks) + 1))
    return ranks


def _rank_measured(
    scores: Sequence[Score], direction: str, comparisons: int
) -> Iterator[tuple[Score, int, int | None]]:
    """Yield the scores, the best first, each with its tie and the rounds that may end the tie."""
    if not scores:
        return
    compared = ComparedScores(scores, direction, comparisons)
    remaining = compared.best_first
    while remaining:
        # Take the best score out before the comparison, so that each round ends with fewer scores.
        best, *others = remaining
        differences = {score.agent: compared.difference(best, score) for score in others}
        ties = [score for score in others if not differences[score.agent].is_significant]
        equal = sorted((best, *ties), key=lambda score: score.size)
        for score in equal:
            difference = differences.get(score.agent)
            tie = equal[0].agent if len(equal) > 1 else 0
            yield score, tie, difference.missing_rounds if difference else None
        remaining = [score for score in others if score not in ties]


class ComparedScores:
    """The scores of several agents, compared in the rounds that they share."""

    def __init__(self, scores: Sequence[Score], direction: str, comparisons: int) -> None:
        """Prepare the comparison of at least one score. See `rank_scores` for the arguments."""
        scaled = scale([score.values for score in scores])
        self._series = {score.agent: values for score, values in zip(scores, scaled, strict=True)}
        self._pooled = pooled_deviation(scaled)
        self._comparisons = comparisons
        sign = -1.0 if direction == "higher" else 1.0
        longest = max(scaled, key=len)
        location = {
            agent: sign * pseudomedian(paired(longest, values))
            for agent, values in self._series.items()
        }
        self.best_first = sorted(scores, key=lambda score: (location[score.agent], score.agent))
        """The scores, sorted as if there were no noise."""

    def difference(self, best: Score, other: Score) -> Difference:
        """Return the difference between two of the scores."""
        return compare(
            self._series[best.agent],
            self._series[other.agent],
            self._pooled,
            len(self._series),
            comparisons=self._comparisons,
        )


def _is_measured(score: Score) -> bool:
    """Return True if the score has values, and all of them are finite numbers.

    Neither infinity nor NaN ties with itself, and NaN has no place in an order.
    """
    return bool(score.values) and all(abs(value) < _INFINITE for value in score.values)


def describe_tie(ranks: Sequence[Rank], rounds: int) -> str:
    """Return a note that names the agents of a tie for the first place, or ''.

    A tie after one round needs no note: the values are equal.
    """
    if rounds < 2 or not ranks or not ranks[0].is_tie:
        return ""
    tied = [rank for rank in ranks if rank.tie == ranks[0].tie]
    *others, last = [agent_name(rank.agent) for rank in tied]
    names = " and ".join(filter(None, [", ".join(others), last]))
    missing = [rank.missing_rounds for rank in tied if rank.missing_rounds]
    more = f"; about {min(missing)} more are likely to be enough" if missing else ""
    return f"{rounds} repetitions cannot tell {names} apart{more}"


def rank_by_size(scores: Iterable[Score], passed: Collection[int]) -> list[Rank]:
    """Return the ranks of agents without a metric: the smallest diff first.

    Agents that are not in `passed` come last, by number.
    """
    ordered = sorted(
        scores,
        key=lambda score: (
            score.agent not in passed,
            score.size if score.agent in passed else (0, 0),
            score.agent,
        ),
    )
    return ranks_from_list([score.agent for score in ordered])


def ranks_from_list(agents: Sequence[int]) -> list[Rank]:
    """Return the ranks of a list of agents, the best first."""
    return [Rank(agent, place) for place, agent in enumerate(agents, start=1)]
