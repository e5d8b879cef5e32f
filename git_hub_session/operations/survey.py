"""One session whole: its branches, its worktrees, and where each stands. Read-only."""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session import procfs
from git_hub_session.errors import Damaged
from git_hub_session.operations.agents import base_of
from git_hub_session.operations.examine import examine, read_index
from git_hub_session.operations.ownership import own_worktrees
from git_hub_session.operations.scene import Scene
from git_hub_session.refnames import (
    AgentBranch,
    branch_prefix,
    natural_key,
    parse_agent_branch,
)
from git_hub_session.typed import TYPE_CHECKING, NamedTuple
from git_hub_session.worktrees import Worktree, linked_worktrees

if TYPE_CHECKING:
    from git_hub_session.gitrepo import Branch, DiffStat, GitRepo
    from git_hub_session.session import Session


class BranchFacts(NamedTuple):
    """One branch of a session, held against the base; None is what cannot be known."""

    branch: Branch
    agent: AgentBranch | None
    ahead: int | None
    behind: int | None
    diff: DiffStat | None
    frontier: bool
    """Whether no other tip of the session contains this one."""


class WorktreeFacts(NamedTuple):
    """One worktree of a session, and what is uncommitted in it; None is what cannot be known."""

    worktree: Worktree
    branch: str
    changed: int | None
    untracked: int | None
    users: tuple[int, ...]
    """The processes whose current directory is in it."""


class Survey(NamedTuple):
    """A session, its branches in natural order, and its worktrees."""

    session: Session
    branches: tuple[BranchFacts, ...]
    worktrees: tuple[WorktreeFacts, ...]


def survey(session: Session, scene: Scene, processes: Sequence[procfs.Process]) -> Survey:
    """Look at all that belongs to a session; nothing is locked or written."""
    repo, worktrees = scene.repo, linked_worktrees(scene.place.common_dir)
    branches = repo.branches(branch_prefix(session.id))
    base = base_of(session, repo)
    frontier = repo.frontier(branch.oid for branch in branches if branch.oid)
    return Survey(
        session,
        tuple(
            _branch_facts(branch, base, frontier, repo)
            for branch in sorted(branches, key=lambda branch: natural_key(branch.ref))
        ),
        tuple(
            worktree_facts(worktree, branch, repo, processes)
            for worktree, branch in own_worktrees(session.id, scene, worktrees)
        ),
    )


def _branch_facts(
    branch: Branch, base: str, frontier: frozenset[str], repo: GitRepo
) -> BranchFacts:
    ahead = behind = diff = None
    if branch.oid and base:
        ahead, behind = repo.ahead_behind(branch.oid, base)
        diff = repo.diff_stat(branch.oid, base)
    agent = parse_agent_branch(branch.ref)
    return BranchFacts(branch, agent, ahead, behind, diff, branch.oid in frontier)


def worktree_facts(
    worktree: Worktree, branch: str, repo: GitRepo, processes: Sequence[procfs.Process]
) -> WorktreeFacts:
    """What is uncommitted in a worktree, as far as it can be known, and who stands in it."""
    changed = untracked = None
    if not worktree.missing and not worktree.fault:
        try:
            index, written = read_index(worktree)
            if not index.partial:
                seen = examine(worktree, repo, index, written)
                changed = seen.changes
                untracked = len(seen.untracked) + len(seen.special) + len(seen.repositories)
        except (Damaged, OSError):
            pass  # shown as unknown; cleanup says why
    users = procfs.processes_in(worktree.path, processes)
    return WorktreeFacts(worktree, branch, changed, untracked, tuple(users))
