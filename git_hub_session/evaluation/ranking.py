"""Who is best: measured values to ranks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from git_hub_session._typing import NamedTuple

DIRECTIONS = ("lower", "higher")
_INFINITE = float("inf")


class Score(NamedTuple):
    """What was measured of one agent."""

    agent: int
    values: tuple[float, ...]
    """One for each repeat; none where it could not be measured."""
    size: tuple[int, int]
    """Of its diff: lines added and deleted, and files."""

    @property
    def metric(self) -> float:
        """The median of the values; of an even number of them the mean of the two in the middle."""
        middle = len(self.values) // 2
        values = sorted(self.values)
        return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2

    @property
    def spread(self) -> float:
        """How far apart the values are."""
        return max(self.values) - min(self.values)


class Rank(NamedTuple):
    """The place of one agent."""

    agent: int
    place: int
    """1 is the best."""
    is_tie: bool
    """Whether its neighbours are as good, as far as can be told; the smaller diff goes first."""


def rank_scores(scores: Iterable[Score], direction: str) -> list[Rank]:
    """The agents by their metric, `lower` or `higher` first; those without one last, by number.

    Who is within the spread of the repeats of the best that is left ties with it. A tie is
    broken by the size of the diff, then by number.
    """
    scores = list(scores)
    sign = -1 if direction == "higher" else 1
    measured = sorted(
        (one for one in scores if _is_measured(one)), key=lambda one: sign * one.metric
    )
    places: list[tuple[int, bool]] = []
    while measured:
        # Take the best score out before the comparison: every round then ends with fewer scores.
        best, *others = measured
        ties = [one for one in others if _is_tie(best, one)]
        equal = sorted((best, *ties), key=lambda one: (one.size, one.agent))
        places += [(one.agent, len(equal) > 1) for one in equal]
        measured = [one for one in others if one not in ties]
    places += sorted((one.agent, False) for one in scores if not _is_measured(one))
    return [Rank(agent, place, tie) for place, (agent, tie) in enumerate(places, start=1)]


def _is_measured(score: Score) -> bool:
    """Return True if the score has values, and all of them are finite numbers.

    Neither infinity nor NaN ties with itself, and NaN has no place in an order.
    """
    return bool(score.values) and all(abs(value) < _INFINITE for value in score.values)


def _is_tie(best: Score, other: Score) -> bool:
    return abs(best.metric - other.metric) <= max(best.spread, other.spread)


def ranks_from_list(agents: Sequence[int]) -> list[Rank]:
    """The places that a judge gave, the best first."""
    return [Rank(agent, place, is_tie=False) for place, agent in enumerate(agents, start=1)]
