"""Run an eval command at several commits, in rounds, and read the metric of each."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from math import ceil
from time import sleep

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import HubError
from git_hub_session.evaluation.missing import find_missing
from git_hub_session.evaluation.runner import MAX_OUTPUT, CommandResult, TargetRunner, file_stamp
from git_hub_session.evaluation.targets import (
    find_moved_heads,
    reset_eval_worktree,
    restore_fixed_files,
)
from git_hub_session.evaluation.units import BASELINE, Measurement, convert_to_one_unit
from git_hub_session.metric.metric import MetricNotFound, read_metric
from git_hub_session.ranking.race import Race, racing_agents
from git_hub_session.ranking.ranking import Score
from git_hub_session.system.signals import TimeLimitExceeded, run_with_time_limit
from git_hub_session.util.paths import is_inside

if TYPE_CHECKING:
    from git_hub_session.evaluation.targets import MeasureTarget
    from git_hub_session.metric.quantity import Quantity
    from git_hub_session.metric.requirement import Requirement
    from git_hub_session.session import runs
    from git_hub_session.session.project import Project

    # The metric of one run, None if the run passed without a metric, or the reason for its failure.
    _Outcome = Quantity | Measurement | None


LIMIT_FACTOR = 10
SMALLEST_LIMIT = 60  # seconds
_REGEX_TIME_LIMIT = 5  # seconds to search one output: config.yaml may have a hostile pattern
_TIMESTAMP_STEP = 0.02  # seconds: two writes within a shorter time can give a file the same time


class MetricCommand(NamedTuple):
    """A command that measures a metric, or that passes or fails."""

    command: str
    """A command line for sh."""
    metric: str
    """The name of the metric, or '' if the exit status is the result."""
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
    warmup: int = 0
    """The number of runs before the first measurement."""
    prepare: str = ""
    """A command line for sh that runs before each run, or ''."""
    allowed_failures: int = 0
    """The number of failed runs of each target that are repeated."""
    requirements: tuple[Requirement, ...] = ()
    """The conditions that each run of an agent must meet."""


def propose_time_limit(seconds: float) -> int:
    """Return a time limit for runs of a command that takes so long, in seconds."""
    return max(SMALLEST_LIMIT, ceil(LIMIT_FACTOR * seconds))


class MetricRunner:
    """Measures targets in rounds, one for each repetition, and keeps the output in logs."""

    def __init__(
        self,
        targets: Sequence[MeasureTarget],
        metric_command: MetricCommand,
        run: runs.Run,
        project: Project,
        *,
        on_wait: Callable[[], float | None] = lambda: None,
    ) -> None:
        """Create the logs. Call on_wait() while commands run (see TaskCallbacks)."""
        self.measurements = {target.name: Measurement() for target in targets}
        self._metric_command = metric_command
        self._project = project
        self._most_runs = len(targets) * (metric_command.warmup + metric_command.repeat)
        """The number of runs if no target fails or leaves the race."""
        self._show_progress = project.progress("Measuring", self._most_runs)
        jobs = metric_command.jobs
        self._runner = TargetRunner(targets, run, project, jobs=jobs, on_wait=on_wait)
        self._targets = list(targets)
        self._used: set[str] = set()
        """The targets in whose directory a command has run."""
        self._failures: dict[str, int] = {}
        """The number of failed runs of each target that were repeated."""
        self._runs = 0
        """The number of finished runs, with those that do not count."""
        self.longest_run = 0.0
        """The time of the longest run of the command, in seconds."""
        self._done = 0
        """The number of measurements."""

    @property
    def notes(self) -> list[str]:
        """The notes about the runs."""
        return self._runner.notes

    def measure(self) -> dict[str, Measurement]:
        """Run the command for each target, and again for each repetition.

        A target that fails, or that leaves the race, is not repeated.
        """
        try:
            for _ in range(self._metric_command.warmup):
                self._run_command(self._targets)
            for _ in range(self._metric_command.repeat):
                self._targets = self._next_targets()
                if not self._targets:
                    break
                self._measure_round()
        finally:
            self._runner.close()
        # End the line of the progress, also if some runs were not necessary.
        self._show_progress(self._most_runs)
        return self.measurements

    def _next_targets(self) -> list[MeasureTarget]:
        """Return the targets of the next round."""
        measurements = self.measurements
        targets = [target for target in self._targets if not measurements[target.name].reason]
        race = self._metric_command.race
        if race is None or not self._done:
            return targets
        compared = convert_to_one_unit(measurements, None).measurements
        numbers = {name: number for number, name in enumerate(compared)}
        scores = [
            Score(numbers[name], measurement.values, (0, 0))
            for name, measurement in compared.items()
            if measurement.values
        ]
        last = {numbers[target.name] for target in targets}
        racing = racing_agents(scores, last, race.direction)
        if len(racing) < 2 or not race.has_budget(len(measurements), len(racing), self._done):
            return []
        return [target for target in targets if numbers[target.name] in racing]

    def _measure_round(self) -> None:
        """Add a value to each target, or the reason for none. Repeat a failed run if allowed."""
        waiting = self._targets
        while waiting:
            outcomes = self._run_command(waiting)
            failed = []
            for target in waiting:
                outcome = outcomes[target.name]
                is_failure = isinstance(outcome, Measurement)
                failures = self._failures.get(target.name, 0)
                if is_failure and failures < self._metric_command.allowed_failures:
                    self._failures[target.name] = failures + 1
                    failed.append(target)
                    continue
                self._done += 1
                measurement = self.measurements[target.name]
                self.measurements[target.name] = (
                    outcome if isinstance(outcome, Measurement) else measurement.add(outcome)
                )
            waiting = failed

    def _run_command(self, targets: Sequence[MeasureTarget]) -> dict[str, _Outcome]:
        """Run the command once for each target.

        Return the metric, None if the run passed without a metric, or the reason for its failure.
        """
        outcomes: dict[str, _Outcome] = {}
        ready = self._prepare(targets, outcomes)
        metric_command = self._metric_command
        stamps = _stat_metric_files(ready, metric_command.metric_file)
        before = self._runner.tracked_stamps(ready)
        results = self._runner.run(
            metric_command.command, ready, self._count_run, timeout=metric_command.timeout
        )
        self._runner.keep_changes(ready, before)
        # A temporary worktree is reset. In place, the run may have measured another commit.
        in_place = [target for target in ready if target.worktree is None]
        moved = find_moved_heads(in_place, self._project)
        for target in ready:
            result = results[target.name]
            self.longest_run = max(self.longest_run, result.result.seconds)
            try:
                outcomes[target.name] = self._read_result(target, result, stamps.get(target.name))
            except MetricNotFound as error:
                outcomes[target.name] = _failed_measurement(str(error), result)
            if target.name in moved:
                outcomes[target.name] = Measurement((), moved[target.name])
        return outcomes

    def _count_run(self) -> None:
        self._runs += 1
        self._show_progress(self._runs)

    def _prepare(
        self, targets: Sequence[MeasureTarget], outcomes: dict[str, _Outcome]
    ) -> list[MeasureTarget]:
        """Reset the directories that were used, and run the prepare command.

        Return the targets that are ready. Add the others to `outcomes`, with the reason.
        """
        for target in targets:
            if target.name in self._used and target.worktree is not None:
                try:
                    reset_eval_worktree(target.worktree, self._project)
                except HubError as error:
                    reason = f"its worktree cannot be reset: {error.message}"
                    outcomes[target.name] = Measurement((), reason)
        ready = [target for target in targets if target.name not in outcomes]
        self._used.update(target.name for target in ready)
        if self._metric_command.prepare:
            self._run_prepare_command(ready, outcomes)
            ready = [target for target in ready if target.name not in outcomes]
        for name, reason in find_moved_heads(ready, self._project).items():
            outcomes[name] = Measurement((), reason)
        return [target for target in ready if target.name not in outcomes]

    def _run_prepare_command(
        self, targets: Sequence[MeasureTarget], outcomes: dict[str, _Outcome]
    ) -> None:
        """Run the prepare command. Add the targets for which it failed to `outcomes`."""
        metric_command = self._metric_command
        results = self._runner.run(
            metric_command.prepare, targets, lambda: None, timeout=metric_command.timeout
        )
        for target in targets:
            result = results[target.name]
            if result.failure:
                reason = f"the prepare command failed: {result.failure}"
                outcomes[target.name] = _failed_measurement(reason, result)
                continue
            try:
                restore_fixed_files(target)  # The command may run code of the attempt.
            except HubError as error:
                outcomes[target.name] = Measurement((), error.message)

    def _read_result(
        self, target: MeasureTarget, result: CommandResult, old_stamp: object
    ) -> Quantity | None:
        """Return the metric, or None if the exit status is the result.

        Raise MetricNotFound if the run failed, or if a requirement is not met. With a metric, the
        baseline does not have to meet the requirements.
        """
        if result.failure:
            raise MetricNotFound(result.failure)
        metric_command = self._metric_command
        file = metric_command.metric_file
        data = _read_metric_file(target, file, old_stamp) if file else result.output
        text = data.decode("utf-8", "replace")
        metric = self._read_metric(text) if metric_command.metric else None
        if metric is None or target.name != BASELINE:
            for requirement in metric_command.requirements:
                if metric is not None and requirement.name == metric_command.metric:
                    value = metric
                else:
                    value = read_metric(text, requirement.name)
                failure = requirement.describe_failure(value)
                if failure:
                    raise MetricNotFound(failure)
        return metric

    def _read_metric(self, text: str) -> Quantity:
        name, regex = self._metric_command.metric, self._metric_command.metric_regex
        if not regex:
            return read_metric(text, name)
        try:
            return run_with_time_limit(_REGEX_TIME_LIMIT, lambda: read_metric(text, name, regex))
        except TimeLimitExceeded:
            raise MetricNotFound(f"'{regex}' took more than {_REGEX_TIME_LIMIT} seconds") from None


def _failed_measurement(reason: str, result: CommandResult) -> Measurement:
    """Return a measurement without a value, with the name of the missing thing."""
    status = result.result.status
    tail = result.tail.decode("utf-8", "replace")
    return Measurement((), reason, missing=find_missing(status, tail) if status else "")


def _stat_metric_files(targets: Sequence[MeasureTarget], name: str) -> Mapping[str, object]:
    """Return the stat data of the metric files, so that a later write can be recognized.

    If a file exists, wait until a write changes its modification time.
    """
    if not name:
        return {}
    stamps = {target.name: file_stamp(os.path.join(target.directory, name)) for target in targets}
    if any(stamps.values()):
        sleep(_TIMESTAMP_STEP)
    return stamps


def _read_metric_file(target: MeasureTarget, name: str, old_stamp: object) -> bytes:
    """Return the content of the metric file. Raise MetricNotFound if it is not new."""
    path = os.path.join(target.directory, name)
    parent = os.path.realpath(os.path.dirname(path))
    if not is_inside(parent, os.path.realpath(target.directory)):
        raise MetricNotFound(f"'{name}' is outside the worktree")
    # The agent may have committed the file, or an earlier command may have written it.
    if file_stamp(path) == old_stamp:
        raise MetricNotFound(f"the command did not write '{name}'")
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise MetricNotFound(f"'{name}' is not a regular file")
            return file.read(MAX_OUTPUT)
    except OSError as error:
        raise MetricNotFound(f"'{name}': {error.strerror}") from None
