"""Run a command in the directories of several targets, and keep its output."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.programs.output_log import OutputLog
from git_hub_session.session.agent_environment import run_environment
from git_hub_session.system import procfs
from git_hub_session.system.supervision.leftovers import Leftovers, describe_leftovers
from git_hub_session.system.tasks import Task, TaskCallbacks, TaskResult
from git_hub_session.util.text import quote_list

if TYPE_CHECKING:
    from git_hub_session.evaluation.targets import MeasureTarget
    from git_hub_session.session import runs
    from git_hub_session.session.project import Project

MAX_OUTPUT = 16 << 20  # bytes: only the end of a longer output is kept
_MAX_TAIL = 1 << 13  # bytes of the end of the output with standard error


class CommandResult(NamedTuple):
    """The result of a command in the directory of one target."""

    result: TaskResult
    output: bytes
    """The end of its standard output."""
    tail: bytes
    """The end of its output, with standard error."""

    @property
    def failure(self) -> str:
        """The reason that the command failed, or ''."""
        status = self.result.status
        return self.result.stop_reason or (f"exit code {status}" if status else "")


class TargetRunner:
    """Runs commands for targets. Each target has one log for all commands."""

    def __init__(
        self,
        targets: Sequence[MeasureTarget],
        run: runs.Run,
        project: Project,
        *,
        jobs: int,
        on_wait: Callable[[], float | None] = lambda: None,
    ) -> None:
        """Create the logs. `jobs` commands run in parallel, and on_wait() is called meanwhile."""
        self._run = run
        self._project = project
        self._jobs = jobs
        self._on_wait = on_wait
        self._logs = {target.name: OutputLog(run.create_log(target.name)) for target in targets}
        self._left: dict[str, list[str]] = {}
        """The names of the processes that the commands of a target left running."""
        self._remaining: dict[str, list[str]] = {}
        """The names of these processes that could not be ended."""
        self._changed: dict[str, set[bytes]] = {}
        """The tracked files that changed while the commands of a target ran."""

    def run(
        self,
        command: str,
        targets: Sequence[MeasureTarget],
        on_end: Callable[[], None],
        *,
        timeout: float | None,
    ) -> dict[str, CommandResult]:
        """Run a command line of sh once for each target. Return the results by target."""
        outputs = {target.name: bytearray() for target in targets}
        tails = {target.name: b"" for target in targets}
        results: dict[str, CommandResult] = {}

        def keep_output(index: int, data: bytes, is_error: bool) -> None:
            name = targets[index].name
            self._logs[name].write(data)
            tails[name] = (tails[name] + data)[-_MAX_TAIL:]
            if not is_error:
                outputs[name] += data
                del outputs[name][:-MAX_OUTPUT]

        def keep_result(index: int, result: TaskResult) -> None:
            name = targets[index].name
            results[name] = CommandResult(result, bytes(outputs[name]), tails[name])
            self._record_end(name, result)
            on_end()

        def find_processes(index: int) -> Sequence[int]:
            return procfs.pids_with_environment(self._identifying_variables(targets[index]))

        callbacks = TaskCallbacks(lambda _index: None, keep_output, keep_result, find_processes)
        self._project.run_tasks(
            [self._make_task(command, target) for target in targets],
            callbacks._replace(on_wait=self._on_wait),
            jobs=self._jobs,
            timeout=timeout,
            separate_stderr=True,
        )
        return results

    def _record_end(self, name: str, result: TaskResult) -> None:
        """Close the log of a target, and remember the processes that its command left running."""
        self._logs[name].close()  # until the next command of the target
        if result.left:
            self._left.setdefault(name, []).extend(result.left)
            self._remaining.setdefault(name, []).extend(result.remaining)

    def _identifying_variables(self, target: MeasureTarget) -> dict[str, str]:
        """Return the variables that identify the processes of a target."""
        variables = target.environ
        agent = variables.get("HUB_AGENT") or target.name
        marks = run_environment(self._run, agent)
        attempt = variables.get("HUB_ATTEMPT")
        return {**marks, "HUB_ATTEMPT": attempt} if attempt else marks

    def _make_task(self, command: str, target: MeasureTarget) -> Task:
        environ = {**target.environ, **self._identifying_variables(target)}
        return Task(["/bin/sh", "-c", command], target.directory, environ)

    def tracked_stamps(self, targets: Sequence[MeasureTarget]) -> dict[str, dict[bytes, object]]:
        """Return stat data of the tracked files of each target."""
        stamps = {}
        for target in targets:
            directory = os.fsencode(target.directory)
            paths = self._project.repo.tree_entries(target.commit)
            stamps[target.name] = {
                path: file_stamp(os.path.join(directory, path)) for path in paths
            }
        return stamps

    def keep_changes(
        self, targets: Sequence[MeasureTarget], before: Mapping[str, Mapping[bytes, object]]
    ) -> None:
        """Remember the tracked files that changed since `tracked_stamps` returned `before`."""
        for name, after in self.tracked_stamps(targets).items():
            changed = {path for path, stamp in after.items() if stamp != before[name][path]}
            if changed:
                self._changed.setdefault(name, set()).update(changed)

    @property
    def notes(self) -> list[str]:
        """The notes about processes that are left, and about changed files."""
        left = [
            describe_leftovers(name, names, self._remaining[name])
            for name, names in self._left.items()
        ]
        return [*left, *(_describe_changes(*item) for item in self._changed.items())]

    def close(self) -> None:
        """Close the logs, and end the processes that were missed before."""
        for log in self._logs.values():
            log.close()
        # A process can be missed while it starts another one and ends.
        Leftovers(lambda: procfs.pids_with_environment(run_environment(self._run))).kill()


def file_stamp(path: str | bytes) -> object:
    """Return stat data that changes when the file is written, or None if it does not exist."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


def _describe_changes(name: str, changed: Collection[bytes]) -> str:
    paths = quote_list([os.fsdecode(path) for path in sorted(changed)])
    files = "file" if len(changed) == 1 else "files"
    return f"tracked {files} of {name} changed while the command ran: {paths}"
