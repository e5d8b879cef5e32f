"""Record the progress of a run of `exec`: the logs, state.json, and calls of an observer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from time import sleep

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.agents.commit import commit_changes
from git_hub_session.agents.exec_options import COMMIT_ALWAYS
from git_hub_session.errors import HubError, to_hub_error
from git_hub_session.git.ref_names import AgentBranch, agent_name
from git_hub_session.git.worktrees import read_worktree
from git_hub_session.programs.output_log import OutputLog
from git_hub_session.session.agent_environment import run_environment
from git_hub_session.session.record import with_attempts
from git_hub_session.session.state import AgentStatus
from git_hub_session.system import procfs
from git_hub_session.system.directory import LOCK_TIMEOUT
from git_hub_session.system.supervision.leftovers import describe_leftovers
from git_hub_session.system.tasks import (
    INTERRUPTED,
    TERMINATED,
    TIMED_OUT,
    TaskCallbacks,
    TaskResult,
)
from git_hub_session.util.clock import format_iso, format_span
from git_hub_session.worktree.reattach import left_branch_reason
from git_hub_session.worktree.repair_commands import unregister_command

if TYPE_CHECKING:
    from git_hub_session.agents.exec_options import ExecOptions
    from git_hub_session.session import runs
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project
    from git_hub_session.system.tasks import Task

_STATUS_LOCK_TIMEOUT = 0.5  # seconds to wait for the session lock while commands run
_SIGNAL_PAUSE = 1.0  # seconds to wait for a signal to this process after one to a command


class AgentRun(NamedTuple):
    """The command of one agent, before or after it ran."""

    branch: AgentBranch
    path: str
    """The path of the worktree."""
    log: str = ""
    """The path of the file with the output."""
    result: TaskResult | None = None
    """None if the command has not run."""
    commits: int = 0
    """The number of commits that the run added to the branch."""
    git_dir: str = ""
    """The git dir of the worktree."""
    commit: str = ""
    """The commit of the changes that the command left, or ''."""
    not_committed: str = ""
    """The reason that `exec --commit` could not commit the changes, or ''."""
    commit_hint: str = ""
    """The command to type before the changes can be committed, or ''."""
    tries: int = 0
    """The number of times that the command has run."""
    commits_only: bool = False
    """True to commit the changes that the last run left, and run no command."""
    command: str = ""
    """The beginning of the command."""
    reason: str = ""
    """The reason that the command cannot run, or that commits are not on the branch, or ''."""
    hint: str = ""
    """The command that removes the reason, or ''."""
    uncommitted: int = 0
    """The number of uncommitted files after the run."""

    @property
    def agent(self) -> str:
        """The agent's name, such as "agent-2"."""
        return agent_name(self.branch.agent)

    @property
    def has_not_failed(self) -> bool:
        """True if the command has not run, or has not failed.

        A command counts as failed if `exec --commit` could not commit the changes.
        """
        result = self.result
        return result is None or not (result.status or result.stop_reason or self.not_committed)


class RunObserver:
    """The methods that are called during a run. Here they do nothing."""

    def on_plan(self, agent_runs: Sequence[AgentRun]) -> None:
        """Receive the agents before the first command starts."""

    def on_start(self, agent: str) -> None:
        """Receive an agent ("agent-2") whose command starts, or starts again."""

    def on_output(self, agent: str, line: bytes) -> None:
        """Receive one line of output of an agent ("agent-2")."""

    def on_end(self, agent_run: AgentRun) -> None:
        """Receive the result of an agent. Its changes may still be uncommitted."""

    def on_wait(self) -> float | None:
        """Return the seconds until the next call while commands run, or None for no call."""
        return None


def status_fields(status: str, run: runs.Run, **fields: object) -> dict[str, Any]:
    """Return the fields of an agent in state.json."""
    return {"status": status, "exec": {"run": run.name, **fields}}


