"""Record the result of an evaluation in state.json and in the log of all evaluations."""

from __future__ import annotations

from functools import partial

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.errors import ChangedMeanwhile
from git_hub_session.evaluation.result import Verdict
from git_hub_session.git.ref_names import HEADS, agent_name
from git_hub_session.session.baseline import last_evaluation
from git_hub_session.session.evaluation_log import EvaluationEntry, append_evaluation
from git_hub_session.session.record import with_evaluation, with_transition, with_verdict
from git_hub_session.session.state import State
from git_hub_session.util.clock import format_iso
from git_hub_session.util.json_values import as_mapping
from git_hub_session.util.machine import machine_fields

if TYPE_CHECKING:
    from git_hub_session.evaluation.result import (
        EvalOptions,
        EvalResult,
        PairedResult,
        RankedCandidate,
    )
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project
    from git_hub_session.session.store import LockedSession


def record_result(
    result: EvalResult, locked: LockedSession, project: Project, options: EvalOptions
) -> EvalResult:
    """Write the result into the log and into state.json, which may have changed in the meantime.

    Write the log first, so that it has each evaluation that state.json has ever had.
    """
    session = locked.read()
    if session.state not in (State.RUNNING, State.EVALUATING):
        raise ChangedMeanwhile(
            f"session '{session.id}' became '{session.state}' during the evaluation"
        )
    candidates = [ranked.candidate for ranked in result.candidates]
    moved = [
        f"the branch of {candidate.name} moved during the evaluation"
        for candidate in candidates
        if project.repo.tip(candidate.branch.ref) != candidate.commit
    ]
    branch = session.config.base_branch
    tip = project.repo.tip(HEADS + branch)
    if tip and result.base not in ("", tip):
        moved.append(f"'{branch}' moved during the evaluation")
    with_result = partial(_with_result, result=result, project=project, options=options)
    append_evaluation(locked.directory, _log_entries(with_result(session), result, project))
    evaluated = locked.update(with_result)
    notes = (*result.notes, *moved)
    return result._replace(session=session, state=evaluated.state, notes=notes)


def _lost_results(session: Session, result: EvalResult) -> dict[str, dict[str, Any]]:
    """Return the result of each agent without a branch: its last commit, and no rank."""
    lost = {}
    for candidate in (ranked.candidate for ranked in result.candidates if ranked.is_counted):
        recorded = as_mapping(session.agent_fields(candidate.agent).get("result"))
        if not candidate.commit and recorded.get("commit"):
            kept = {key: recorded[key] for key in ("attempt", "commit") if key in recorded}
            reason = candidate.unmeasured_reason
            lost[candidate.agent] = {"rank": None, "metric": None, "reason": reason, **kept}
    return lost


def _with_result(
    session: Session, result: EvalResult, project: Project, options: EvalOptions
) -> Session:
    at = format_iso(project.now())
    base = result.base or project.repo.tip(HEADS + session.config.base_branch)
    is_measured = result.metric_command is not None
    results = {
        ranked.candidate.agent: _result_fields(ranked, project.repo, is_measured=is_measured)
        for ranked in result.candidates
        if ranked.candidate.commit and ranked.is_counted
    }
    results |= _lost_results(session, result)
    common = {"at": at, "base": base}
    evaluation = {**common, **_evaluation_fields(result, options)}
    if result.verdict is not None:
        evaluation["verdict"] = _verdict_fields(result.verdict, at=at, by=project.identity)
    add = with_evaluation if is_measured else with_verdict
    evaluated = add(session, evaluation, results, at=at)
    if session.state is not State.RUNNING:
        return evaluated
    return with_transition(evaluated, State.EVALUATING, at=at, by=project.identity, verb="eval")


def _verdict_fields(verdict: Verdict, *, at: str, by: str) -> dict[str, Any]:
    """Return the fields of a verdict in state.json."""
    fields: dict[str, Any] = {
        "at": at,
        "by": by,
        "ranking": [agent_name(number) for number in verdict.ranking],
        "text": verdict.text,
    }
    if verdict.judge:
        fields["judge"] = verdict.judge
    if verdict.improves is not None:
        fields["improves"] = verdict.improves
    return fields


