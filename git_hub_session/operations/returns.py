"""What can come back of a session: for each agent its last attempt, from where, to where, with which work.

What the session has of paths and refs only ever chooses among what is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from git_hub_session.errors import Refused
from git_hub_session.operations import removal
from git_hub_session.operations.agents import is_free, told_attempt, worktree_path
from git_hub_session.operations.archive import archived_attempts
from git_hub_session.operations.halfmade import INITIALIZING, left_behind
from git_hub_session.operations.note import ASIDE, unfinished
from git_hub_session.operations.offbranch import in_the_way, unfit
from git_hub_session.operations.ownership import own_worktrees
from git_hub_session.operations.scene import Scene
from git_hub_session.refnames import (
    AgentBranch,
    archive_prefix,
    branch_prefix,
    parse_agent_branch,
    rescue_number,
    rescue_prefix,
)
from git_hub_session.session import Session
from git_hub_session.typed import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.worktrees import Worktree

if TYPE_CHECKING:
    from git_hub_session.gitrepo import GitRepo

LOCK = "git hub-session restore is not done with it"
"""The reason for which a worktree is locked until it is whole."""

RESTORING = "restoring"
"""What the session says of an agent meanwhile."""


class Wish(NamedTuple):
    """What is to be restored."""

    agent: int = 0
    """0: every agent that has something to bring back."""
    template: str = ""


class Unapplied(NamedTuple):
    """A rescue ref that is left as it is: 'work' made at another commit, or 'commits'."""

    ref: str
    kind: str


class Return(NamedTuple):
    """A worktree that comes back."""

    branch: AgentBranch
    path: str
    commit: str
    """The object id of the branch's tip."""
    tag: str = ""
    """The full ref of the tag that the branch is made from; '' where it is there."""
    work: str = ""
    """The rescue ref that is applied, or ''."""
    unapplied: tuple[Unapplied, ...] = ()

    @property
    def agent(self) -> str:
        """ "agent-2"."""
        return f"agent-{self.branch.agent}"


class Present(NamedTuple):
    """A worktree that is there."""

    branch: AgentBranch
    worktree: Worktree


class Failed(NamedTuple):
    """A worktree that cannot be brought back, and why; nothing of it is left half-made."""

    branch: AgentBranch
    reason: str
    hint: str = ""


class Restored(NamedTuple):
    """What a restore did, or would do."""

    session: Session
    made: tuple[Return, ...]
    present: tuple[Present, ...]
    failed: tuple[Failed, ...]
    notes: tuple[str, ...] = ()


def plan_restore(
    session: Session, scene: Scene, wish: Wish, worktrees: Sequence[Worktree]
) -> Restored:
    """What is to become of each agent's last attempt, given the repository's `worktrees`; nothing is changed."""
    tips = _last_attempts(session, scene.repo)
    if wish.agent and wish.agent not in tips:
        raise Refused(
            f"agent-{wish.agent} has neither a branch nor an archive tag",
            hint=f"git hub-session status {session.id}",
        )
    own = own_worktrees(session.id, scene, worktrees)
    off = {ref: worktree for worktree, ref in own if not worktree.branches}
    made: list[Return] = []
    present: list[Present] = []
    failed: list[Failed] = []
    for number in [wish.agent] if wish.agent else sorted(tips):
        one = _judged(tips[number], session, scene, wish, worktrees, off)
        if isinstance(one, Return):
            made.append(one)
        elif isinstance(one, Present):
            present.append(one)
        else:
            failed.append(one)
    return Restored(session, tuple(made), tuple(present), tuple(failed))


def _last_attempts(session: Session, repo: GitRepo) -> dict[int, Return]:
    """{agent: its last attempt, from its branch or else its tag}; the path is not chosen yet."""
    tags = archived_of(session, repo.refs(archive_prefix(session.id)))
    tips = {branch: Return(branch, "", repo.tip(tag), tag) for branch, tag in tags.items()}
    for ref in repo.refs(branch_prefix(session.id)):
        branch = parse_agent_branch(ref)
        if branch is not None:
            tips[branch] = Return(branch, "", repo.tip(ref))
    return {branch.agent: tips[branch] for branch in sorted(tips) if tips[branch].commit}


