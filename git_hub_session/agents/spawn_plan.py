"""Which agents a spawn is to make, and where; nothing is changed here."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import Refused
from git_hub_session.git.ref_names import HEADS, AgentBranch, agent_name, archive_prefix, short_name
from git_hub_session.git.worktrees import Worktree
from git_hub_session.removal.partial_add import find_partial
from git_hub_session.session.agents import (
    NEW_SESSION_HINT,
    accepts_agents,
    all_agents,
    attempts_by_agent,
    interrupted_spawns,
)
from git_hub_session.session.archived import session_archived_attempts
from git_hub_session.session.model import Session
from git_hub_session.session.project import Project
from git_hub_session.session.state import FINISHED, AgentStatus, State
from git_hub_session.worktree.detached import occupied_reason, restore_branch_command
from git_hub_session.worktree.locks import GIT_ADD_LOCK
from git_hub_session.worktree.paths import can_create_at, worktree_path

if TYPE_CHECKING:
    from git_hub_session.git.repository import GitRepo


class SpawnOptions(NamedTuple):
    """What is to be spawned."""

    agents: Sequence[int] = ()
    """Their numbers; none: all of the session."""
    retry: int = 0
    """The agent that is to make another attempt, instead."""
    base: str = ""
    """The object id of the commit to start from; '': the tip of the base branch."""
    template: str = ""
    jobs: int | None = None
    """How many to make side by side; None: one a processor."""


class PlannedAgent(NamedTuple):
    """An agent's branch and worktree, made or to be made."""

    branch: AgentBranch
    path: str
    has_branch: bool
    """Whether a call that was cut off made the branch."""
    partial_worktree: Worktree | None
    """The worktree, or the half of one, that such a call left: not this call's to take back."""


class SpawnResult(NamedTuple):
    """What a spawn made, or would make."""

    session: Session
    """As it was before."""
    base: str
    created: tuple[PlannedAgent, ...]
    present: tuple[AgentBranch, ...]
    """The agents that were there already."""
    state: State
    """The session's now."""
    notes: tuple[str, ...] = ()


def plan_spawn(
    session: Session, project: Project, wish: SpawnOptions, worktrees: Sequence[Worktree]
) -> SpawnResult:
    """What is to be made; raises Refused."""
    known_attempts, archived = (
        attempts_by_agent(session.id, project.repo),
        _last_archived_attempts(session, project.repo),
    )
    made: list[PlannedAgent] = []
    present: list[AgentBranch] = []
    away: list[int] = []
    for number in _requested_agents(session, project.repo, wish):
        last = max(known_attempts.get(number, ()), default=0)
        following = max(last, archived.get(number, 0)) + 1
        known = session.agent_record(agent_name(number))
        marked = known.status == AgentStatus.SPAWNING and known.attempt in (last or 1, following)
        if number in archived and not (last or marked or wish.retry):
            away.append(number)
            continue
        if wish.retry and following == 1:
            raise Refused(
                f"agent-{number} has made no attempt yet", hint="spawn it without --retry"
            )
        if last and not marked and not wish.retry:
            present.append(AgentBranch(session.id, number, last))
            continue
        attempt = last if marked and known.attempt == last else following
        branch = AgentBranch(session.id, number, attempt)
        path = worktree_path(wish.template, project.paths, branch)
        left = find_partial(branch, path, worktrees, GIT_ADD_LOCK) if marked else None
        if left is None:
            _refuse_if_occupied(path, branch, made, worktrees, project)
        made.append(PlannedAgent(branch, left.path if left else path, attempt == last, left))
    if away and (wish.agents or not made):
        hint = f"git hub-session restore {session.id}"
        raise Refused(f"agent-{away[0]} is archived: it is not begun anew", hint)
    base = _choose_base_commit(session, project.repo, wish, is_needed=bool(made))
    begins = session.state is State.INIT and (made or present)
    state = State.RUNNING if begins else session.state
    return SpawnResult(session, base, tuple(made), tuple(present), state)


def _requested_agents(session: Session, repo: GitRepo, wish: SpawnOptions) -> Sequence[int]:
    """The agents that are to be there; of a session that takes no more of them those that were half-made. Raises Refused."""
    numbers = [wish.retry] if wish.retry else wish.agents
    if accepts_agents(session, repo):
        return numbers or all_agents(session)
    half = [] if session.state in FINISHED else interrupted_spawns(session)
    if not half or not {*numbers} <= {*half}:
        raise Refused(
            f"session '{session.id}' is '{session.state}': it takes no more agents",
            hint=NEW_SESSION_HINT,
        )
    return numbers or half


def _refuse_if_occupied(
    path: str,
    branch: AgentBranch,
    made: Sequence[PlannedAgent],
    worktrees: Sequence[Worktree],
    project: Project,
) -> None:
    if path in (one.path for one in made):
        raise Refused(f"'{path}' would be two agents'", hint="choose another --path")
    if not can_create_at(path):
        _refuse_if_branch_deleted(branch, worktrees)
        raise Refused(*occupied_reason(path, branch, worktrees, project))


def _last_archived_attempts(session: Session, repo: GitRepo) -> dict[int, int]:
    """{agent: its last archived attempt}"""
    found = session_archived_attempts(session, repo.refs(archive_prefix(session.id)))
    return {branch.agent: branch.attempt for branch in sorted(found)}


def _refuse_if_branch_deleted(branch: AgentBranch, worktrees: Sequence[Worktree]) -> None:
    """Raise Refused where a worktree has the branch checked out which is to be made: somebody deleted it."""
    for worktree in worktrees:
        if worktree.head == branch.ref:
            raise Refused(
                f"'{short_name(branch.ref)}' was deleted, and is checked out in '{worktree.path}'",
                hint=restore_branch_command(worktree),
            )


def _choose_base_commit(
    session: Session, repo: GitRepo, wish: SpawnOptions, *, is_needed: bool
) -> str:
    """The commit that all agents of the session start from."""
    if repo.has_commit(session.base_commit):
        if wish.base and wish.base != session.base_commit:
            raise Refused(f"the agents of session '{session.id}' start from {session.base_commit}")
        return session.base_commit
    if not is_needed:
        return session.base_commit
    if session.base_commit and not wish.base:
        raise Refused(
            f"the commit that the agents start from is gone: {session.base_commit}",
            hint=f"git hub-session spawn {session.id} --base {quote(session.config.base_branch)}",
        )
    base = wish.base or repo.tip(HEADS + session.config.base_branch)
    if not base:
        raise Refused(
            f"no such branch: '{session.config.base_branch}', the base of session '{session.id}'",
            hint="name a commit with --base",
        )
    return base
