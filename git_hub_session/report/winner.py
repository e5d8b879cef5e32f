"""The winner of a session, and its result compared with the baseline."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.view import format_change
from git_hub_session.git.ref_names import AgentBranch
from git_hub_session.report.tables import STYLE
from git_hub_session.session.baseline import last_evaluation
from git_hub_session.util.numbers import format_number, format_values
from git_hub_session.util.text import describe_pass

if TYPE_CHECKING:
    from git_hub_session.session.model import AgentResult, Session


def find_winner(session: Session) -> AgentBranch | None:
    """Return the merged attempt, or the attempt with the first rank, or None."""
    best = session.merge or next(iter(session.ranking), None)
    return AgentBranch(session.id, best.agent, best.attempt) if best else None


def winner_result(session: Session) -> AgentResult | None:
    """Return the result of the winner in the last evaluation, or None."""
    winner = find_winner(session)
    for result in session.results:
        if winner and (result.agent, result.attempt) == (winner.agent, winner.attempt):
            return result
    return None


def change_percent(session: Session) -> float | None:
    """Return the change from the baseline to the winner's metric in percent, or None."""
    result = winner_result(session)
    baseline = last_evaluation(session).baseline_of(result) if result else None
    if result is None or result.metric is None or not baseline:
        return None
    percent = 100 * ((result.metric - baseline) / abs(baseline))
    return percent if abs(percent) < float("inf") else None


def describe_result(session: Session) -> str:
    """Return the result of the winner, such as "p50: 180 → 142 ms (−21.1 %)", or ''."""
    result = winner_result(session)
    if result is None or result.metric is None:
        return describe_pass(result.passed) if result else ""
    evaluation = last_evaluation(session)
    unit = f" {evaluation.unit}" if evaluation.unit else ""
    name = evaluation.metric or "metric"
    baseline = evaluation.baseline_of(result)
    if baseline is None:
        return f"{name}: {format_number(result.metric)}{unit}"
    old, new = format_values(baseline, result.metric)
    change = format_change(result.metric, baseline, STYLE)
    return f"{name}: {old} → {new}{unit}{change}"
