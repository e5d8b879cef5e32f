"""The last run, the progress and the result of an agent.

Nothing is written and no lock is taken. git is started only to run its filters (tracked_files.py).
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.git.ref_names import AgentBranch, agent_name, agent_number, parse_agent_branch
from git_hub_session.session import runs
from git_hub_session.session.agents import base_now
from git_hub_session.session.attempts import NO_BRANCH, earlier_attempts, lost_attempts
from git_hub_session.session.guarded import describe_guarded
from git_hub_session.session.model import CONFLICTS
from git_hub_session.session.state import FINISHED, AgentStatus
from git_hub_session.util.clock import parse_iso
from git_hub_session.util.json_values import as_mapping, as_text
from git_hub_session.worktree.uncommitted import uncommitted_files_of, uncommitted_text

if TYPE_CHECKING:
    from git_hub_session.session.model import AgentResult, Session
    from git_hub_session.session.project import Project
    from git_hub_session.worktree.status import BranchStatus, SessionStatus, WorktreeStatus

READY = "ready"
"""The state of an agent for which no command has run yet."""
_UNFINISHED = (AgentStatus.SPAWNING, AgentStatus.RESTORING)


class AgentProgress(NamedTuple):
    """The last run and the last result of an agent. An unknown value is None."""

    agent: int
    attempt: int
    """The last attempt, or 0."""
    state: str
    """A RunState, READY, or the AgentStatus of an unfinished spawn or restore."""
    failure: str = ""
    """The reason that the last run failed, such as "failed with exit code 1", or ''."""
    started: float | None = None
    """The time when the running command was started, in seconds since the epoch."""
    log: str = ""
    """The path of the log of the last run, or ''."""
    result: AgentResult | None = None
    """The result of the last evaluation, or None."""
    is_outdated: bool = False
    """True if the result is not that of the tip, or if there is a newer attempt."""
    has_own_commit: bool = True
    uncommitted: int | None = None
    """The number of uncommitted files in the worktree."""
    ranked_attempt: int = 0
    """The attempt of the result if it is an earlier one, or 0."""
    off_branch: str = ""
    """The reason that a commit in the worktree would not be on the agent's branch, or ''."""
    command: str = ""
    """The beginning of the command of the last run, or ''. It is not escaped."""
    conflicts: bool | None = None
    """True if the attempt that counts conflicts with the base branch."""
    earlier_uncommitted: Mapping[int, int] = {}
    """The number of uncommitted files in the worktree of each earlier attempt that has some."""
    earlier_running: tuple[int, ...] = ()
    """The earlier attempts for which a command is running."""
    guarded: tuple[str, ...] = ()
    """The guarded paths that the measured attempt changed, or the last one without a result."""

    @property
    def name(self) -> str:
        """The agent's name, such as "agent-2"."""
        return agent_name(self.agent)

    @property
    def state_text(self) -> str:
        """The state for a person: "waiting" if no command has run and the agent has no work yet."""
        has_files = bool(self.uncommitted or self.earlier_uncommitted)
        has_work = self.has_own_commit or has_files or bool(self.off_branch) or bool(self.result)
        return self.state if self.state != READY or has_work else AgentStatus.WAITING

    @property
    def has_progress(self) -> bool:
        """True if a command has run for the agent, or if it was evaluated."""
        is_lost = self.off_branch.endswith(NO_BRANCH)
        is_active = self.state != READY or bool(self.earlier_running)
        return is_active or self.result is not None or is_lost

    @property
    def remarks(self) -> tuple[str, ...]:
        """The conditions that matter for the result of the agent. They are not escaped."""
        result = self.result
        is_unmeasured = result is not None and result.reason not in ("", self.failure)
        has_other_reason = is_unmeasured and self.has_own_commit and not self.off_branch
        guarded = describe_guarded(self.guarded)
        names_conflict = result is not None and result.reason.startswith(CONFLICTS)
        remarks = {
            self.off_branch: bool(self.off_branch),
            uncommitted_text(self.uncommitted or 0): bool(self.uncommitted),
            **dict.fromkeys(self._earlier_remarks, True),
            "no commit of its own": not self.has_own_commit,
            result.reason if result and has_other_reason else "": has_other_reason,
            guarded: bool(guarded),
            "tie": result is not None and result.is_tie,
            f"attempt-{self.ranked_attempt} counts": bool(self.ranked_attempt),
            "changed since the evaluation": self.is_outdated,
            f"{CONFLICTS}the base branch": bool(self.conflicts) and not names_conflict,
        }
        return tuple(remark for remark, applies in remarks.items() if applies)

    @property
    def _earlier_remarks(self) -> list[str]:
        """The remarks about earlier attempts that are running or have uncommitted files."""
        running = [f"attempt-{attempt}: running" for attempt in self.earlier_running]
        return running + [
            f"attempt-{attempt}: {uncommitted_text(count)}"
            for attempt, count in self.earlier_uncommitted.items()
        ]


