"""Run an eval command at several commits, and read the metric of each.

A commit is measured in the agent's worktree if that worktree has exactly this commit checked out.
If not, it is measured in a temporary worktree beside the worktrees of the agents. A lock reason
marks each temporary worktree, so that the next run can remove it if this run is killed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from time import sleep

from git_hub_session._typing import TYPE_CHECKING, NamedTuple, Self
from git_hub_session.errors import HubError, Refused
from git_hub_session.evaluation.metric import MetricNotFound, read_metric
from git_hub_session.evaluation.quantity import Quantity
from git_hub_session.evaluation.race import Race, racing_agents
from git_hub_session.evaluation.ranking import Score
from git_hub_session.evaluation.targets import MeasureTarget
from git_hub_session.evaluation.units import BASELINE, Measurement, convert_to_one_unit
from git_hub_session.git.ref_names import HEADS, AgentBranch, SessionId, agent_number
from git_hub_session.git.worktrees import Worktree, linked_worktrees
from git_hub_session.removal import remove as removal
from git_hub_session.removal.errors import RemovalFailed
from git_hub_session.removal.partial_add import remove_empty_git_dir
from git_hub_session.removal.trash import empty_trash
from git_hub_session.session import runs
from git_hub_session.session.agent_environment import agent_environment, run_environment
from git_hub_session.session.model import Config
from git_hub_session.session.runs import OutputLog
from git_hub_session.session.state import State
from git_hub_session.system import procfs
from git_hub_session.system.processes import Task, TaskCallbacks, TaskResult
from git_hub_session.system.signals import TimeLimitExceeded, run_with_time_limit
from git_hub_session.util.paths import is_inside
from git_hub_session.worktree.locks import EVAL_LOCK
from git_hub_session.worktree.paths import worktree_path, worktree_template
from git_hub_session.worktree.setup import WorktreeSetup

if TYPE_CHECKING:
    from git_hub_session.session.project import Project


_MAX_OUTPUT = 16 << 20  # bytes: only the end of a longer output is searched for the metric
_REGEX_TIME_LIMIT = 5  # seconds to search one output: config.yaml may have a hostile pattern
_TIMESTAMP_STEP = 0.02  # seconds: two writes within a shorter time can give a file the same time


class MetricCommand(NamedTuple):
    """A command that measures a metric."""

    command: str
    """A command line for sh."""
    metric: str
    metric_file: str = ""
    """The file that the command writes, relative to the worktree, or '' for standard output."""
    repeat: int = 1
    jobs: int = 1
    timeout: float | None = None
    """The time limit of each run, in seconds."""
    metric_regex: str = ""
    """The regular expression that finds the metric, or '' to search for its name."""
    race: Race | None = None
    """The race that ends the repetitions of an agent before `repeat`, or None."""


class EvalWorktrees:
    """Temporary worktrees of a run. The context manager removes them at its end."""

    def __init__(self, sid: SessionId, project: Project) -> None:
        path = worktree_path(worktree_template(project), project.paths, AgentBranch(sid, 1, 1))
        parent = os.path.realpath(os.path.dirname(path))
        self._prefix = os.path.join(parent, f".{sid}-{runs.EVAL}-")
        self._common_dir = project.paths.common_dir
        self._project = project
        self._commits: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove_stale()

    def add(self, name: str, commit: str, environ: Mapping[str, str]) -> str:
        """Add a worktree of `commit` with the setup of an agent's worktree. Return its path.

        Raises:
            HubError: git could not add the worktree, or its setup failed.
        """
        path = f"{self._prefix}{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self._commits[path] = commit
        options = ["--detach", "--lock", "--reason", EVAL_LOCK]
        self._project.git.add_worktree(path, commit, options)
        error = WorktreeSetup(self._project, commit).apply(path, environ)
        if error:
            raise HubError(f"cannot set up the checkout of {name}: {error}")
        return path

    def remove_stale(self) -> None:
        """Remove the temporary worktrees of the session, also those that a killed run left.

        Call it only while no other evaluation of the session runs.
        """
        worktrees = linked_worktrees(self._common_dir)
        temporary = [worktree for worktree in worktrees if self._is_temporary(worktree)]
        for worktree in temporary:
            try:
                removal.remove_unchecked(worktree)
            except RemovalFailed:
                pass  # the next run tries again
        if temporary:
            empty_trash(self._common_dir)
        # A git dir without the file `gitdir` has no path. ^C can leave one: git removes `gitdir`
        # first, and then a child process of git may still write the index.
        if not all(worktree.path for worktree in worktrees):
            for path, commit in self._commits.items():
                remove_empty_git_dir(path, self._project, EVAL_LOCK, [commit])

    def _is_temporary(self, worktree: Worktree) -> bool:
        return worktree.lock_reason == EVAL_LOCK and worktree.path.startswith(self._prefix)


class MetricRunner:
    """Measures targets in rounds, one for each repetition, and keeps the output in logs."""

    def __init__(
        self,
        targets: Sequence[MeasureTarget],
        metric_command: MetricCommand,
        run: runs.Run,
        show_progress: Callable[[int], None],
    ) -> None:
        """Create the logs. `show_progress` gets the number of finished measurements."""
        self.measurements = {target.name: Measurement() for target in targets}
        self._metric_command = metric_command
        self._run = run
        self._show_progress = show_progress
        self._done = 0
        self._targets = list(targets)
        self._logs = {target.name: OutputLog(run.create_log(target.name)) for target in targets}
        self._output: dict[str, bytearray] = {}
        self._old_stamps: dict[str, object] = {}

    def measure(self, project: Project) -> dict[str, Measurement]:
        """Run the command for each target, and again for each repetition.

        A target that fails, or that leaves the race, is not repeated.
        """
        metric_command = self._metric_command
        callbacks = TaskCallbacks(self._on_start, self._on_output, self._on_end, self._find_escaped)
        try:
            for _ in range(metric_command.repeat):
                self._targets = self._next_targets()
                if not self._targets:
                    break
                self._stat_metric_files()
                project.run_tasks(
                    [self._make_task(target) for target in self._targets],
                    callbacks,
                    jobs=metric_command.jobs,
                    timeout=metric_command.timeout,
                    separate_stderr=True,
                )
        finally:
            for log in self._logs.values():
                log.close()
        return self.measurements

    def _next_targets(self) -> list[MeasureTarget]:
        """Return the targets of the next round."""
        measurements = self.measurements
        targets = [target for target in self._targets if not measurements[target.name].reason]
        race = self._metric_command.race
        if race is None or not self._done:
            return targets
        compared = convert_to_one_unit(measurements, None).measurements
        scores = [
            Score(agent_number(name), measurement.values, (0, 0))
            for name, measurement in compared.items()
            if measurement.values
        ]
        racing = racing_agents(
            scores, {agent_number(target.name) for target in targets}, race.direction
        )
        if len(racing) < 2 or not race.has_budget(len(measurements), len(racing), self._done):
            return []
        return [target for target in targets if agent_number(target.name) in racing]

    def _make_task(self, target: MeasureTarget) -> Task:
        variables = {**target.environ, **run_environment(self._run), "HUB_AGENT": target.name}
        return Task(["/bin/sh", "-c", self._metric_command.command], target.directory, variables)

    def _find_escaped(self, index: int) -> Sequence[int]:
        """Return the processes of the target's command, also those outside its process group."""
        return procfs.pids_with_environment(
            {**run_environment(self._run), "HUB_AGENT": self._targets[index].name}
        )

    def _stat_metric_files(self) -> None:
        """Record the stat data of the metric files, so that a later write can be recognized.

        If a file exists, wait until a write changes its modification time.
        """
        if self._metric_command.metric_file:
            self._old_stamps = {
                target.name: _file_stamp(self._metric_file(target)) for target in self._targets
            }
            if any(self._old_stamps.values()):
                sleep(_TIMESTAMP_STEP)

    def _on_start(self, index: int) -> None:
        self._output[self._targets[index].name] = bytearray()

    def _on_output(self, index: int, data: bytes, is_error: bool) -> None:
        name = self._targets[index].name
        self._logs[name].write(data)
        if not is_error:
            self._output[name] += data
            del self._output[name][:-_MAX_OUTPUT]

    def _on_end(self, index: int, result: TaskResult) -> None:
        target = self._targets[index]
        try:
            quantity = self._read_metric(target, result)
            self.measurements[target.name] = self.measurements[target.name].add(quantity)
        except MetricNotFound as error:
            self.measurements[target.name] = Measurement((), str(error))
        self._done += 1
        self._show_progress(self._done)

    def _read_metric(self, target: MeasureTarget, result: TaskResult) -> Quantity:
        if result.stop_reason or result.status:
            raise MetricNotFound(result.stop_reason or f"exit code {result.status}")
        if self._metric_command.metric_file:
            data = self._read_metric_file(target)
        else:
            data = bytes(self._output[target.name])
        text = data.decode("utf-8", "replace")
        name, regex = self._metric_command.metric, self._metric_command.metric_regex
        if not regex:
            return read_metric(text, name)
        try:
            return run_with_time_limit(_REGEX_TIME_LIMIT, lambda: read_metric(text, name, regex))
        except TimeLimitExceeded:
            raise MetricNotFound(f"'{regex}' took more than {_REGEX_TIME_LIMIT} seconds") from None

    def _metric_file(self, target: MeasureTarget) -> str:
        return os.path.join(target.directory, self._metric_command.metric_file)

    def _read_metric_file(self, target: MeasureTarget) -> bytes:
        """Return the content of the metric file. Raise MetricNotFound if it is not new."""
        name = self._metric_command.metric_file
        path = self._metric_file(target)
        parent = os.path.realpath(os.path.dirname(path))
        if not is_inside(parent, os.path.realpath(target.directory)):
            raise MetricNotFound(f"'{name}' is outside the worktree")
        # The agent may have committed the file, or an earlier command may have written it.
        if _file_stamp(path) == self._old_stamps[target.name]:
            raise MetricNotFound(f"the command did not write '{name}'")
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
            with open(fd, "rb") as file:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    raise MetricNotFound(f"'{name}' is not a regular file")
                return file.read(_MAX_OUTPUT)
        except OSError as error:
            raise MetricNotFound(f"'{name}': {error.strerror}") from None