def _with_reason(agent_run: AgentRun, project: Project) -> AgentRun:
    """Return the agent with the reason that its command has left the branch or the worktree."""
    worktree = read_worktree(os.path.basename(agent_run.git_dir), agent_run.git_dir)
    if worktree.is_missing:
        hint = unregister_command(worktree, agent_run.branch.session)
        return agent_run._replace(reason="its worktree is missing", hint=hint)
    reason, hint = left_branch_reason(worktree, agent_run.branch, project) or ("", "")
    return agent_run._replace(reason=reason, hint=hint)


class RunMonitor:
    """Writes the output of a run to its logs, and the progress of the agents to state.json."""

    def __init__(
        self,
        session: Session,
        run: runs.Run,
        agent_runs: Sequence[AgentRun],
        project: Project,
        *,
        options: ExecOptions,
        observer: RunObserver,
    ) -> None:
        self.agent_runs = [
            agent_run._replace(log=f"{run.path}/{agent_run.agent}.log") for agent_run in agent_runs
        ]
        self._session = session
        self._run = run
        self._project = project
        self._options = options
        self._observer = observer
        self._old_tips = [project.repo.tip(agent_run.branch.ref) for agent_run in agent_runs]
        self._pending: dict[AgentBranch, dict[str, Any]] = {}
        """The fields that are not yet in state.json, by attempt."""
        self._logs = [self._create_log(agent_run.agent) for agent_run in agent_runs]
        self._tries = [0 for _ in agent_runs]
        self._starts = ["" for _ in agent_runs]
        """The time at which the last try of each command was started."""

    def _create_log(self, agent: str) -> OutputLog:
        on_output = self._observer.on_output
        return OutputLog(self._run.create_log(agent), lambda line: on_output(agent, line))

    def run(self, tasks: Sequence[Task]) -> None:
        """Run the tasks, one for each agent, and commit what the commands leave uncommitted."""
        options = self._options
        self._observer.on_plan(self.agent_runs)
        callbacks = TaskCallbacks(
            self._on_start,
            self._on_output,
            self._on_end,
            self._find_marked,
            self._retry_delay,
            self._observer.on_wait,
        )
        jobs = options.jobs or len(tasks)
        self._project.run_tasks(tasks, callbacks, jobs=jobs, timeout=options.timeout)
        if options.commit:
            self._commit_changes(always=options.commit == COMMIT_ALWAYS)

    def _on_start(self, index: int) -> None:
        self._tries[index] += 1
        self._starts[index] = format_iso(self._project.now())
        self._observer.on_start(self.agent_runs[index].agent)
        # state.json already marks the agents whose command starts at once as running.
        if self._options.jobs is not None and index >= self._options.jobs:
            fields = status_fields(
                AgentStatus.RUNNING,
                self._run,
                started=self._starts[index],
                command=self.agent_runs[index].command,
            )
            self._save_status(self.agent_runs[index].branch, fields)

    def _retry_delay(self, index: int, result: TaskResult) -> float | None:
        """Return the seconds until a failed command runs again, or None."""
        options = self._options
        tries = self._tries[index]
        if self.agent_runs[index]._replace(result=result).has_not_failed or tries > options.retries:
            return None
        reason = result.stop_reason or f"exit code {result.status}"
        delay = format_span(options.retry_delay)
        self._logs[index].write_line(
            f"git hub-session: {reason}; try {tries + 1} of {options.retries + 1} starts in {delay}"
        )
        return options.retry_delay

    def _on_output(self, index: int, data: bytes, _is_error: bool) -> None:
        self._logs[index].write(data)

    def _find_marked(self, index: int) -> Sequence[int]:
        """Return the processes of the agent's command, also those outside its process group."""
        agent = self.agent_runs[index].agent
        return procfs.pids_with_environment(run_environment(self._run, agent))

    def _on_end(self, index: int, result: TaskResult) -> None:
        self._logs[index].close()
        # A batch system ends all processes of a job at the same time. Then the command is
        # interrupted, and has not failed: the signal to this process raises an exception here.
        try:
            if result.status == TERMINATED and not result.stop_reason:
                sleep(_SIGNAL_PAUSE)
        except BaseException:
            result = result._replace(stop_reason=INTERRUPTED)
            raise
        finally:
            tries = self._tries[index]
            self._record_end(index, self.agent_runs[index]._replace(result=result, tries=tries))
        self._observer.on_end(self.agent_runs[index])

    def _commit_changes(self, *, always: bool) -> None:
        """Commit what the commands left uncommitted. Skip failed commands unless `always`."""
        title = self._session.config.title
        for index, agent_run in enumerate(self.agent_runs):
            if agent_run.result is not None and (always or agent_run.has_not_failed):
                result = commit_changes(agent_run.branch, agent_run.git_dir, title, self._project)
                committed = agent_run._replace(
                    commit=result.commit, not_committed=result.reason, commit_hint=result.hint
                )
                if committed != agent_run:
                    self._record_end(index, committed)

    def _record_end(self, index: int, agent_run: AgentRun) -> None:
        """Keep the result of an agent, and write it to state.json."""
        result = agent_run.result
        assert result is not None
        repo = self._project.repo
        old_tip, new_tip = self._old_tips[index], repo.tip(agent_run.branch.ref)
        commits = repo.ahead_behind(new_tip, old_tip)[0] if old_tip and new_tip else 0
        agent_run = _with_reason(agent_run._replace(commits=commits), self._project)
        self.agent_runs[index] = agent_run
        fields: dict[str, Any] = {
            "exit_code": result.status,
            "started": self._starts[index],
            "seconds": round(result.seconds, 3),
            "commits": commits,
            "command": agent_run.command,
        }
        optional = {
            "cut_off": result.stop_reason,
            "tries": agent_run.tries if agent_run.tries > 1 else None,
            "time_limit": self._options.timeout if result.stop_reason == TIMED_OUT else None,
            "commit": agent_run.commit,
            "not_committed": agent_run.not_committed,
        }
        fields |= {name: value for name, value in optional.items() if value}
        status = AgentStatus.DONE if agent_run.has_not_failed else AgentStatus.FAILED
        record = status_fields(status, self._run, **fields)
        if agent_run.reason:
            # Another tool may have created the worktree. Record it: the branch does not name it now.
            record |= {"attempt": agent_run.branch.attempt, "worktree": agent_run.path}
        self._save_status(agent_run.branch, record)

    def _save_status(self, branch: AgentBranch, fields: dict[str, Any]) -> None:
        self._pending[branch] = fields
        # If the lock is busy, the fields stay pending until the next change.
        self._save_pending(_STATUS_LOCK_TIMEOUT)

    def _save_pending(self, wait: float) -> str:
        """Write the pending fields to state.json. Return the error, or ''."""
        if not self._pending:
            return ""
        try:
            with self._project.store.lock_session(self._session.id, wait=wait) as locked:
                at = format_iso(self._project.now())
                locked.update(partial(with_attempts, changes=self._pending, at=at))
        except (HubError, OSError) as error:
            return to_hub_error(error).message
        self._pending = {}
        return ""

    def close(self) -> list[str]:
        """Record the final statuses after all commands ended. Return the warnings."""
        notes = []
        for agent_run, log in zip(self.agent_runs, self._logs, strict=True):
            if agent_run.result is None:  # the command never started: restore the old fields
                self._pending[agent_run.branch] = self._old_fields(agent_run.agent)
                log.close()
            elif agent_run.result.left:
                result = agent_run.result
                notes.append(describe_leftovers(agent_run.agent, result.left, result.remaining))
            if log.error:
                notes.append(f"'{agent_run.log}' is incomplete: {log.error}")
        error = self._save_pending(LOCK_TIMEOUT)
        if error:
            notes.append(f"cannot record the results in state.json: {error}")
        return notes

    def _old_fields(self, agent: str) -> dict[str, Any]:
        """Return the fields of an agent before the run."""
        status = self._session.agent_record(agent).status or AgentStatus.READY
        return {"status": status, "exec": self._session.agent_fields(agent).get("exec", {})}