class _LastAttempt(NamedTuple):
    """The last attempt of an agent, with its branch and its worktree, if they exist."""

    attempt: int = 0
    branch: BranchStatus | None = None
    worktree: WorktreeStatus | None = None
    branches: Mapping[int, BranchStatus] = {}
    """The branch of each attempt of the agent that has one."""
    off_branch: str = ""
    """The reason that the work of this or an earlier attempt is not on its branch, or ''."""
    earlier_uncommitted: Mapping[int, int] = {}
    """The number of uncommitted files of each earlier attempt that has some."""


def read_agent_progress(status: SessionStatus, project: Project) -> tuple[AgentProgress, ...]:
    """Return the progress of each agent that has a branch, a worktree or an entry in state.json."""
    session = status.session
    attempts = _last_attempts(status, project)
    numbers = {*attempts, *map(agent_number, session.agents)} - {0}
    results = {result.agent: result for result in session.results}
    with project.store.open_directory(session.id) as directory:
        active_runs = runs.active_runs(directory, runs.EXEC)
        path = directory.path
        remaining: Mapping[str, runs.RemainingProcesses] = {}
        if _has_interrupted_run(session, active_runs):
            remaining = runs.remaining_processes(directory)
    return tuple(
        _read_one(
            number,
            attempts.get(number, _LastAttempt()),
            session,
            project,
            result=results.get(number),
            active_runs=_with_remaining(active_runs, remaining.get(agent_name(number))),
            directory=path,
        )
        for number in sorted(numbers)
    )


def _has_interrupted_run(session: Session, active_runs: Container[str]) -> bool:
    """Return True if an agent is marked as running, but its run has ended."""
    records = map(session.agent_record, session.agents)
    return any(
        record.status in (AgentStatus.RUNNING, AgentStatus.WAITING)
        and record.run is not None
        and record.run not in active_runs
        for record in records
    )


def _with_remaining(
    active_runs: list[str], remaining: runs.RemainingProcesses | None
) -> Container[str]:
    """Return the active runs, and the killed run that has left processes for an agent."""
    return [*active_runs, remaining.run] if remaining else active_runs


def _last_attempts(status: SessionStatus, project: Project) -> dict[int, _LastAttempt]:
    branches = {branch.agent: branch for branch in status.branches if branch.agent}
    worktrees = {
        branch: worktree
        for worktree in status.worktrees
        if (branch := parse_agent_branch(worktree.branch)) is not None
    }
    lost = lost_attempts(status.session, project.repo, {*branches, *worktrees})
    groups: dict[int, list[AgentBranch]] = {}
    for branch in sorted({*branches, *worktrees, *lost.values()}):
        groups.setdefault(branch.agent, []).append(branch)
    return {
        agent: _LastAttempt(
            group[-1].attempt,
            branches.get(group[-1]),
            worktrees.get(group[-1]),
            {branch.attempt: branches[branch] for branch in group if branch in branches},
            _off_branch_reason(group, worktrees, lost.get(agent)),
            _earlier_uncommitted(group[:-1], worktrees),
        )
        for agent, group in groups.items()
    }


def _off_branch_reason(
    attempts: Sequence[AgentBranch],
    worktrees: Mapping[AgentBranch, WorktreeStatus],
    lost: AgentBranch | None,
) -> str:
    """Return the reason that the work of an attempt is not on its branch, or ''.

    The last attempt has precedence. The reason names any other attempt, and a lost one of several.
    """
    if lost:
        return NO_BRANCH if attempts == [lost] else f"attempt-{lost.attempt}: {NO_BRANCH}"
    for branch in reversed(attempts):
        reason = worktrees[branch].off_branch if branch in worktrees else ""
        if reason:
            return reason if branch == attempts[-1] else f"attempt-{branch.attempt}: {reason}"
    return ""