def archived_of(session: Session, tags: Sequence[str]) -> dict[AgentBranch, str]:
    """{attempt: its tag} of what is archived of the session, given the tags that are its own."""
    return archived_attempts(session.id, tags, lambda agent: told_attempt(session, agent))


def _judged(
    one: Return,
    session: Session,
    scene: Scene,
    wish: Wish,
    worktrees: Sequence[Worktree],
    off: Mapping[str, Worktree],
) -> Return | Present | Failed:
    """What is to become of an agent's last attempt; `off` has worktrees that were taken off their branches."""
    branch, known = one.branch, session.agent(one.agent)
    path = worktree_path(wish.template, scene.place, branch)
    found = left_behind(branch, path, worktrees, LOCK) or off.get(branch.ref)
    cut_off = known.get("status") == RESTORING and known.get("attempt") == branch.attempt
    if found is not None:
        if not (cut_off and is_half_made(found)) and not removal.is_half_removed(found):
            return _as_it_is(branch, found, session, scene)
        path = found.path
    elif not is_free(path):
        return Failed(branch, *in_the_way(path, branch, worktrees, scene))
    work, unapplied = _work(branch, one.commit, known, scene.repo)
    return one._replace(path=path, work=work, unapplied=unapplied)


def is_half_made(worktree: Worktree) -> bool:
    """Whether a worktree that a restore was making is not whole."""
    # git takes the lock away where it fails, and has written no index then.
    return worktree.lock == LOCK or not (worktree.lock or worktree.indexed)


def _as_it_is(
    branch: AgentBranch, found: Worktree, session: Session, scene: Scene
) -> Present | Failed:
    """A worktree that is not to be made: there, or in the way of it."""
    if found.lock == INITIALIZING:
        hint = f"git hub-session spawn {session.id}"
        return Failed(branch, f"'{found.path}' is half-made by git", hint)
    if found.missing and unfinished(found).step != ASIDE:
        hint = f"git hub-session cleanup {session.id}"
        return Failed(branch, f"its worktree '{found.path}' is missing, but registered", hint)
    wrong = None if found.missing else unfit(found, branch, scene)
    return Failed(branch, *wrong) if wrong else Present(branch, found)


def _work(
    branch: AgentBranch, commit: str, known: Mapping[str, Any], repo: GitRepo
) -> tuple[str, tuple[Unapplied, ...]]:
    """The rescue ref that is to be applied at `commit` ('' if none is), and those that are only named.

    The work is that which the last cleanup says the worktree left; where it does not say, the
    newest at `commit`. Older work was brought back before, or given up.
    """
    prefix = rescue_prefix(branch.session, branch.ref)
    numbers = {ref: rescue_number(ref, prefix) for ref in repo.refs(prefix)}
    numbered = [(number, ref) for ref, number in numbers.items() if number is not None]
    refs = [ref for _, ref in sorted(numbered, reverse=True)]
    stashes = {ref: stash[0] for ref in refs if (stash := repo.stash_of(ref))}
    attempt, left = f"attempt-{branch.attempt}", known.get("work")
    meant = [*stashes]
    if isinstance(left, dict) and attempt in left:
        meant = [ref for ref in stashes if ref == left[attempt]]
    work = next((ref for ref in meant if stashes[ref] == commit), "")
    unapplied = [Unapplied(ref, "work") for ref in meant[:1] if ref != work]
    commits = {ref: repo.tip(ref) for ref in refs if ref not in stashes}
    unapplied += [
        Unapplied(ref, "commits")
        for ref, oid in commits.items()
        if oid and repo.ahead_behind(oid, commit)[0]
    ]
    return work, tuple(unapplied)
