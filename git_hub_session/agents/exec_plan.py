"""Plan an exec: the agents to run the command for, and those without a usable worktree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.agents.run_monitor import AgentRun
from git_hub_session.errors import Refused
from git_hub_session.git.ref_names import AgentBranch, agent_name
from git_hub_session.git.worktrees import Worktree, linked_worktrees
from git_hub_session.session import runs
from git_hub_session.session.agents import missing_agents_hint
from git_hub_session.session.attempts import grouped_attempts, lost_reason
from git_hub_session.session.state import State
from git_hub_session.worktree.agent_progress import read_last_run_of
from git_hub_session.worktree.owner import agent_worktrees
from git_hub_session.worktree.reattach import unusable_reason

if TYPE_CHECKING:
    from git_hub_session.agents.exec import ExecOptions
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project
    from git_hub_session.session.runs import LastRun


class ExecPlan(NamedTuple):
    """The agents to run the command for, and the agents without a usable worktree."""

    agent_runs: tuple[AgentRun, ...]
    skipped: tuple[AgentRun, ...]


def plan_exec(session: Session, project: Project, options: ExecOptions) -> ExecPlan:
    """Return the agents to run the command for. Change nothing.

    Raises:
        Refused: the state forbids it, a requested agent has no usable worktree, or no agent has.
    """
    agents = options.agents
    worktrees = _find_worktrees(session, project, agents)
    owned = [branch for branch, _ in worktrees.values()]
    attempts = {
        group[0].agent: group[-1] for group in grouped_attempts(session, project.repo, owned)
    }
    numbers = agents or list(attempts)
    last_runs: dict[int, LastRun] = {}
    if options.failed:
        last_runs = _find_failed(session, project, worktrees, numbers)
        numbers = list(last_runs)
    skipped = tuple(_find_skipped(session, project, worktrees, attempts, numbers))
    unusable = {agent_run.branch.agent for agent_run in skipped}
    usable = tuple(
        AgentRun(branch, worktree.path, git_dir=worktree.git_dir)
        for branch, worktree in (worktrees[number] for number in numbers if number not in unusable)
    )
    if agents or not usable:
        _refuse_skipped(skipped)
    if options.commit:
        usable = tuple(_with_commits_only(agent_run, last_runs) for agent_run in usable)
    return ExecPlan(usable, skipped)


def _find_worktrees(
    session: Session, project: Project, agents: Sequence[int]
) -> dict[int, tuple[AgentBranch, Worktree]]:
    """Return the attempt and the worktree of each agent.

    Raise Refused if the state forbids commands, or if one of the requested agents has no worktree.
    """
    if session.state not in (State.RUNNING, State.EVALUATING):
        raise Refused(
            f"session '{session.id}' is '{session.state}': its agents cannot run commands",
            hint=missing_agents_hint(session, project.repo),
        )
    worktrees = agent_worktrees(session.id, project, linked_worktrees(project.paths.common_dir))
    missing = [agent_name(number) for number in agents if number not in worktrees]
    if missing or not worktrees:
        no_worktrees = f"session '{session.id}' has no agent worktrees"
        raise Refused(
            f"no worktree: {', '.join(missing)}" if missing else no_worktrees,
            hint=missing_agents_hint(session, project.repo, worktrees),
        )
    return worktrees


def _with_commits_only(agent_run: AgentRun, last_runs: Mapping[int, LastRun]) -> AgentRun:
    """Return the agent, marked if only the commit of its last run failed."""
    last_run = last_runs.get(agent_run.branch.agent)
    commits_only = last_run is not None and last_run.has_only_commit_failed
    return agent_run._replace(commits_only=commits_only)


def _find_failed(
    session: Session,
    project: Project,
    worktrees: Mapping[int, tuple[AgentBranch, Worktree]],
    numbers: Sequence[int],
) -> dict[int, LastRun]:
    """Return the last runs of the agents that failed, were interrupted or never ran.

    Raises Refused if no agent did.
    """
    with project.store.open_directory(session.id) as directory:
        active_runs = runs.active_runs(directory, runs.EXEC)
    failed = {}
    for number in numbers:
        last = max(session.agent_record(agent_name(number)).attempt, 1)
        branch = AgentBranch(session.id, number, last)
        if number in worktrees:
            branch = max(branch, worktrees[number][0])
        last_run = read_last_run_of(branch, session, project, active_runs)
        if last_run.is_left_to_run:
            failed[number] = last_run
    if not failed:
        raise Refused(f"no agent of session '{session.id}' failed, was interrupted, or never ran")
    return failed


def _refuse_skipped(skipped: Sequence[AgentRun]) -> None:
    """Raise Refused for the first agent without a usable worktree, if there is one."""
    if skipped:
        first = skipped[0]
        no_path = f"{first.reason}: {first.agent}"
        raise Refused(f"'{first.path}': {first.reason}" if first.path else no_path, hint=first.hint)


def _find_skipped(
    session: Session,
    project: Project,
    worktrees: Mapping[int, tuple[AgentBranch, Worktree]],
    attempts: Mapping[int, AgentBranch],
    numbers: Sequence[int],
) -> Iterator[AgentRun]:
    """Yield the agents without a usable worktree, and those with a running process, by number.

    A second command must not run beside a process that a killed `exec` has left.
    """
    with project.store.open_directory(session.id) as directory:
        remaining = runs.remaining_processes(directory)
    for number in numbers:
        if number not in worktrees:
            branch = attempts[number]
            no_worktree = "no worktree", missing_agents_hint(session, project.repo, worktrees)
            reason, hint = lost_reason(branch, session, project.repo) or no_worktree
            yield AgentRun(branch, "", reason=reason, hint=hint)
            continue
        branch, worktree = worktrees[number]
        reason, hint = unusable_reason(worktree, branch, project) or ("", "")
        if agent_name(number) in remaining:
            processes = remaining[agent_name(number)]
            reason, hint = f"still running: {processes}", processes.end_command
        if reason:
            yield AgentRun(branch, worktree.path, reason=reason, hint=hint)


def merge_runs(agent_runs: Sequence[AgentRun], skipped: Sequence[AgentRun]) -> tuple[AgentRun, ...]:
    """Return all agents by number."""
    return tuple(sorted((*agent_runs, *skipped), key=lambda agent_run: agent_run.branch))
