"""Record the result of an evaluation in state.json."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.errors import Refused
from git_hub_session.git.ref_names import HEADS
from git_hub_session.session.record import with_evaluation, with_transition
from git_hub_session.session.state import State
from git_hub_session.util.clock import format_iso

if TYPE_CHECKING:
    from git_hub_session.evaluation.evaluate import EvalOptions, EvalResult, RankedCandidate
    from git_hub_session.session.project import Project
    from git_hub_session.session.store import LockedSession


def record_result(
    result: EvalResult, locked: LockedSession, project: Project, options: EvalOptions
) -> EvalResult:
    """Write the result into state.json, which may have changed during the evaluation."""
    session = locked.read()
    if session.state not in (State.RUNNING, State.EVALUATING):
        raise Refused(f"session '{session.id}' became '{session.state}' during the evaluation")
    candidates = [ranked.candidate for ranked in result.candidates]
    moved = [
        f"the branch of {candidate.name} moved during the evaluation"
        for candidate in candidates
        if project.repo.tip(candidate.branch.ref) != candidate.commit
    ]
    at = format_iso(project.now())
    base = project.repo.tip(HEADS + session.config.base_branch)
    evaluation = {"at": at, "base": base, **_evaluation_fields(result, options)}
    results = {
        ranked.candidate.name: _result_fields(ranked)
        for ranked in result.candidates
        if ranked.candidate.commit
    }
    evaluated = with_evaluation(session, evaluation, results, at=at)
    if session.state is State.RUNNING:
        evaluated = with_transition(
            evaluated, State.EVALUATING, at=at, by=project.identity, verb="eval"
        )
    locked.save(evaluated)
    notes = (*result.notes, *moved)
    return result._replace(session=session, state=evaluated.state, notes=notes)


def _evaluation_fields(result: EvalResult, options: EvalOptions) -> dict[str, Any]:
    """Return the common fields of measured results in state.json."""
    if result.metric_command is None:
        return {}
    fields: dict[str, Any] = {
        "run": result.run,
        "command": result.metric_command.command,
        "metric": result.metric_command.metric,
        "direction": options.direction,
        "baseline": result.baseline,
    }
    if result.metric_command.metric_regex:
        fields["metric_regex"] = result.metric_command.metric_regex
    if result.baseline_spread is not None:
        fields["baseline_spread"] = result.baseline_spread
    if result.unit:
        fields["unit"] = result.unit
    return fields


def _result_fields(ranked: RankedCandidate) -> dict[str, Any]:
    """Return the fields of a candidate's result in state.json."""
    candidate = ranked.candidate
    score = ranked.score if ranked.score and ranked.score.values else None
    fields: dict[str, Any] = {
        "rank": ranked.rank.place if ranked.rank else None,
        "attempt": candidate.branch.attempt,
        "commit": candidate.commit,
        "metric": score.metric if score else None,
        "tie": ranked.rank.is_tie if ranked.rank else False,
        "reason": ranked.reason,
    }
    if score:
        fields |= {"values": list(score.values), "spread": score.spread, "delta": ranked.delta}
    if candidate.diff:
        fields |= candidate.diff._asdict()
    return fields
