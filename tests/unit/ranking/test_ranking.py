"""Agents are ranked by their measured values."""

from __future__ import annotations

import pytest

from git_hub_session.ranking.ranking import Score, rank_scores, ranks_from_list


def score(agent: int, *values: float, size: tuple[int, int] = (1, 1)) -> Score:
    """Return the score of an agent. `size` is the size of its diff: lines, then files."""
    return Score(agent, values, size)


def format_ranking(*scores: Score, direction: str = "lower") -> str:
    """Return the ranking as text, best agent first, with = for a tie: "2 1= 3="."""
    ranks = rank_scores(scores, direction)
    assert [rank.place for rank in ranks] == list(range(1, len(scores) + 1))
    return " ".join(f"{rank.agent}{'=' if rank.is_tie else ''}" for rank in ranks)


@pytest.mark.parametrize(
    ("scores", "lower", "higher"),
    [
        ((score(1, 3.0), score(2, 1.0), score(3, 2.0)), "2 3 1", "1 3 2"),
        ((score(1, -1.0), score(2, -2.0)), "2 1", "1 2"),
        # An agent without a value is last in both directions.
        ((score(2), score(1), score(3, 9.0)), "3 1 2", "3 1 2"),
        # Equal values are ordered by the smaller diff, fewer files, and the smaller number.
        ((score(1, 2.0, size=(5, 1)), score(2, 2.0, size=(4, 9))), "2= 1=", "2= 1="),
        ((score(1, 2.0, size=(5, 2)), score(2, 2.0, size=(5, 1))), "2= 1=", "2= 1="),
        ((score(2, 2.0), score(1, 2.0)), "1= 2=", "1= 2="),
        # Values tie if noise can explain the difference in the rounds of both agents.
        ((score(1, 10, 12, 11, size=(9, 9)), score(2, 11, 11, 12)), "2= 1=", "2= 1="),
        ((score(1, 10, 12, 11, size=(9, 9)), score(2, 14, 16, 15)), "1 2", "2 1"),
        # The differences of the rounds are equal, although all values differ.
        ((score(1, 10, 20, 15), score(2, 10.1, 20.2, 15.15)), "1 2", "2 1"),
        # In a tie with equal diffs, the better values are first.
        ((score(1, 11, 11, 12), score(2, 10, 12, 11)), "2= 1=", "1= 2="),
    ],
)
def test_rank_scores(scores: tuple[Score, ...], lower: str, higher: str) -> None:
    assert format_ranking(*scores) == lower
    assert format_ranking(*reversed(scores)) == lower
    assert format_ranking(*scores, direction="higher") == higher


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_does_not_tie_with_itself(value: float) -> None:
    """For NaN and infinity, the difference of equal values is NaN. The agent is last."""
    for direction in ("lower", "higher"):
        assert format_ranking(score(1, value), score(2, 1.0), direction=direction) == "2 1"
        assert format_ranking(score(1, 1.0, value), score(2), direction=direction) == "1 2"


def test_a_tie_is_not_transitive() -> None:
    """Agent 1 ties with agent 2 and agent 2 with agent 3, but agent 1 is better than agent 3."""
    first = score(1, 100, 102, 98, 101, 99, 100, 103, 97)
    second = score(2, 103, 101, 100, 100, 103, 98, 104, 101)
    third = score(3, 104, 106, 99, 106, 102, 105, 103, 103)
    assert format_ranking(first, second) == "1= 2="
    assert format_ranking(second, third) == "2= 3="
    assert format_ranking(first, second, third) == "1= 2= 3"


@pytest.mark.parametrize("outlier", [10.0, 1000.0])
def test_an_outlier_neither_decides_nor_makes_a_tie(outlier: float) -> None:
    first = (100.0, 101.0, 100.5, 99.5, 100.0, 100.2, 99.8, 100.4)
    second = tuple(value + 5 for value in first)
    disturbed = (*second[:3], outlier, *second[4:])
    assert format_ranking(score(1, *first), score(2, *second)) == "1 2"
    assert format_ranking(score(1, *first), score(2, *disturbed)) == "1 2"


def test_ties_name_the_missing_rounds() -> None:
    ranks = rank_scores([score(1, 10, 12, 11), score(2, 11, 11, 12), score(3, 30, 31, 32)], "lower")
    assert [(rank.agent, rank.tie) for rank in ranks] == [(1, 1), (2, 1), (3, 0)]
    assert ranks[0].missing_rounds is None
    assert (ranks[1].missing_rounds or 0) > 10


def test_ranking_of_16_agents_with_40_values_each() -> None:
    """Each value is in the result, and agents with equal values keep the order of their numbers."""
    scores = [
        score(agent, *(100 + agent + turn % 3 for turn in range(40))) for agent in range(16, 0, -1)
    ]
    assert [rank.agent for rank in rank_scores(scores, "lower")] == list(range(1, 17))


def test_metric_and_spread() -> None:
    assert (score(1, 5, 1, 3).metric, score(1, 5, 1, 3).spread) == (3, 4)
    assert (score(1, 5, 1, 3, 4).metric, score(1, 7).spread) == (3.5, 0)


def test_ranks_from_list() -> None:
    assert [(rank.agent, rank.place) for rank in ranks_from_list([3, 1, 2])] == [
        (3, 1),
        (1, 2),
        (2, 3),
    ]
