"""Measure the last commit of each agent and rank the agents, or record the user's ranking.

The session lock is held while the run is planned and while the results are recorded, but not while
commands run. A run that is killed changes nothing in the session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import Refused
from git_hub_session.evaluation.candidates import (
    Candidate,
    find_candidates,
    leftover_file_notes,
    refuse_unmeasurable,
)
from git_hub_session.evaluation.checkouts import EvalCheckouts
from git_hub_session.evaluation.guard import Guard, choose_guard, mark_guarded, mark_hidden
from git_hub_session.evaluation.measure import MetricRunner
from git_hub_session.evaluation.merged_commit import conflict_notes, with_merged_commits
from git_hub_session.evaluation.missing import refuse_incomplete
from git_hub_session.evaluation.record import record_result
from git_hub_session.evaluation.result import EvalOptions, EvalResult, RankedCandidate
from git_hub_session.evaluation.targets import prepare_targets
from git_hub_session.evaluation.units import (
    BASELINE,
    ComparedMeasurements,
    Measurement,
    convert_to_one_unit,
)
from git_hub_session.evaluation.user_ranking import record_user_ranking
from git_hub_session.git.ref_names import SessionId
from git_hub_session.ranking.margin import baseline_margins
from git_hub_session.ranking.race import COMPARISONS
from git_hub_session.ranking.ranking import (
    Rank,
    Score,
    describe_tie,
    rank_scores,
)
from git_hub_session.session import runs
from git_hub_session.session.agents import base_now, running_agents
from git_hub_session.session.evaluation_log import check_log

if TYPE_CHECKING:
    from git_hub_session.evaluation.targets import MeasureTarget
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project
    from git_hub_session.session.store import LockedSession


def preview_evaluation(sid: SessionId, project: Project, options: EvalOptions) -> EvalResult:
    """Return the candidates that `evaluate_session` would measure."""
    session = project.store.read(sid)
    candidates, guard = _find_candidates(session, project, options, dry_run=True)
    unranked = _list_unranked(candidates)
    baseline = options.baseline.value if options.baseline else None
    result = EvalResult(session, session.state, unranked, options.metric_command, baseline)
    return result._replace(guard=guard.names)


def evaluate_session(sid: SessionId, project: Project, options: EvalOptions) -> EvalResult:
    """Measure and rank the agents, record the result, and set the state to `evaluating`.

    Without an eval command and without a ranking, change nothing and return unranked candidates.

    Raises:
        Refused: the state, a running agent or another evaluation forbids it.
        CannotWriteLog, GitFailed, LockHeld: nothing was recorded.
    """
    with project.store.lock_session(sid) as locked:
        session = locked.read()
        # Read the base branch first. If it moves after this, `merge` refuses the result.
        base = base_now(session, project.repo)
        candidates, guard = _find_candidates(session, project, options, dry_run=False)
        if options.metric_command is None and not options.ranking:
            return EvalResult(session, session.state, _list_unranked(candidates))
        _refuse_if_busy(session, locked, force=options.force)
        if options.metric_command is None:
            return record_user_ranking(session, locked, candidates, project, options)
        check_log(locked.directory)
        task_file = locked.ensure_task_file(session)
        run = runs.start_run(locked.directory, runs.EVAL)
        checkouts = EvalCheckouts(sid, project, guard)
        checkouts.remove_all()
    with run, checkouts:
        targets = prepare_targets(
            session,
            candidates,
            project,
            checkouts,
            task_file=task_file,
            with_baseline=options.measure_baseline,
        )
        restored = {each.name: each.checkout.restored for each in targets if each.checkout}
        candidates = mark_hidden(candidates, restored, guard, project.repo)
        result = _measure(session, candidates, project, targets, run=run, options=options)
        notes = (*_candidate_notes(candidates, guard, session), *result.notes)
        result = result._replace(notes=notes, guard=guard.names, base=base)
        with project.store.lock_session(sid) as locked:
            return record_result(result, locked, project, options)


def _measure(
    session: Session,
    candidates: Sequence[Candidate],
    project: Project,
    targets: Sequence[MeasureTarget],
    *,
    run: runs.Run,
    options: EvalOptions,
) -> EvalResult:
    """Measure the targets, and rank the candidates."""
    metric_command = options.metric_command
    assert metric_command is not None
    run_count = len(targets) * (metric_command.warmup + metric_command.repeat)
    show_progress = project.progress("Measuring", run_count)
    runner = MetricRunner(targets, metric_command, run, project, show_progress)
    measurements = runner.measure()
    if not options.in_place:
        refuse_incomplete(measurements, run.path)
    result = _rank_candidates(session, candidates, measurements, run, options)
    left = leftover_file_notes(candidates, project)
    return result._replace(notes=(*runner.notes, *left, *result.notes))


def _find_candidates(
    session: Session, project: Project, options: EvalOptions, *, dry_run: bool
) -> tuple[list[Candidate], Guard]:
    """Return the candidates, and the guarded paths. Raise Refused if none can be measured."""
    candidates = find_candidates(
        session, project, in_place=options.in_place, include_failed=options.include_failed
    )
    metric_command = options.metric_command
    if metric_command:
        candidates = with_merged_commits(candidates, session, project, dry_run=dry_run)
    command = metric_command.command if metric_command else session.config.get("eval_cmd")
    guard = choose_guard(session, project, options.guard, command)
    candidates = mark_guarded(candidates, guard, session, project.repo)
    refuse_unmeasurable(session, candidates)
    return candidates, guard


def _candidate_notes(candidates: Sequence[Candidate], guard: Guard, session: Session) -> list[str]:
    """Return the notes about conflicts, and about files that only the eval command guards."""
    mergeable = [candidate for candidate in candidates if not candidate.merge_problem]
    changed = {path for candidate in mergeable for path in candidate.guarded}
    return conflict_notes(candidates, session) + [
        f"'{path}' was measured as in the base branch, because the eval command names it"
        " (use --no-guard to measure the agents' own)"
        for path in sorted(changed)
        if guard.is_default
    ]


def _list_unranked(candidates: Sequence[Candidate]) -> tuple[RankedCandidate, ...]:
    return tuple(RankedCandidate(candidate) for candidate in candidates)


def _refuse_if_busy(session: Session, locked: LockedSession, *, force: bool) -> None:
    running = running_agents(session, locked.directory)
    if running and not force:
        raise Refused(
            f"{next(iter(running))} is still running", hint="wait for it to end, or use --force"
        )
    if runs.active_runs(locked.directory, runs.EVAL):
        raise Refused(
            f"session '{session.id}' is being evaluated",
            hint="wait for the evaluation to end, or stop it",
        )


def _rank_candidates(
    session: Session,
    candidates: Sequence[Candidate],
    measurements: Mapping[str, Measurement],
    run: runs.Run,
    options: EvalOptions,
) -> EvalResult:
    notes = []
    if options.in_place and BASELINE in measurements:
        notes.append("the baseline was measured in a temporary worktree")
    compared = convert_to_one_unit(measurements, options.baseline)
    measurements = compared.measurements
    baseline, spread, note = _choose_baseline(compared, options)
    notes += [note] if note else []
    unranked = {}
    for candidate in candidates:
        unmeasured = Measurement((), candidate.unmeasured_reason)
        measurement = measurements.get(candidate.name, unmeasured)
        score = Score(candidate.branch.agent, measurement.values, candidate.size)
        delta = score.metric - baseline if score.values and baseline is not None else None
        log = f"{run.path}/{candidate.name}.log" if candidate.name in measurements else ""
        unranked[candidate.branch.agent] = RankedCandidate(
            candidate, None, score, measurement.reason, delta, log
        )
    ranks, tie_notes = _rank(list(unranked.values()), options)
    unranked = _with_margins(unranked, compared, baseline, options)
    ranked = [unranked.pop(rank.agent)._replace(rank=rank) for rank in ranks]
    return EvalResult(
        session,
        session.state,
        (*ranked, *unranked.values()),
        options.metric_command,
        baseline,
        spread,
        run.name,
        (*notes, *tie_notes),
        compared.unit,
    )


def _choose_baseline(
    compared: ComparedMeasurements, options: EvalOptions
) -> tuple[float | None, float | None, str]:
    """Return the baseline and its spread in the unit of all values, and a warning or ''."""
    measured = compared.measurements.get(BASELINE)
    if measured is not None:
        score = Score(0, measured.values, (0, 0))
        if score.values:
            return score.metric, score.spread, ""
        return None, None, f"the baseline could not be measured: {measured.reason}"
    if options.baseline is None:
        return None, None, ""
    # A number without a unit is in the agents' unit, unless they have used several.
    if compared.is_converted and not options.baseline.unit:
        return None, None, f"the baseline {options.baseline.value:.12g} has no unit"
    return options.baseline.value, None, ""


def _with_margins(
    candidates: dict[int, RankedCandidate],
    compared: ComparedMeasurements,
    baseline: float | None,
    options: EvalOptions,
) -> dict[int, RankedCandidate]:
    """Return the candidates, by agent, with their margins to the baseline."""
    if baseline is None:
        return candidates
    scores = [ranked.score for ranked in candidates.values() if ranked.score]
    values = compared.measurements.get(BASELINE, Measurement()).values
    margins = baseline_margins(scores, baseline, values, options.direction)
    return {
        agent: ranked._replace(margin=margins.get(agent)) for agent, ranked in candidates.items()
    }


def _rank(
    candidates: Sequence[RankedCandidate], options: EvalOptions
) -> tuple[list[Rank], list[str]]:
    """Return the ranks, and a note if the first agents tie.

    Agents without an own commit, and those on another branch, come last, by number. An agent that
    failed, or that cannot be measured in place, has no rank.
    """
    candidates = [ranked for ranked in candidates if not ranked.candidate.is_left_out]
    scores = [
        ranked.score
        for ranked in candidates
        if ranked.candidate.is_eligible
        and not ranked.candidate.not_in_place_reason
        and ranked.score
    ]
    race = options.metric_command.race if options.metric_command else None
    ranks = rank_scores(scores, options.direction, comparisons=COMPARISONS if race else 1)
    note = describe_tie(ranks, max((len(score.values) for score in scores), default=0))
    others = [
        ranked.candidate.branch.agent for ranked in candidates if not ranked.candidate.is_eligible
    ]
    ranks += [Rank(agent, place) for place, agent in enumerate(others, len(ranks) + 1)]
    return ranks, [note] if note else []
