"""Which agents a spawn is to make, and where; nothing is changed here."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from git_hub_session.errors import Refused
from git_hub_session.operations.agents import (
    ANOTHER,
    SPAWNING,
    all_agents,
    attempts,
    half_made,
    is_free,
    takes_agents,
    worktree_path,
)
from git_hub_session.operations.halfmade import INITIALIZING, left_behind
from git_hub_session.operations.judge import head_back
from git_hub_session.operations.offbranch import in_the_way
from git_hub_session.operations.returns import archived_of
from git_hub_session.operations.scene import Scene
from git_hub_session.refnames import HEADS, AgentBranch, archive_prefix, short
from git_hub_session.session import Session
from git_hub_session.states import FINISHED, State
from git_hub_session.typed import TYPE_CHECKING, NamedTuple
from git_hub_session.worktrees import Worktree

if TYPE_CHECKING:
    from git_hub_session.gitrepo import GitRepo


class Wish(NamedTuple):
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


class Newborn(NamedTuple):
    """An agent's branch and worktree, made or to be made."""

    branch: AgentBranch
    path: str
    has_branch: bool
    """Whether a call that was cut off made the branch."""
    left: Worktree | None
    """The worktree, or the half of one, that such a call left: not this call's to take back."""


class Spawned(NamedTuple):
    """What a spawn made, or would make."""

    session: Session
    """As it was before."""
    base: str
    made: tuple[Newborn, ...]
    present: tuple[AgentBranch, ...]
    """The agents that were there already."""
    state: State
    """The session's now."""
    notes: tuple[str, ...] = ()


def plan_spawn(
    session: Session, scene: Scene, wish: Wish, worktrees: Sequence[Worktree]
) -> Spawned:
    """What is to be made; raises Refused."""
    known_attempts, archived = attempts(session.id, scene.repo), _archived(session, scene.repo)
    made: list[Newborn] = []
    present: list[AgentBranch] = []
    away: list[int] = []
    for number in _meant(session, scene.repo, wish):
        last = max(known_attempts.get(number, ()), default=0)
        following = max(last, archived.get(number, 0)) + 1
        known = session.agent(f"agent-{number}")
        marked = known.get("status") == SPAWNING and known.get("attempt") in (last or 1, following)
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
        attempt = last if marked and known.get("attempt") == last else following
        branch = AgentBranch(session.id, number, attempt)
        path = worktree_path(wish.template, scene.place, branch)
        left = left_behind(branch, path, worktrees, INITIALIZING) if marked else None
        if left is None:
            _refuse_if_taken(path, branch, made, worktrees, scene)
        made.append(Newborn(branch, left.path if left else path, attempt == last, left))
    if away and (wish.agents or not made):
        hint = f"git hub-session restore {session.id}"
        raise Refused(f"agent-{away[0]} is archived: it is not begun anew", hint)
    base = _base(session, scene.repo, wish, is_needed=bool(made))
    begins = session.state is State.INIT and (made or present)
    state = State.RUNNING if begins else session.state
    return Spawned(session, base, tuple(made), tuple(present), state)


def _meant(session: Session, repo: GitRepo, wish: Wish) -> Sequence[int]:
    """The agents that are to be there; of a session that takes no more of them those that were half-made. Raises Refused."""
    numbers = [wish.retry] if wish.retry else wish.agents
    if takes_agents(session, repo):
        return numbers or all_agents(session)
    half = [] if session.state in FINISHED else half_made(session)
    if not half or not {*numbers} <= {*half}:
        raise Refused(
            f"session '{session.id}' is '{session.state}': it takes no more agents", hint=ANOTHER
        )
    return numbers or half


def _refuse_if_taken(
    path: str,
    branch: AgentBranch,
    made: Sequence[Newborn],
    worktrees: Sequence[Worktree],
    scene: Scene,
) -> None:
    if path in (one.path for one in made):
        raise Refused(f"'{path}' would be two agents'", hint="choose another --path")
    if not is_free(path):
        _refuse_if_lost(branch, worktrees)
        raise Refused(*in_the_way(path, branch, worktrees, scene))


def _archived(session: Session, repo: GitRepo) -> dict[int, int]:
    """{agent: its last archived attempt}"""
    found = archived_of(session, repo.refs(archive_prefix(session.id)))
    return {branch.agent: branch.attempt for branch in sorted(found)}


def _refuse_if_lost(branch: AgentBranch, worktrees: Sequence[Worktree]) -> None:
    """Raise Refused where a worktree has the branch checked out which is to be made: somebody deleted it."""
    for worktree in worktrees:
        if worktree.head == branch.ref:
            raise Refused(
                f"'{short(branch.ref)}' was deleted, and is checked out in '{worktree.path}'",
                hint=head_back(worktree),
            )


def _base(session: Session, repo: GitRepo, wish: Wish, *, is_needed: bool) -> str:
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
