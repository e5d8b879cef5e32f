"""Runs of `exec` and `eval`, the places of their logs, and the last run of an agent.

The log of a command is <hub>/sessions/<id>/output/<kind>-<n>/agent-<N>.log. A run such as `exec-3`
is active while its process holds the lock of the run's directory. The kernel releases the lock when
the process ends, so an interrupted run is never taken for an active one. No log is ever deleted.

The last run of an agent can have failed. The status in state.json counts first, because another
program can have set it. For other statuses the recorded result counts: `restore` sets the status
`ready` and keeps the result.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Container, Mapping
from enum import Enum

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.errors import HubError
from git_hub_session.session.state import AgentStatus
from git_hub_session.system.directory import SafeDirectory
from git_hub_session.system.io import open_for_append
from git_hub_session.system.tasks import INTERRUPTED, TIMED_OUT
from git_hub_session.util.clock import format_span
from git_hub_session.util.json_values import as_mapping, as_number, as_text
from git_hub_session.util.numbers import MAX_COUNT, parse_int

if TYPE_CHECKING:
    from git_hub_session._typing import Self
    from git_hub_session.session.model import Session

EXEC = "exec"
EVAL = "eval"
"""The kinds of runs."""

OUTPUT = "output"
_WORKER = "worker"
"""The file in a run of a worker of `eval --on`."""


class CannotWriteLog(HubError):
    """A log cannot be created. No command was started."""

    code = "cannot-write"


class Run:
    """One run. It is active inside its `with` block."""

    def __init__(self, directory: SafeDirectory, name: str) -> None:
        self._directory = directory
        self.name = name
        self.path = directory.path
        # If a user deletes the logs, a later run has the same path.
        self.id = os.urandom(8).hex()
        """A random text that no other run has."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._directory.close()

    def create_log(self, agent: str) -> Callable[[], int]:
        """Create the log of `agent` ("agent-2"), or raise CannotWriteLog. Return how to open it.

        The open logs of all agents would need more descriptors than a process may have (ulimit -n).
        """
        name = f"{agent}.log"
        try:
            os.close(self._directory.create_for_append(name))
        except OSError as error:
            raise CannotWriteLog(f"cannot write in '{self.path}': {error.strerror}") from None
        return lambda: open_for_append(name, self._directory.fd)

    def write_file(self, name: str, data: bytes) -> None:
        """Create a file beside the logs, or raise CannotWriteLog."""
        try:
            self._directory.create(name, data)
        except OSError as error:
            raise CannotWriteLog(f"cannot write in '{self.path}': {error.strerror}") from None


def start_run(session: SafeDirectory, kind: str, *, is_worker: bool = False) -> Run:
    """Start a run of `kind` (EXEC or EVAL) in the directory of a locked session.

    Args:
        is_worker: True for a worker of `eval --on`, which measures one agent.

    Raises:
        CannotWriteLog: the directory of the run cannot be created.
        Damaged: a symbolic link is in the place of a directory.
    """
    try:
        with session.ensure_child(OUTPUT) as output:
            last = max((_run_number(name, kind) for name in output.names()), default=0)
            name = f"{kind}-{last + 1}"
            directory = output.create_child(name)
    except OSError as error:
        raise CannotWriteLog(f"cannot write in '{session.path}': {error.strerror}") from None
    directory.lock(wait=0)
    run = Run(directory, name)
    if is_worker:
        run.write_file(_WORKER, b"")
    return run


def open_private_run(directory: str) -> Run:
    """Return a run with its logs in `directory`, outside the session. It is never an active run."""
    return Run(SafeDirectory(directory), "")


def find_log(session_path: str, run: str, agent: str) -> str:
    """Return the path of the log of `agent` ("agent-2") in a run such as exec-3, or ''.

    The name of the run may come from an untrusted file.
    """
    if not any(_run_number(run, kind) for kind in (EXEC, EVAL)):
        return ""
    path = f"{session_path}/{OUTPUT}/{run}/{agent}.log"
    return path if os.path.lexists(path) else ""


