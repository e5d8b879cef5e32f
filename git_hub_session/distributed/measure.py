"""Measure the attempts of one agent and the base branch in turns, on this machine.

The result is not a ranking. It is in the log of evaluations, marked as a part of an evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.evaluation.candidates import Candidate
from git_hub_session.evaluation.eval_worktrees import EvalWorktrees
from git_hub_session.evaluation.measure import MetricRunner
from git_hub_session.evaluation.merged_commit import baseline_commit
from git_hub_session.evaluation.missing import find_uncommitted, refuse_incomplete
from git_hub_session.evaluation.prepare import prepare_candidates
from git_hub_session.evaluation.targets import prepare_targets
from git_hub_session.evaluation.units import BASELINE, Measurement, convert_to_one_unit
from git_hub_session.ranking.ratio import paired_ratio
from git_hub_session.ranking.statistics import median
from git_hub_session.session import runs
from git_hub_session.session.agents import refuse_if_evaluated
from git_hub_session.session.evaluation_log import EvaluationEntry, append_evaluation
from git_hub_session.system.machine import read_machine
from git_hub_session.temporary.objects import NewObjects
from git_hub_session.util.clock import format_iso
from git_hub_session.util.numbers import difference

if TYPE_CHECKING:
    from git_hub_session.distributed.key import MeasureOptions
    from git_hub_session.evaluation.result import EvalOptions
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project


def measure_agent(
    session: Session,
    project: Project,
    options: MeasureOptions,
    agent: int,
    on_wait: Callable[[], float | None],
) -> list[EvaluationEntry]:
    """Measure the attempts of an agent, and the base branch in the same rounds.

    Args:
        session: the session with the base branch at the commit of the evaluation.
        on_wait: called while commands run (see TaskCallbacks).

    Raises:
        Busy: an evaluation on this machine alone is active in this clone.
        Refused: nothing can be measured, or the command fails alike everywhere.
        GitFailed: git could not add a worktree.
    """
    machine, eval_options = read_machine(), options.eval_options
    with NewObjects(project.git) as objects:
        candidates, fixed_paths = prepare_candidates(
            session, project, eval_options, objects, dry_run=False, agent=agent
        )
        run, task_file = _start_run(session, project)
        metric_command = eval_options.metric_command
        assert metric_command is not None
        baseline = baseline_commit(session, project, objects) if metric_command.metric else ""
        worktrees = EvalWorktrees(session, project, fixed_paths, agent=agent)
        worktrees.remove_all()
        with run, worktrees:
            targets = prepare_targets(
                session, candidates, project, worktrees, task_file=task_file, baseline=baseline
            )
            runner = MetricRunner(targets, metric_command, run, project, on_wait=on_wait)
            measurements = runner.measure()
            files = find_uncommitted(metric_command.command, measurements, targets, project)
            refuse_incomplete(measurements, run.path, files)
    head = _empty_entry(agent, run.name, options, project)._replace(machine=machine)
    return _make_entries(candidates, measurements, eval_options, project, head)


def _start_run(session: Session, project: Project) -> tuple[runs.Run, str]:
    """Return the run of this measurement, and the path of the file with the task."""
    with project.store.lock_session(session.id) as locked:
        # An evaluation in this clone uses the same temporary worktrees.
        refuse_if_evaluated(session.id, locked.directory, with_workers=False)
        task_file = locked.ensure_task_file(session)
        return runs.start_run(locked.directory, runs.EVAL, is_worker=True), task_file


def _empty_entry(
    agent: int, run: str, options: MeasureOptions, project: Project
) -> EvaluationEntry:
    """Return the values that all attempts of an agent share."""
    metric_command = options.eval_options.metric_command
    return EvaluationEntry(
        at=format_iso(project.now()),
        by=project.identity,
        run=run,
        agent=agent,
        attempt=0,
        commit="",
        tree="",
        base=options.key.base,
        metric=metric_command.metric if metric_command else "",
        unit="",
        value=None,
        values=(),
        baseline=None,
        delta=None,
        rank=None,
        tie=False,
        reason="",
        verdict="",
        part_of=options.key.id,
    )


def _make_entries(
    candidates: Sequence[Candidate],
    measurements: Mapping[str, Measurement],
    options: EvalOptions,
    project: Project,
    head: EvaluationEntry,
) -> list[EvaluationEntry]:
    """Return an entry for each attempt, with the values of `head`."""
    compared = convert_to_one_unit(measurements, None)
    base = compared.measurements.get(BASELINE, Measurement())
    baseline = median(base.values) if base.values else None
    metric_command = options.metric_command
    assert metric_command is not None
    is_checked = bool(metric_command.requirements) or not metric_command.metric
    entries = []
    for candidate in candidates:
        missing = Measurement((), candidate.unmeasured_reason)
        measured = compared.measurements.get(candidate.target, missing)
        value = median(measured.values) if measured.values else None
        ratio = paired_ratio(measured.values, base.values)
        entry = head._replace(
            attempt=candidate.branch.attempt,
            commit=candidate.commit,
            tree=project.repo.tree_id(candidate.measured_commit).hex(),
            unit=compared.unit,
            value=value,
            values=measured.values,
            baseline=baseline,
            ratio=ratio.estimate if ratio else None,
            base_values=base.values,
            base_reason=base.reason,
            reason=measured.reason,
            passed=not measured.reason if is_checked else None,
        )
        if value is not None and baseline is not None:
            entry = entry._replace(delta=difference(value, baseline))
        entries.append(entry)
    return entries


def record_measurement(
    sid: SessionId, project: Project, entries: Sequence[EvaluationEntry]
) -> None:
    """Append the measurement of an agent to the log of this clone."""
    with project.store.lock_session(sid) as locked:
        append_evaluation(locked.directory, entries)
