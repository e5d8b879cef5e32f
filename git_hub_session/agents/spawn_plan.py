"""Plan a spawn: the agents to create and the paths of their worktrees. Change nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import NoSuchBranch, Refused, WrongState
from git_hub_session.git.ref_names import (
    HEADS,
    AgentBranch,
    SessionId,
    agent_name,
    short_name,
)
from git_hub_session.removal.partial_add import find_partial
from git_hub_session.session.agents import (
    accepts_agents,
    all_agents,
    find_base_commit,
    interrupted_spawns,
)
from git_hub_session.session.attempts import (
    archived_refs,
    attempts_by_agent,
    session_archived_attempts,
)
from git_hub_session.session.state import FINISHED, NEW_SESSION_HINT, AgentStatus, State
from git_hub_session.util.numbers import MAX_COUNT
from git_hub_session.util.paths import is_same_path
from git_hub_session.util.shell import quote_word
from git_hub_session.worktree.locks import GIT_ADD_LOCK
from git_hub_session.worktree.off_branch import (
    has_other_branch,
    restore_branch_command,
)
from git_hub_session.worktree.owner import was_created_for
from git_hub_session.worktree.paths import (
    CHOOSE_PATH_HINT,
    can_create_at,
    worktree_path,
)
from git_hub_session.worktree.reattach import occupied_reason, unusable_reason, unwritable_reason

if TYPE_CHECKING:
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.git.worktrees import Worktree
    from git_hub_session.session.model import AgentRecord, Session
    from git_hub_session.session.project import Project


class SpawnOptions(NamedTuple):
    """The agents to create, and how."""

    agents: Sequence[int] = ()
    """The numbers of the agents; empty: all agents of the session."""
    retry: int = 0
    """The one agent to create a new attempt for, or 0."""
    base: str = ""
    """The object id of the commit to start from, or '' for the base commit of the session."""
    template: str = ""
    """The template for the paths of the worktrees."""
    jobs: int | None = None
    """The number of worktrees to create in parallel; None: one for each CPU."""
    on_wait: Callable[[], float | None] = lambda: None
    """Called after git has created a worktree, and while its setup command runs.

    It returns the seconds until the next call, or None.
    """


class PlannedAgent(NamedTuple):
    """The branch and the worktree of an agent, created or to be created."""

    branch: AgentBranch
    path: str
    has_branch: bool
    """True if an interrupted spawn created the branch."""
    partial_worktree: Worktree | None
    """The worktree that an interrupted spawn left, complete or partial, or None.

    If the spawn keeps it and then fails, the undo must not remove it.
    """
    base: str = ""
    """The object id of the commit that the attempt starts from."""


class SpawnResult(NamedTuple):
    """The result or the plan of a spawn."""

    session: Session
    """The session before the spawn."""
    base: str
    """The commit that agents start from, unless `--base` names another one."""
    created: tuple[PlannedAgent, ...]
    present: tuple[AgentBranch, ...]
    """The requested agents that existed already."""
    state: State
    """The state of the session after the spawn."""
    notes: tuple[str, ...] = ()
    hook_errors: tuple[str, ...] = ()
    """The errors of the hooks of created agents. The agents are complete."""


class _AgentHistory(NamedTuple):
    """The attempts of one agent, and its record in state.json."""

    session: SessionId
    number: int
    last_attempt: int
    """The last attempt that has a branch, or 0."""
    last_archived: int
    """The last attempt that has an archive tag, or 0."""
    record: AgentRecord

    @property
    def next_attempt(self) -> int:
        """The number of the attempt after the last one."""
        return max(self.last_attempt, self.last_archived) + 1

    @property
    def is_interrupted(self) -> bool:
        """True if an interrupted spawn was creating the last or the next attempt."""
        attempts = (self.last_attempt or 1, self.next_attempt)
        return self.record.status == AgentStatus.SPAWNING and self.record.attempt in attempts

    @property
    def is_present(self) -> bool:
        """True if the agent has a branch that no interrupted spawn left."""
        return bool(self.last_attempt) and not self.is_interrupted

    @property
    def is_archived(self) -> bool:
        """True if only archive tags are left of the agent."""
        return bool(self.last_archived) and not (self.last_attempt or self.is_interrupted)

    @property
    def planned_attempt(self) -> int:
        """The number of the attempt to create, or to create again after an interruption."""
        is_last = self.is_interrupted and self.record.attempt == self.last_attempt
        return self.last_attempt if is_last else self.next_attempt


def plan_spawn(
    session: Session, project: Project, options: SpawnOptions, worktrees: Sequence[Worktree]
) -> SpawnResult:
    """Return the agents to create. Raise Refused if one of them cannot be created."""
    created: list[PlannedAgent] = []
    present: list[AgentBranch] = []
    archived: list[int] = []
    for history in _read_histories(session, project.repo, options):
        if history.is_archived and not options.retry:
            archived.append(history.number)
        elif history.is_present and not options.retry:
            branch = AgentBranch(session.id, history.number, history.last_attempt)
            _refuse_other_start(branch, session, project.repo, options)
            present.append(branch)
        else:
            created.append(_plan_agent(history, project, options, worktrees, created))
    if archived and (options.agents or not created):
        hint = f"git hub-session restore {session.id}"
        raise Refused(f"{agent_name(archived[0])} is archived", hint)
    base = _choose_base_commit(session, project.repo, options, is_needed=bool(created))
    created = [agent._replace(base=agent.base or base) for agent in created]
    starts_session = session.state is State.INIT and (created or present)
    state = State.RUNNING if starts_session else session.state
    return SpawnResult(session, base, tuple(created), tuple(present), state)


def _read_histories(
    session: Session, repo: GitRepo, options: SpawnOptions
) -> Iterator[_AgentHistory]:
    attempts = attempts_by_agent(session.id, repo)
    archived = _last_archived_attempts(session, repo)
    for number in _requested_agents(session, repo, options):
        last_attempt = max(attempts.get(number, ()), default=0)
        record = session.agent_record(agent_name(number))
        yield _AgentHistory(session.id, number, last_attempt, archived.get(number, 0), record)


def _plan_agent(
    history: _AgentHistory,
    project: Project,
    options: SpawnOptions,
    worktrees: Sequence[Worktree],
    planned: Sequence[PlannedAgent],
) -> PlannedAgent:
    if options.retry and history.next_attempt == 1:
        name = agent_name(history.number)
        base = f" --base {options.base}" if options.base else ""
        raise Refused(
            f"{name} has no attempt yet",
            hint=f"git hub-session spawn --only {name}{base} {history.session}",
        )
    attempt = history.planned_attempt
    if attempt > MAX_COUNT:  # a branch of another clone may have the largest number
        raise Refused(f"{agent_name(history.number)} has no attempt after attempt-{MAX_COUNT}")
    branch = AgentBranch(history.session, history.number, attempt)
    start = _choose_start(history, branch, project.repo, options)
    path = worktree_path(options.template, project.paths, branch)
    partial = None
    if history.is_interrupted:
        partial = find_partial(branch, path, worktrees, GIT_ADD_LOCK)
    if partial is None:
        _refuse_if_occupied(path, branch, planned, worktrees, project)
    has_branch = attempt == history.last_attempt
    return PlannedAgent(branch, partial.path if partial else path, has_branch, partial, start)


def _choose_start(
    history: _AgentHistory, branch: AgentBranch, repo: GitRepo, options: SpawnOptions
) -> str:
    """Return the commit that the attempt starts from, or '' for the base commit of the session.

    An interrupted spawn has recorded the commit. Raise Refused if `--base` names another commit.
    """
    recorded = history.record.starts.get(f"attempt-{branch.attempt}", "")
    if not history.is_interrupted or not repo.has_commit(recorded):
        return options.base
    if options.base not in ("", recorded):
        raise Refused(
            f"{agent_name(branch.agent)} is incomplete: its spawn from {recorded[:12]} was interrupted",
            hint=f"git hub-session spawn {history.session}",
        )
    return recorded


def _refuse_other_start(
    branch: AgentBranch, session: Session, repo: GitRepo, options: SpawnOptions
) -> None:
    """Raise Refused if an existing agent starts from another commit than that of `--base`."""
    if not options.base or options.base == find_base_commit(session, repo, branch):
        return
    name = agent_name(branch.agent)
    agents = f"--retry {name} --base {options.base}"
    raise Refused(
        f"{name} exists already, and starts from another commit",
        hint=f"git hub-session spawn {agents} {session.id}",
    )


def _requested_agents(session: Session, repo: GitRepo, options: SpawnOptions) -> Sequence[int]:
    """Return the numbers of the agents that must exist after the spawn.

    If the session accepts no more agents, only agents of an interrupted spawn are allowed.
    Raise Refused for other agents.
    """
    numbers = [options.retry] if options.retry else options.agents
    if accepts_agents(session, repo):
        return numbers or all_agents(session)
    interrupted = [] if session.state in FINISHED else interrupted_spawns(session)
    if not interrupted or not {*numbers} <= {*interrupted}:
        raise WrongState(
            f"session '{session.id}' is '{session.state}': it accepts no more agents",
            hint=_no_more_agents_hint(session, numbers, options),
        )
    return numbers or interrupted


def _no_more_agents_hint(session: Session, numbers: Sequence[int], options: SpawnOptions) -> str:
    """Return the command for a session that accepts no more agents.

    A session that is evaluated accepts a commit as the next attempt of an agent. Without --base,
    `--retry` starts from the base commit of the session.
    """
    commit = options.base or (session.base_commit if options.retry else "")
    if session.state is not State.EVALUATING or not commit or len(numbers) != 1:
        return NEW_SESSION_HINT
    if not session.agent_record(agent_name(numbers[0])).attempt:
        return NEW_SESSION_HINT  # the session accepts no new agent
    return f"git hub-session adopt {session.id} {agent_name(numbers[0])} {commit}"


def _refuse_if_occupied(
    path: str,
    branch: AgentBranch,
    planned: Sequence[PlannedAgent],
    worktrees: Sequence[Worktree],
    project: Project,
) -> None:
    if path in (agent.path for agent in planned):
        raise Refused(f"two agents cannot share '{path}'", hint=CHOOSE_PATH_HINT)
    if not can_create_at(path):
        _refuse_if_branch_deleted(branch, worktrees)
        _refuse_if_branch_left(path, branch, worktrees, project)
        raise Refused(*occupied_reason(path, branch, worktrees, project))
    unwritable = unwritable_reason(path, project.paths.common_dir, branch.ref)
    if unwritable:
        raise Refused(*unwritable)


def _last_archived_attempts(session: Session, repo: GitRepo) -> dict[int, int]:
    tags = session_archived_attempts(session, archived_refs(session.id, repo))
    return {branch.agent: branch.attempt for branch in sorted(tags)}


def _refuse_if_branch_deleted(branch: AgentBranch, worktrees: Sequence[Worktree]) -> None:
    """Raise Refused if a worktree has the branch checked out: the user deleted the branch."""
    for worktree in worktrees:
        if worktree.head == branch.ref:
            raise Refused(
                f"'{short_name(branch.ref)}' was deleted while checked out in '{worktree.path}'",
                hint=restore_branch_command(worktree) or f"git hub-session doctor {branch.session}",
            )


def _refuse_if_branch_left(
    path: str, branch: AgentBranch, worktrees: Sequence[Worktree], project: Project
) -> None:
    """Raise Refused if the agent has left or renamed the branch of the worktree at the path."""
    for worktree in worktrees:
        has_left_branch = has_other_branch(worktree, branch.ref) and was_created_for(
            worktree, branch
        )
        reason = unusable_reason(worktree, branch, project) if has_left_branch else None
        if reason and is_same_path(worktree.path, path):
            raise Refused(f"'{path}': {reason[0]}", hint=reason[1])


def _choose_base_commit(
    session: Session, repo: GitRepo, options: SpawnOptions, *, is_needed: bool
) -> str:
    """Return the commit for all agents for which `--base` names no other commit.

    If it is not needed, return the recorded commit even if the repository does not have it.
    """
    if repo.has_commit(session.base_commit):
        return session.base_commit
    if not is_needed:
        return session.base_commit
    if session.base_commit and not options.base:
        raise Refused(
            f"the commit that the agents start from is missing: {session.base_commit}",
            hint=f"git hub-session spawn {session.id} --base {quote_word(session.config.base_branch)}",
        )
    base = options.base or repo.tip(HEADS + session.config.base_branch)
    if not base:
        raise NoSuchBranch(
            f"no such branch: '{session.config.base_branch}', the base branch of session '{session.id}'",
            hint=f"git hub-session spawn {session.id} --base HEAD",
        )
    return base
