"""Measure the base branch before the agents start."""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import Refused, WrongState
from git_hub_session.evaluation.eval_worktrees import EvalWorktrees
from git_hub_session.evaluation.guard import FixedPaths
from git_hub_session.evaluation.measure import MetricCommand, MetricRunner
from git_hub_session.evaluation.missing import (
    MISSING_HINT,
    commit_files_command,
    is_shell_error,
    uncommitted_files,
)
from git_hub_session.evaluation.targets import MeasureTarget, WorktreeRequest
from git_hub_session.evaluation.units import BASELINE, Measurement
from git_hub_session.git.ref_names import HEADS, SessionId
from git_hub_session.metric.quantity import Quantity
from git_hub_session.ranking.ranking import Score
from git_hub_session.session import runs
from git_hub_session.session.agent_environment import agent_environment
from git_hub_session.session.baseline import record_baseline
from git_hub_session.session.state import State
from git_hub_session.temporary.holdout import choose_holdout
from git_hub_session.util.text import quote_list

if TYPE_CHECKING:
    from git_hub_session.session.project import Project


class BaselineFailed(Refused):
    """The command cannot measure the base branch, so it could not measure the agents either."""

    code = "no-baseline"


class MeasuredBaseline(NamedTuple):
    """The value of the baseline, or the result of a command without a metric."""

    quantity: Quantity | None
    """The value, or None without a metric."""
    notes: tuple[str, ...]
    """The notes about the measurement."""
    failure: str = ""
    """The reason that the command failed without a metric, or ''."""
    seconds: float = 0.0
    """The time of the longest run of the command."""


def measure_baseline(
    sid: SessionId, project: Project, metric_command: MetricCommand
) -> MeasuredBaseline:
    """Measure the tip of the base branch in a temporary worktree, and save the baseline.

    AgentHub keeps the baseline in config.yaml, which does not change after the first spawn.
    Without a metric, save nothing: the command may fail, because the agents have to fix that.

    Raises:
        BaselineFailed: the command did not print the metric, or cannot be executed.
        Refused: the session has agents already.
        GitFailed: git could not add the worktree.
    """
    with project.store.lock_session(sid) as locked:
        session = locked.read()
        if session.state is not State.INIT:
            raise WrongState(f"session '{sid}' is '{session.state}': its baseline cannot change")
        base = project.repo.tip(HEADS + session.config.base_branch)
        task_file = locked.ensure_task_file(session)
        variables = agent_environment(project.environ, session, None, base, task_file)
        run = runs.start_run(locked.directory, runs.EVAL)
        fixed_paths = FixedPaths(holdout=choose_holdout(session, project, None))
        worktrees = EvalWorktrees(session, project, fixed_paths)
        worktrees.remove_all()
        with run, worktrees:
            [worktree] = worktrees.add([WorktreeRequest(BASELINE, base, variables)])
            target = MeasureTarget(BASELINE, base, worktree.path, variables, worktree)
            runner = MetricRunner([target], metric_command, run, project)
            measurement = runner.measure()[BASELINE]
            uncommitted = uncommitted_files(metric_command.command, worktree.path, project)
        notes = tuple(runner.notes)
        if not metric_command.metric and not is_shell_error(measurement.missing):
            return MeasuredBaseline(None, notes, measurement.reason, runner.longest_run)
        if not measurement.values:
            raise _baseline_failed(session.config.base_branch, measurement, uncommitted, run)
        metric = Score(0, measurement.values, (0, 0)).metric
        baseline = f"{metric:.12g} {measurement.unit}".rstrip()
        record_baseline(locked, baseline)
        quantity = Quantity(metric, measurement.unit)
        return MeasuredBaseline(quantity, notes, "", runner.longest_run)


def _baseline_failed(
    branch: str, measurement: Measurement, uncommitted: Sequence[str], run: runs.Run
) -> BaselineFailed:
    message = f"the eval command cannot measure '{branch}': {measurement.reason}"
    hints = [MISSING_HINT] if measurement.missing else []
    if uncommitted:
        message += f" (not committed: {quote_list(uncommitted)})"
        hints = [commit_files_command(uncommitted)]
    log = f"read its output in {run.path}/{BASELINE}.log"
    return BaselineFailed(message, hint="\n".join([*hints, log]))