def _log_entries(evaluated: Session, result: EvalResult, project: Project) -> list[EvaluationEntry]:
    """Return the entries of the log for the recorded result."""
    evaluation = last_evaluation(evaluated)
    verdict = result.verdict or Verdict((), "")
    trees = {result.agent: result.tree for result in evaluated.results}
    entries = []
    for ranked in result.candidates:
        candidate = ranked.candidate
        score = ranked.score if ranked.score and ranked.score.values else None
        entries.append(
            EvaluationEntry(
                at=evaluated.updated,
                by=project.identity,
                run=result.run,
                agent=candidate.branch.agent,
                attempt=candidate.branch.attempt,
                commit=candidate.commit,
                tree=trees.get(candidate.branch.agent, "")
                if ranked.is_counted
                else _tree(ranked, project.repo),
                base=evaluated.evaluated_base,
                metric=evaluation.metric if score or result.metric_command else "",
                unit=result.unit,
                value=score.metric if score else None,
                values=score.values if score else (),
                baseline=ranked.pair.baseline if ranked.pair else result.baseline,
                delta=ranked.delta,
                rank=ranked.rank.place if ranked.rank else None,
                tie=ranked.rank.is_tie if ranked.rank else False,
                reason=ranked.unranked_reason,
                verdict=verdict.text,
                passed=ranked.passed,
                judge=verdict.judge,
                improves=verdict.improves,
                **_pair_values(ranked.pair),
            )
        )
    return entries


def _evaluation_fields(result: EvalResult, options: EvalOptions) -> dict[str, Any]:
    """Return the common fields of measured results in state.json."""
    if result.metric_command is None:
        return {}
    fields: dict[str, Any] = {
        "run": result.run,
        "command": result.metric_command.command,
        "metric": result.metric_command.metric or None,
        "direction": options.direction or None,
        "baseline": result.baseline,
    }
    if result.metric_command.metric_regex:
        fields["metric_regex"] = result.metric_command.metric_regex
    if result.metric_command.requirements:
        fields["require"] = [each.text for each in result.metric_command.requirements]
    if result.baseline_failure:
        fields["baseline_failure"] = result.baseline_failure
    if options.in_place:
        fields["in_place"] = True
    if result.by_ratio:
        fields["by_ratio"] = True
    if result.baseline_spread is not None:
        fields["baseline_spread"] = result.baseline_spread
    if result.time_limit:
        fields["time_limit"] = result.time_limit
    if result.unit:
        fields["unit"] = result.unit
    if result.guard:
        fields["guard"] = list(result.guard)
    if result.holdout:
        fields["holdout"] = {"paths": list(result.holdout), "sha256": result.holdout_digest}
    return fields


def _tree(ranked: RankedCandidate, repo: GitRepo) -> str:
    """Return the object id of the measured tree, or ''."""
    commit = ranked.candidate.measured_commit
    return ranked.pair.tree if ranked.pair else repo.tree_id(commit).hex() if commit else ""


def _pair_values(pair: PairedResult | None) -> dict[str, Any]:
    """Return the fields of an EvaluationEntry with the base branch beside a candidate."""
    if pair is None:
        return {}
    ratio = pair.ratio.estimate if pair.ratio else None
    return {"ratio": ratio, "base_values": pair.base_values, "machine": pair.machine}


def _pair_fields(pair: PairedResult) -> dict[str, Any]:
    """Return the fields of a result in state.json with the base branch beside a candidate."""
    values = _pair_values(pair)
    lists = {"baseline": pair.baseline, "base_values": list(pair.base_values)}
    return {**values, **lists, "machine": machine_fields(pair.machine)}


def _result_fields(ranked: RankedCandidate, repo: GitRepo, *, is_measured: bool) -> dict[str, Any]:
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
    if ranked.margin is not None:
        fields["margin"] = ranked.margin
    if ranked.passed is not None:
        fields["passed"] = ranked.passed
    if candidate.diff:
        fields |= candidate.diff._asdict()
    if is_measured and not candidate.unmeasured_reason:
        fields["tree"] = _tree(ranked, repo)
    if ranked.pair:
        fields |= _pair_fields(ranked.pair)
    if candidate.is_earlier:
        fields["last_attempt"] = candidate.last_attempt
    if candidate.guarded:
        fields["guarded"] = list(candidate.guarded)
    return fields
