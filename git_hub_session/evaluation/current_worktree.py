"""Measure the present state of an agent's worktree for the agent itself.

Nothing is recorded and no lock is taken, so this works while other agents or an evaluation run.
"""

from __future__ import annotations

import os

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import Refused
from git_hub_session.evaluation.guard import choose_guard
from git_hub_session.evaluation.measure import MetricRunner
from git_hub_session.evaluation.targets import MeasureTarget
from git_hub_session.evaluation.units import Measurement, convert_to_one_unit
from git_hub_session.git.ref_names import AgentBranch, agent_name, parse_agent_branch
from git_hub_session.git.worktrees import Worktree, linked_worktrees
from git_hub_session.metric.quantity import Quantity
from git_hub_session.ranking.margin import baseline_margins
from git_hub_session.ranking.ranking import Score
from git_hub_session.session import runs
from git_hub_session.session.agent_environment import agent_environment
from git_hub_session.session.agents import base_now, find_base_commit
from git_hub_session.session.baseline import gain, is_baseline_in_place, last_evaluation
from git_hub_session.session.model import Session
from git_hub_session.session.store import TASK_FILE
from git_hub_session.system.temporary import temporary_directory
from git_hub_session.util.paths import is_same_path
from git_hub_session.worktree.off_branch import original_attempt
from git_hub_session.worktree.owner import off_branch_attempts
from git_hub_session.worktree.uncommitted import uncommitted_files

if TYPE_CHECKING:
    from git_hub_session.evaluation.measure import MetricCommand
    from git_hub_session.evaluation.result import EvalOptions
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.session.project import Project

NO_IMPROVEMENT = "no better than the baseline"
_OTHER_BASELINE = (
    "the baseline was measured in a new worktree: files that git ignores here can change the result"
)
_MAX_TAIL = 1 << 13  # bytes of the output that are kept


class WorktreeMeasurement(NamedTuple):
    """The measurement of one worktree."""

    branch: AgentBranch
    directory: str
    commit: str
    """The commit that HEAD points to."""
    uncommitted: tuple[str, ...]
    """The uncommitted files, which were measured too."""
    metric_command: MetricCommand
    values: tuple[float, ...] = ()
    unit: str = ""
    baseline: float | None = None
    failure: str = ""
    """The reason that the worktree does not pass, or ''."""
    guarded: tuple[str, ...] = ()
    """The guarded paths that the attempt changed. They were measured as they are."""
    notes: tuple[str, ...] = ()
    tail: bytes = b""
    """The end of the output of the command."""

    @property
    def value(self) -> float | None:
        """The median of the values, or None."""
        return Score(0, self.values, (0, 0)).metric if self.values else None


def find_own_worktree(project: Project) -> tuple[AgentBranch, Worktree]:
    """Return the attempt and the worktree of the current directory.

    Raise Refused outside the worktree of an agent.
    """
    worktrees = linked_worktrees(project.paths.common_dir)
    for worktree in worktrees:
        if not is_same_path(worktree.git_dir, project.paths.git_dir):
            continue
        branch = next(filter(None, map(parse_agent_branch, worktree.branches)), None)
        if branch is None:
            sessions = [each for each in project.store.read_all() if isinstance(each, Session)]
            branch = off_branch_attempts(sessions, worktrees).get(worktree.git_dir)
        if branch is None and not worktree.branches:  # HEAD is detached
            branch = original_attempt(worktree)
        if branch is not None:
            return branch, worktree
    raise Refused(
        "the current directory is not in the worktree of an agent",
        hint="run the command in the worktree of an agent",
    )


def measure_worktree(
    session: Session,
    branch: AgentBranch,
    worktree: Worktree,
    project: Project,
    options: EvalOptions,
) -> WorktreeMeasurement:
    """Measure the worktree as it is. Its guarded paths are measured as they are, too.

    Raises:
        Refused: a guarded path does not exist, or the command cannot start.
    """
    metric_command = options.metric_command
    assert metric_command is not None
    repo = project.repo
    guard = choose_guard(session, project, options.guard, metric_command.command)
    commit = repo.tip(worktree.head) or worktree.detached
    files = uncommitted_files(worktree, project) or ()
    changed = _committed_paths(session, commit, repo) | {*map(os.fsencode, files)}
    target = _make_target(session, branch, worktree, project, commit)
    measurement, notes, tail = _run_command(target, project, metric_command)
    baseline, note = _choose_baseline(session, options)
    compared = convert_to_one_unit({target.name: measurement}, baseline)
    measurement = compared.measurements[target.name]
    known = baseline.value if baseline else None
    failure = measurement.reason or _find_no_improvement(measurement, known, options.direction)
    return WorktreeMeasurement(
        branch,
        worktree.path,
        commit,
        files,
        metric_command,
        measurement.values,
        compared.unit,
        known,
        failure,
        guard.select_changed(changed),
        (*notes, *([note] if note and measurement.values else [])),
        tail,
    )


def _committed_paths(session: Session, commit: str, repo: GitRepo) -> set[bytes]:
    """Return the paths that the commits of the attempt change."""
    base = base_now(session, repo)
    return repo.changed_paths(commit, base) if commit and base else set()


def _make_target(
    session: Session, branch: AgentBranch, worktree: Worktree, project: Project, commit: str
) -> MeasureTarget:
    task_file = f"{project.paths.hub}/sessions/{session.id}/{TASK_FILE}"
    base = find_base_commit(session, project.repo)
    environ = agent_environment(project.environ, session, branch, base, task_file)
    return MeasureTarget(agent_name(branch.agent), commit, worktree.path, environ)


def _run_command(
    target: MeasureTarget, project: Project, metric_command: MetricCommand
) -> tuple[Measurement, list[str], bytes]:
    """Return the measurement, the notes, and the end of the output."""
    with temporary_directory() as logs, runs.open_private_run(logs) as run:
        runner = MetricRunner([target], metric_command, run, project)
        measurement = runner.measure()[target.name]
        with open(f"{logs}/{target.name}.log", "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(file.tell() - _MAX_TAIL, 0))
            tail = file.read()
    return measurement, runner.notes, tail


def _choose_baseline(session: Session, options: EvalOptions) -> tuple[Quantity | None, str]:
    """Return the baseline of the last evaluation of the same metric, or else of the options.

    The note says that it was measured in a new worktree. The current worktree can have build results
    or a cache that a new worktree does not have.
    """
    assert options.metric_command is not None
    last = last_evaluation(session)
    is_same = (last.metric, last.direction) == (options.metric_command.metric, options.direction)
    if options.is_baseline_given or options.baseline is None and not is_same:
        return options.baseline, ""
    note = _OTHER_BASELINE if is_baseline_in_place(session) is False else ""
    if is_same and last.baseline is not None:
        is_measured = last.has_measured_baseline
        return Quantity(last.baseline, last.unit), _OTHER_BASELINE if is_measured else note
    return options.baseline, note if options.baseline else ""


def _find_no_improvement(measurement: Measurement, baseline: float | None, direction: str) -> str:
    """Return NO_IMPROVEMENT if the value is not better than the baseline, or ''.

    A gain that noise can explain does not count.
    """
    if baseline is None or not measurement.values:
        return ""
    score = Score(0, measurement.values, (0, 0))
    margin = baseline_margins([score], baseline, (), direction)[0]
    is_better = gain(score.metric, baseline, direction) > margin
    return "" if is_better else NO_IMPROVEMENT