def _earlier_uncommitted(
    attempts: Sequence[AgentBranch], worktrees: Mapping[AgentBranch, WorktreeStatus]
) -> dict[int, int]:
    """Return the number of uncommitted files of each attempt that has some."""
    counts = {
        branch.attempt: worktrees[branch].uncommitted or 0
        for branch in attempts
        if branch in worktrees
    }
    return {attempt: count for attempt, count in counts.items() if count}


def _read_one(
    number: int,
    last: _LastAttempt,
    session: Session,
    project: Project,
    *,
    result: AgentResult | None,
    active_runs: Container[str],
    directory: str,
) -> AgentProgress:
    name = agent_name(number)
    record = session.agent_record(name)
    worktree, branch = last.worktree, last.branch
    is_outdated = result is not None and _is_outdated(result, last)
    attempt = last.attempt or record.attempt
    run = runs.read_last_run(session, name, active_runs, attempt=attempt)
    if worktree and worktree.uncommitted == 0:
        run = run.with_all_committed()
    progress = run_progress(AgentBranch(session.id, number, attempt), run, session, directory)
    return progress._replace(
        state=record.status if record.status in _UNFINISHED else progress.state,
        result=result,
        is_outdated=is_outdated,
        has_own_commit=branch is None or branch.has_own_commit,
        uncommitted=worktree.uncommitted if worktree else None,
        ranked_attempt=result.attempt if result and result.attempt < attempt else 0,
        off_branch=last.off_branch,
        conflicts=_has_conflicts(last, result, session, project),
        earlier_uncommitted=last.earlier_uncommitted,
        earlier_running=_find_running(session, name, active_runs),
        guarded=record.guarded if result else _guarded_paths(branch),
    )


def _guarded_paths(branch: BranchStatus | None) -> tuple[str, ...]:
    return branch.guarded if branch else ()


def run_progress(
    branch: AgentBranch, run: runs.LastRun, session: Session, directory: str
) -> AgentProgress:
    """Return the progress of an attempt with only the facts about its last run.

    Args:
        directory: the path of the directory of the session.
    """
    name = agent_name(branch.agent)
    fields = as_mapping(session.attempt_fields(name, branch.attempt).get("exec"))
    is_running = run.state is runs.RunState.RUNNING
    return AgentProgress(
        branch.agent,
        branch.attempt,
        str(run.state) or READY,
        run.failure,
        parse_iso(as_text(fields.get("started"))) if is_running else None,
        runs.find_log(directory, as_text(fields.get("run")), name),
        command=as_text(fields.get("command")),
    )


def _find_running(session: Session, name: str, active_runs: Container[str]) -> tuple[int, ...]:
    """Return the earlier attempts for which a command is running."""
    return tuple(
        attempt
        for attempt in earlier_attempts(session, name)
        if runs.read_last_run(session, name, active_runs, attempt=attempt).state
        in (runs.RunState.RUNNING, runs.RunState.WAITING)
    )


def _is_outdated(result: AgentResult, last: _LastAttempt) -> bool:
    """Return True if the evaluated attempt has another tip, or if there is a newer attempt."""
    if last.attempt > max(result.attempt, result.last_attempt):
        return True
    branch = last.branches.get(result.attempt)
    return branch is not None and branch.branch.oid not in ("", result.commit)


def _has_conflicts(
    last: _LastAttempt, result: AgentResult | None, session: Session, project: Project
) -> bool | None:
    """Return True if the attempt that counts conflicts with the base branch.

    Return None if that is unknown. Only an attempt with commits of its own is worth the time of a
    merge, while the session is not finished.
    """
    branch = last.branch
    if result is not None and not _is_outdated(result, last):
        branch = last.branches.get(result.attempt)
    if branch is None:
        return None
    if branch.ahead is None or branch.behind is None:
        return None
    if not branch.ahead or not branch.behind:
        return False
    if session.state in FINISHED:
        return None
    return project.repo.has_conflicts(branch.branch.oid, base_now(session, project.repo))


def read_last_run_of(
    branch: AgentBranch, session: Session, project: Project, active_runs: Container[str] = ()
) -> runs.LastRun:
    """Return the last run of an attempt.

    The run has not failed if its changes could not be committed, but are committed now.

    Args:
        active_runs: the active runs of `exec`.
    """
    run = runs.read_last_run(session, agent_name(branch.agent), active_runs, attempt=branch.attempt)
    if run.has_only_commit_failed and uncommitted_files_of(branch, project) == ():
        return run.with_all_committed()
    return run
