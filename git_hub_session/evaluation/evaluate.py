"""Measure the attempts of each agent and rank the agents, or record the user's ranking.

The session lock is held while the run is planned and while the results are recorded, but not while
commands run. A run that is killed changes nothing in the session.
"""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.evaluation.candidates import Candidate
from git_hub_session.evaluation.eval_worktrees import EvalWorktrees
from git_hub_session.evaluation.guard import FixedPaths, mark_changed_by_attributes
from git_hub_session.evaluation.in_place import leftover_file_notes
from git_hub_session.evaluation.judge import judge_candidates
from git_hub_session.evaluation.measure import MetricRunner, propose_time_limit
from git_hub_session.evaluation.merged_commit import baseline_commit
from git_hub_session.evaluation.missing import (
    find_uncommitted,
    refuse_incomplete,
    uncommitted_notes,
)
from git_hub_session.evaluation.prepare import (
    candidate_notes,
    prepare_candidates,
    refuse_if_busy,
)
from git_hub_session.evaluation.rank import rank_candidates
from git_hub_session.evaluation.record import record_result
from git_hub_session.evaluation.result import EvalOptions, EvalResult, RankedCandidate
from git_hub_session.evaluation.targets import prepare_targets
from git_hub_session.evaluation.user_ranking import list_recorded, record_user_ranking
from git_hub_session.git.ref_names import SessionId
from git_hub_session.session import runs
from git_hub_session.session.agent_environment import variable_warnings
from git_hub_session.session.agents import base_now
from git_hub_session.session.evaluation_log import check_log
from git_hub_session.temporary.objects import NewObjects

if TYPE_CHECKING:
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project


def preview_evaluation(sid: SessionId, project: Project, options: EvalOptions) -> EvalResult:
    """Return the candidates that `evaluate_session` would measure."""
    session = project.store.read(sid)
    with NewObjects(project.git) as objects:
        candidates, fixed_paths = prepare_candidates(
            session, project, options, objects, dry_run=True
        )
    unranked = _list_unranked(candidates)
    baseline = options.baseline.value if options.baseline else None
    result = EvalResult(session, session.state, unranked, options.metric_command, baseline)
    return result._replace(guard=fixed_paths.names, holdout=fixed_paths.holdout.names)


def evaluate_session(sid: SessionId, project: Project, options: EvalOptions) -> EvalResult:
    """Measure and rank the agents, record the result, and set the state to `evaluating`.

    Without an eval command and without a ranking, change nothing and return unranked candidates.

    Raises:
        Refused: the state, a running agent or another evaluation forbids it.
        CannotWriteLog, GitFailed, LockHeld: nothing was recorded.
    """
    with NewObjects(project.git) as objects:
        return _evaluate(sid, project, options, objects)


def _evaluate(
    sid: SessionId, project: Project, options: EvalOptions, objects: NewObjects
) -> EvalResult:
    """Evaluate the session. git cannot delete the merges to measure before `objects` is closed."""
    with project.store.lock_session(sid) as locked:
        session = locked.read()
        # Read the base branch first. If it moves after this, `merge` refuses the result.
        base = base_now(session, project.repo)
        is_judged = bool(options.ranking) or options.judge is not None
        is_ranked = is_judged or options.metric_command is not None
        if is_ranked:  # An agent that still runs can commit its files.
            refuse_if_busy(session, locked, force=options.force)
        candidates, fixed_paths = prepare_candidates(
            session, project, options, objects, dry_run=False
        )
        if not is_ranked:
            return EvalResult(session, session.state, _list_unranked(candidates))
        if options.ranking:
            return record_user_ranking(session, locked, candidates, project, options)
        check_log(locked.directory)
        run = runs.start_run(locked.directory, runs.EVAL)
        worktrees = EvalWorktrees(session, project, fixed_paths)
        task_file = locked.ensure_task_file(session)
        started = _StartedRun(session, fixed_paths, run, worktrees, task_file, objects)
        worktrees.remove_all()
    with run, worktrees:
        if options.metric_command is None:
            result = list_recorded(session, candidates)._replace(run=run.name)
        else:
            result = _measure(started, candidates, project, options)
        result = result._replace(base=base)
        if options.judge:
            worktrees.remove_all()  # the worktrees have the holdout files
            result = judge_candidates(result, options.judge, project, run, started.task_file)
        with project.store.lock_session(sid) as locked:
            return record_result(result, locked, project, options)


class _StartedRun(NamedTuple):
    """The run of an evaluation, with the data that it needs."""

    session: Session
    fixed_paths: FixedPaths
    run: runs.Run
    worktrees: EvalWorktrees
    task_file: str
    """The path of the file with the task."""
    objects: NewObjects


def _measure(
    started: _StartedRun, candidates: Sequence[Candidate], project: Project, options: EvalOptions
) -> EvalResult:
    """Measure the candidates, and rank them."""
    session, fixed_paths, run, worktrees, task_file, objects = started
    metric_command = options.metric_command
    assert metric_command is not None
    has_baseline = options.measure_baseline
    baseline = baseline_commit(session, project, objects) if has_baseline else ""
    targets = prepare_targets(
        session, candidates, project, worktrees, task_file=task_file, baseline=baseline
    )
    restored = {each.name: each.worktree.restored for each in targets if each.worktree}
    candidates = mark_changed_by_attributes(candidates, restored, fixed_paths, project.repo)
    runner = MetricRunner(targets, metric_command, run, project)
    measurements = runner.measure()
    uncommitted = find_uncommitted(metric_command.command, measurements, targets, project)
    if not options.in_place:
        refuse_incomplete(measurements, run.path, uncommitted)
    result = rank_candidates(session, candidates, measurements, run, options)
    notes = (
        *variable_warnings(session, [target.environ for target in targets]),
        *candidate_notes(candidates, fixed_paths, session, project),
        *runner.notes,
        *leftover_file_notes(candidates, project),
        *uncommitted_notes(uncommitted),
        *result.notes,
    )
    return result._replace(
        notes=notes,
        uncommitted=() if options.in_place else uncommitted,
        guard=fixed_paths.names,
        holdout=fixed_paths.holdout.names,
        holdout_digest=worktrees.holdout_digest,
        time_limit=propose_time_limit(runner.longest_run),
    )


def _list_unranked(candidates: Sequence[Candidate]) -> tuple[RankedCandidate, ...]:
    return tuple(RankedCandidate(candidate) for candidate in candidates)