def _file_stamp(path: str) -> object:
    """Return stat data that changes when the file is written, or None if it does not exist."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


class BaselineFailed(Refused):
    """The command cannot measure the base branch, so it could not measure the agents either."""

    code = "no-baseline"


def measure_baseline(sid: SessionId, project: Project, metric_command: MetricCommand) -> Quantity:
    """Measure the tip of the base branch in a temporary worktree, and save the baseline.

    AgentHub keeps the baseline in config.yaml, which does not change after the first spawn.

    Raises:
        BaselineFailed: the command did not print the metric.
        Refused: the session has agents already.
        GitFailed: git could not add the worktree.
    """
    with project.store.lock_session(sid) as locked:
        session = locked.read()
        if session.state is not State.INIT:
            raise Refused(
                f"session '{sid}' is '{session.state}': its baseline can no longer change"
            )
        base = project.repo.tip(HEADS + session.config.base_branch)
        task_file = locked.ensure_task_file(session)
        variables = agent_environment(project.environ, session, None, base, task_file)
        run = runs.start_run(locked.directory, runs.EVAL)
        worktrees = EvalWorktrees(sid, project)
        worktrees.remove_stale()
        with run, worktrees:
            directory = worktrees.add(BASELINE, base, variables)
            target = MeasureTarget(BASELINE, base, directory, variables)
            show_progress = project.progress("Measuring", metric_command.repeat)
            runner = MetricRunner([target], metric_command, run, show_progress)
            measurement = runner.measure(project)[BASELINE]
        if not measurement.values:
            raise BaselineFailed(
                f"the eval command cannot measure '{session.config.base_branch}': {measurement.reason}",
                hint=f"read its output in {run.path}/{BASELINE}.log",
            )
        metric = Score(0, measurement.values, (0, 0)).metric
        baseline = f"{metric:.12g} {measurement.unit}".rstrip()
        locked.save_config(Config({**session.config.values, "baseline": baseline}))
        return Quantity(metric, measurement.unit)