def read_logs(session: SafeDirectory, *, limit: int) -> dict[str, bytes]:
    """Return the logs of a session by their paths, such as "exec-1/agent-1.log".

    Raise Damaged if a log is not a regular file, or if the logs have more than `limit` bytes.
    """
    logs: dict[str, bytes] = {}
    try:
        with session.open_child(OUTPUT) as output:
            for name in output.names():
                if _run_number(name, EXEC) or _run_number(name, EVAL):
                    with output.open_child(name) as run:
                        for log in filter(_is_log, run.names()):
                            logs[f"{name}/{log}"] = data = run.read(log, limit=limit)
                            limit -= len(data)
    except (FileNotFoundError, NotADirectoryError):
        pass  # no command has run
    return logs


def _is_log(name: str) -> bool:
    return re.fullmatch(r"[a-z0-9-]+\.log", name) is not None


def active_runs(session: SafeDirectory, kind: str) -> list[str]:
    """Return the names of the active runs of `kind`, oldest first, or raise Damaged."""
    try:
        with session.open_child(OUTPUT) as output:
            runs = [name for name in output.names() if _run_number(name, kind)]
            runs.sort(key=lambda name: _run_number(name, kind))
            return [name for name in runs if _is_active(output, name)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def active_evaluations(session: SafeDirectory, *, with_workers: bool) -> list[str]:
    """Return the names of the active runs of `eval`, or raise Damaged.

    Args:
        with_workers: True to return the runs of workers of `eval --on` too.
    """
    names = active_runs(session, EVAL)
    if with_workers or not names:
        return names
    with session.open_child(OUTPUT) as output:
        return [name for name in names if not _is_of_worker(output, name)]


def _is_of_worker(output: SafeDirectory, name: str) -> bool:
    try:
        with output.open_child(name) as run:
            return run.exists(_WORKER)
    except (FileNotFoundError, NotADirectoryError):
        return False


class RemainingProcesses(NamedTuple):
    """The processes that a killed run of `exec` has left for one agent."""

    run: str
    pids: tuple[int, ...]

    @property
    def end_command(self) -> str:
        """The command that ends the processes."""
        return " ".join(["kill", *map(str, self.pids)])

    def __str__(self) -> str:
        from git_hub_session.system import procfs

        names = ", ".join(procfs.describe_processes(self.pids))
        word = "process" if len(self.pids) == 1 else "processes"
        return f"{word} {names} of {self.run}, which has ended"


def remaining_processes(session: SafeDirectory) -> dict[str, RemainingProcesses]:
    """Return the processes that killed runs of `exec` have left, by the agent's name.

    The kernel ends no process with `exec`. They are found by the variables that `exec` has set.
    """
    from git_hub_session.system import procfs

    remaining: dict[str, RemainingProcesses] = {}
    # A user may have deleted the logs of a run: its processes are found without them.
    active = active_runs(session, EXEC)
    for pid, variables in procfs.environments(("HUB_RUN", "HUB_AGENT")):
        directory, _, run = variables.get("HUB_RUN", "").rpartition("/")
        agent = variables.get("HUB_AGENT", "")
        is_own_run = directory == f"{session.path}/{OUTPUT}" and _run_number(run, EXEC)
        if is_own_run and agent and run not in active:
            pids = remaining[agent].pids if agent in remaining else ()
            remaining[agent] = RemainingProcesses(run, (*pids, pid))
    return remaining


def _is_active(output: SafeDirectory, name: str) -> bool:
    try:
        with output.open_child(name) as run:
            return run.is_locked()
    except (FileNotFoundError, NotADirectoryError):
        return False


def _run_number(name: str, kind: str) -> int:
    """Return the number in the name of a run of `kind`, or 0 for any other name."""
    before, _, number = name.partition(f"{kind}-")
    return 0 if before else parse_int(number, MAX_COUNT) or 0


_MAX_STATUS = 255  # the largest exit status
FAILED_WITH = "failed with exit code "
"""The start of the reason that a run failed, before its exit code."""


class RunState(str, Enum):
    """The state of the last run of an agent."""

    NEVER_RAN = ""
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    """The time limit ended the command."""
    INTERRUPTED = "interrupted"
    """A signal ended `exec` before the command had ended, or `exec` was killed."""

    def __str__(self) -> str:
        return self.value


_UNSUCCESSFUL = (
    RunState.NEVER_RAN,
    RunState.FAILED,
    RunState.TIMED_OUT,
    RunState.INTERRUPTED,
)


class LastRun(NamedTuple):
    """The last run of an agent."""

    state: RunState
    failure: str = ""
    """The reason that the run failed, such as "failed with exit code 1", or ''.

    It is not escaped.
    """
    has_only_commit_failed: bool = False
    """True if the command succeeded, but its changes could not be committed."""

    @property
    def is_left_to_run(self) -> bool:
        """True if the agent never ran, or if its run failed or was interrupted."""
        return self.state in _UNSUCCESSFUL

    def with_all_committed(self) -> LastRun:
        """Return a successful run if only the commit failed.

        Call it if the worktree has no uncommitted files now.
        """
        return LastRun(RunState.DONE) if self.has_only_commit_failed else self


def read_last_run(
    session: Session, agent: str, active_runs: Container[str] = (), *, attempt: int = 0
) -> LastRun:
    """Return the last run of `agent` ("agent-2").

    Args:
        active_runs: the active runs of `exec`. A running agent of another run was interrupted.
        attempt: the attempt to which the run belongs, or 0 for the last attempt.
    """
    fields = session.attempt_fields(agent, attempt)
    status = as_text(fields.get("status"))
    result = as_mapping(fields.get("exec"))
    if status in (AgentStatus.WAITING, AgentStatus.RUNNING):
        if result.get("run") is None or as_text(result.get("run")) in active_runs:
            return LastRun(RunState(status))
        return LastRun(RunState.INTERRUPTED, INTERRUPTED)
    if status == AgentStatus.DONE:
        return LastRun(RunState.DONE)
    recorded = _read_result(result)
    if status == AgentStatus.FAILED and not recorded.failure:
        has_run = bool(as_text(result.get("run")))
        if recorded.state is RunState.NEVER_RAN and has_run:  # the doctor has set the status
            return LastRun(RunState.INTERRUPTED, INTERRUPTED)
        return LastRun(RunState.FAILED, "marked as failed")
    return recorded


def has_command_ended(session: Session, agent: str) -> bool:
    """Return True if the command of `agent` ("agent-2") has ended by itself, on any machine.

    A recorded run that no process continues was interrupted.
    """
    ended = (RunState.DONE, RunState.FAILED, RunState.TIMED_OUT)
    return read_last_run(session, agent).state in ended


def recorded_run(session: Session, agent: str, attempt: int = 0) -> str:
    """Return the name of the last run of an attempt, or ''. 0 is the last attempt."""
    fields = session.attempt_fields(agent, attempt)
    return as_text(as_mapping(fields.get("exec")).get("run"))


def _read_result(fields: Mapping[str, Any]) -> LastRun:
    """Return the run with the result that `exec` recorded. A value of the wrong type is missing."""
    cut_off, not_committed = fields.get("cut_off"), fields.get("not_committed")
    if cut_off == TIMED_OUT:
        seconds = as_number(fields.get("time_limit")) or as_number(fields.get("seconds")) or 0.0
        after = f" after {format_span(seconds)}" if 0 < seconds <= MAX_COUNT else ""
        return LastRun(RunState.TIMED_OUT, f"timed out{after}")
    if cut_off == INTERRUPTED:
        return LastRun(RunState.INTERRUPTED, INTERRUPTED)
    status = fields.get("exit_code")
    if type(status) is not int or not 0 <= status <= _MAX_STATUS:
        return LastRun(RunState.NEVER_RAN)
    if status:
        return LastRun(RunState.FAILED, f"{FAILED_WITH}{status}")
    if not_committed:
        reason = f": {not_committed}" if isinstance(not_committed, str) else ""
        return LastRun(
            RunState.FAILED, f"changes not committed{reason}", has_only_commit_failed=True
        )
    return LastRun(RunState.DONE)
