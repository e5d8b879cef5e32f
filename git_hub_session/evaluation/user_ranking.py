"""Record the ranking of a person, and keep the measured values."""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import NoBranch, NotRanked
from git_hub_session.evaluation.candidates import (
    INCLUDE_FAILED_HINT,
    describe_failures,
    refuse_off_branch,
)
from git_hub_session.evaluation.record import record_result
from git_hub_session.evaluation.result import EvalOptions, EvalResult, RankedCandidate, Verdict
from git_hub_session.git.ref_names import agent_name
from git_hub_session.ranking.ranking import Score, ranks_from_list
from git_hub_session.session.baseline import last_evaluation
from git_hub_session.worktree.uncommitted import no_commit_error

if TYPE_CHECKING:
    from git_hub_session.evaluation.candidates import Candidate
    from git_hub_session.session.model import AgentResult, Session
    from git_hub_session.session.project import Project
    from git_hub_session.session.store import LockedSession


def record_user_ranking(
    session: Session,
    locked: LockedSession,
    candidates: Sequence[Candidate],
    project: Project,
    options: EvalOptions,
) -> EvalResult:
    """Record the user's ranking, and keep all measured values.

    Agents that are not in the ranking get no rank.
    """
    by_agent = {candidate.branch.agent: candidate for candidate in candidates}
    for number in options.ranking:
        if number not in by_agent or not by_agent[number].commit:
            if number in by_agent:
                refuse_off_branch(by_agent[number])
            raise NoBranch(
                f"{agent_name(number)} has no branch", hint=f"git hub-session status {session.id}"
            )
    ranking = [by_agent[number] for number in options.ranking]
    failed = [candidate for candidate in ranking if candidate.is_left_out]
    if failed:
        hint = INCLUDE_FAILED_HINT.format(session.id)
        raise NotRanked(f"cannot rank {describe_failures(failed)}", hint=hint)
    _refuse_rank_without_commit(session, ranking)
    result = list_recorded(session, ranking)
    by_rank = zip(ranks_from_list(options.ranking), result.candidates, strict=True)
    result = result._replace(
        candidates=tuple(ranked._replace(rank=rank) for rank, ranked in by_rank),
        verdict=Verdict(tuple(options.ranking), options.message),
    )
    return record_result(result, locked, project, options)


def list_recorded(session: Session, candidates: Sequence[Candidate]) -> EvalResult:
    """Return the unranked candidates with the values that an earlier evaluation recorded."""
    recorded = {result.agent: result for result in session.results}
    evaluation = last_evaluation(session)
    return EvalResult(
        session,
        session.state,
        tuple(
            _with_recorded_values(RankedCandidate(each), recorded.get(each.branch.agent))
            for each in candidates
        ),
        baseline=evaluation.baseline,
        unit=evaluation.unit,
    )


def _with_recorded_values(ranked: RankedCandidate, recorded: AgentResult | None) -> RankedCandidate:
    """Return the candidate with the values of its commit that an earlier evaluation measured."""
    candidate = ranked.candidate
    if recorded is None or recorded.commit != candidate.commit:
        return ranked
    ranked = ranked._replace(passed=recorded.passed)
    if not recorded.values:
        return ranked
    score = Score(candidate.branch.agent, recorded.values, candidate.size)
    return ranked._replace(score=score, delta=recorded.delta)


def _refuse_rank_without_commit(session: Session, ranking: Sequence[Candidate]) -> None:
    """Raise Refused if an agent without a commit of its own on its branch ranks too high.

    Such an agent must not be the first, and must not come before an agent with a commit.
    """
    for index, candidate in enumerate(ranking):
        if candidate.is_eligible:
            continue
        if index == 0 or any(other.is_eligible for other in ranking[index:]):
            refuse_off_branch(candidate)
            agents = {candidate.branch.agent: candidate.uncommitted}
            raise no_commit_error(session.id, agents, is_every_agent=False)
