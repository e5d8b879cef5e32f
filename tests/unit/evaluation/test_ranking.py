"""Agents are ranked by their measured values."""

from __future__ import annotations

import pytest

from git_hub_session.evaluation.ranking import Score, rank_scores, ranks_from_list


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
        # Values tie within the spread of the repeated measurements of one agent.
        ((score(1, 10, 12, 11, size=(9, 9)), score(2, 13.0)), "2= 1=", "2= 1="),
        ((score(1, 10, 12, 11, size=(9, 9)), score(2, 13.5)), "1 2", "2 1"),
        # A tie is not transitive: 1 ties with 2 and 2 with 3, but 1 is better than 3.
        ((score(1, 10, 11, 12), score(2, 12, 13, 14), score(3, 14, 15, 16)), "1= 2= 3", "2= 3= 1"),
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


def test_the_ranking_ends_if_no_score_ties_with_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("git_hub_session.evaluation.ranking._is_tie", lambda best, other: False)
    assert format_ranking(score(1, 2.0), score(2, 1.0), score(3, 2.0)) == "2 1 3"


def test_metric_and_spread() -> None:
    assert (score(1, 5, 1, 3).metric, score(1, 5, 1, 3).spread) == (3, 4)
    assert (score(1, 5, 1, 3, 4).metric, score(1, 7).spread) == (3.5, 0)


def test_ranks_from_list() -> None:
    assert [(rank.agent, rank.place) for rank in ranks_from_list([3, 1, 2])] == [
        (3, 1),
        (1, 2),
        (2, 3),
    ]
