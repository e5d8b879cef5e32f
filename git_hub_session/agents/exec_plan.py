"""Plan an exec: the agents to run the command for, and those without a usable worktree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.agents.run_monitor import AgentRun
from git_hub_session.errors import NoWorktree, Refused, WrongState
from git_hub_session.git.ref_names import AgentBranch, agent_name, attempt_name
from git_hub_session.git.worktrees import Worktree, linked_worktrees
from git_hub_session.session import runs
from git_hub_session.session.agents import missing_agents_hint
from git_hub_session.session.attempts import (
    archived_refs,
    grouped_attempts,
    lost_reason,
    session_archived_attempts,
)
from git_hub_session.session.state import State
from git_hub_session.worktree.agent_progress import read_last_run_of
from git_hub_session.worktree.owner import attempt_worktrees
from git_hub_session.worktree.reattach import blocked_command_reason

if TYPE_CHECKING:
    from git_hub_session.agents.exec_options import ExecOptions
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project
    from git_hub_session.session.runs import LastRun


class ExecPlan(NamedTuple):
    """The agents to run the command for, and the agents without a usable worktree."""

    agent_runs: tuple[AgentRun, ...]
    skipped: tuple[AgentRun, ...]


def plan_exec(session: Session, project: Project, options: ExecOptions) -> ExecPlan:
    """Return the agents to run the command for. Change nothing.

    The command runs in the worktree of an agent's last attempt, and never in that of an earlier one.

    Raises:
        Refused: the state forbids it, a requested agent has no usable worktree, or no agent has.
    """
    agents = options.agents
    worktrees = _find_worktrees(session, project, agents)
    attempts = _last_attempts(session, project, worktrees)
    numbers = agents or list(attempts)
    last_runs: dict[int, LastRun] = {}
    if options.failed:
        last_runs = _find_failed(session, project, attempts, numbers)
        numbers = list(last_runs)
    skipped = tuple(_find_skipped(session, project, worktrees, [attempts[n] for n in numbers]))
    unusable = {agent_run.branch for agent_run in skipped}
    planned = [attempts[number] for number in numbers if attempts[number] not in unusable]
    usable = tuple(
        AgentRun(branch, worktrees[branch].path, git_dir=worktrees[branch].git_dir)
        for branch in planned
    )
    if agents or not usable:
        _refuse_skipped(skipped)
    if options.commit:
        usable = tuple(_with_commits_only(agent_run, last_runs) for agent_run in usable)
    return ExecPlan(usable, skipped)


def _find_worktrees(
    session: Session, project: Project, agents: Sequence[int]
) -> dict[AgentBranch, Worktree]:
    """Return the worktree of each attempt that has one.

    Raise Refused if the state forbids commands, or if one of the requested agents has no worktree.
    """
    if session.state not in (State.RUNNING, State.EVALUATING):
        raise WrongState(
            f"session '{session.id}' is '{session.state}': its agents cannot run commands",
            hint=missing_agents_hint(session, project.repo),
        )
    worktrees = attempt_worktrees(session.id, project, linked_worktrees(project.paths.common_dir))
    present = {branch.agent for branch in worktrees}
    missing = [agent_name(number) for number in agents if number not in present]
    if missing or not worktrees:
        no_worktrees = f"session '{session.id}' has no agent worktrees"
        raise NoWorktree(
            f"no worktree: {', '.join(missing)}" if missing else no_worktrees,
            hint=missing_agents_hint(session, project.repo, present),
        )
    return worktrees


def _last_attempts(
    session: Session, project: Project, worktrees: Iterable[AgentBranch]
) -> dict[int, AgentBranch]:
    """Return the last attempt of each agent, also if it is archived or has lost its branch."""
    attempts = {}
    for group in grouped_attempts(session, project.repo, worktrees):
        number, last = group[-1].agent, group[-1].attempt
        recorded = session.agent_record(agent_name(number)).attempt
        attempts[number] = AgentBranch(session.id, number, max(last, recorded))
    return attempts


def _with_commits_only(agent_run: AgentRun, last_runs: Mapping[int, LastRun]) -> AgentRun:
    """Return the agent, marked if only the commit of its last run failed."""
    last_run = last_runs.get(agent_run.branch.agent)
    commits_only = last_run is not None and last_run.has_only_commit_failed
    return agent_run._replace(commits_only=commits_only)


def _find_failed(
    session: Session,
    project: Project,
    attempts: Mapping[int, AgentBranch],
    numbers: Sequence[int],
) -> dict[int, LastRun]:
    """Return the last runs of the agents that failed, were interrupted or never ran.

    Raise Refused if there is no such agent.
    """
    with project.store.open_directory(session.id) as directory:
        active_runs = runs.active_runs(directory, runs.EXEC)
    failed = {}
    for number in numbers:
        last_run = read_last_run_of(attempts[number], session, project, active_runs)
        if last_run.is_left_to_run:
            failed[number] = last_run
    if not failed:
        raise Refused(f"no agent of session '{session.id}' failed, was interrupted, or never ran")
    return failed


def _refuse_skipped(skipped: Sequence[AgentRun]) -> None:
    """Raise Refused for the first agent without a usable worktree, if there is one."""
    if skipped:
        first = skipped[0]
        subject = f"'{first.path}'" if first.path else first.agent
        raise Refused(f"{subject}: {first.reason}", hint=first.hint)


def _find_skipped(
    session: Session,
    project: Project,
    worktrees: Mapping[AgentBranch, Worktree],
    attempts: Sequence[AgentBranch],
) -> Iterator[AgentRun]:
    """Yield the attempts without a usable worktree, and those with a running process.

    A second command must not run beside a process that a killed `exec` has left.
    """
    with project.store.open_directory(session.id) as directory:
        remaining = runs.remaining_processes(directory)
    for branch in attempts:
        if branch not in worktrees:
            reason, hint = _missing_reason(branch, session, project, worktrees)
            yield AgentRun(branch, "", reason=reason, hint=hint)
            continue
        worktree = worktrees[branch]
        reason, hint = blocked_command_reason(worktree, branch, project) or ("", "")
        if agent_name(branch.agent) in remaining:
            processes = remaining[agent_name(branch.agent)]
            reason, hint = f"still running: {processes}", processes.end_command
        if reason:
            yield AgentRun(branch, worktree.path, reason=reason, hint=hint)


def _missing_reason(
    branch: AgentBranch, session: Session, project: Project, worktrees: Iterable[AgentBranch]
) -> tuple[str, str]:
    """Return the reason that an attempt has no worktree, and a hint."""
    agents = {other.agent for other in worktrees}
    if branch.agent not in agents:
        no_worktree = "no worktree", missing_agents_hint(session, project.repo, agents)
        return lost_reason(branch, session, project.repo) or no_worktree
    restore = f"git hub-session restore {session.id} --agent {attempt_name(branch)}"
    archived = session_archived_attempts(session, archived_refs(session.id, project.repo))
    if branch in archived:
        return f"attempt-{branch.attempt} is archived", restore
    lost = lost_reason(branch, session, project.repo)
    if lost:
        return f"attempt-{branch.attempt}: {lost[0]}", lost[1]
    return f"attempt-{branch.attempt} has no worktree", restore


def merge_runs(agent_runs: Sequence[AgentRun], skipped: Sequence[AgentRun]) -> tuple[AgentRun, ...]:
    """Return all agents by number."""
    return tuple(sorted((*agent_runs, *skipped), key=lambda agent_run: agent_run.branch))
