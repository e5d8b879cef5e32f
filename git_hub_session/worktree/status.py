"""Read one session: its branches compared with the base branch, and its worktrees.

Nothing is written and no lock is taken. git is started only to run its filters (tracked_files.py).

The comparison needs few walks over the commits, however many branches there are. One walk finds
the commits that are not in the base branch. The commits in memory then tell for each tip how far
it is ahead, and at which commits it left the base branch. Branches that left it at the same
commits share one more walk, which counts how far they are behind.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import Damaged
from git_hub_session.git.discovery import HUB_DIRECTORY
from git_hub_session.git.index import read_index
from git_hub_session.git.ref_names import (
    AgentBranch,
    agent_name,
    branch_prefix,
    parse_agent_branch,
)
from git_hub_session.git.worktrees import Worktree, linked_worktrees
from git_hub_session.session.agents import comparison_base, recorded_start
from git_hub_session.session.state import State
from git_hub_session.system import procfs
from git_hub_session.util.text import natural_key
from git_hub_session.worktree.changes import WorktreeChanges, read_changes
from git_hub_session.worktree.git_settings import settings_warnings
from git_hub_session.worktree.off_branch import off_branch_reason, wrong_branch_reason
from git_hub_session.worktree.owner import WorktreeIndex, reported_worktrees
from git_hub_session.worktree.tracked_files import FileReader

if TYPE_CHECKING:
    from typing import TypeVar

    from git_hub_session.git.diff import DiffStat
    from git_hub_session.git.repository import Branch, GitRepo
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project

    Item = TypeVar("Item")
    Value = TypeVar("Value")


_HUB = HUB_DIRECTORY.encode()
_MANY = 12
"""The smallest number of worktrees for which forks save more time than they cost."""


class BranchStatus(NamedTuple):
    """One branch of a session, compared with the base branch. An unknown figure is None."""

    branch: Branch
    agent: AgentBranch | None
    ahead: int | None
    behind: int | None
    diff: DiffStat | None
    frontier: bool
    """True if no other tip of the session contains this one."""
    has_own_commit: bool = True
    """False if it is an agent's branch without a commit of the agent's own."""
    guarded: tuple[str, ...] = ()
    """The guarded paths that the attempt changed, if they are known."""


class WorktreeStatus(NamedTuple):
    """One worktree of a session with its uncommitted changes. An unknown number is None."""

    worktree: Worktree
    branch: str
    changed: int | None
    untracked: int | None
    pids: tuple[int, ...]
    """The ids of the processes whose current directory is in the worktree."""
    wrong_branch: tuple[str, str] | None = None
    """The reason that the agent's commits are not on the branch, with a hint, or None."""
    uncommitted: int | None = None
    """The number of changed and untracked files that do not belong to a hub."""

    @property
    def off_branch(self) -> str:
        """The reason why commits in the worktree are not on the agent's branch, or ''."""
        if self.wrong_branch:
            return self.wrong_branch[0]
        return off_branch_reason(self.worktree, self.branch)

    @property
    def hint(self) -> str:
        """The command that adopts the other branch or recreates the deleted branch, or ''."""
        return self.wrong_branch[1] if self.wrong_branch else ""


class Divergence(NamedTuple):
    """A tip compared with the base branch. The numbers and the diff are None without a base."""

    ahead: int | None
    behind: int | None
    diff: DiffStat | None
    frontier: bool


class SessionStatus(NamedTuple):
    """A session, its branches in natural order, and its worktrees."""

    session: Session
    branches: tuple[BranchStatus, ...]
    worktrees: tuple[WorktreeStatus, ...]
    settings_warnings: tuple[str, ...] = ()
    """The warnings about changed settings of git and replaced objects."""


def read_session_status(
    session: Session, project: Project, processes: procfs.ProcessList
) -> SessionStatus:
    """Read the branches and the worktrees of a session."""
    repo = project.repo
    return SessionStatus(
        session,
        read_branch_statuses(session, comparison_base(session, repo), repo),
        tuple(_read_worktrees(session, project, processes)),
        tuple(settings_warnings(session, project.paths.common_dir)),
    )


def read_branch_statuses(session: Session, base: str, repo: GitRepo) -> tuple[BranchStatus, ...]:
    """Compare the branches of a session with `base`, the commit of the base branch, or ''."""
    branches = repo.branches(branch_prefix(session.id))
    tips = {branch.oid for branch in branches if branch.oid}
    divergences = compare_tips(tips, base, repo)
    return tuple(
        _read_branch_status(branch, divergences.get(branch.oid, _UNKNOWN), session)
        for branch in sorted(branches, key=lambda branch: natural_key(branch.ref))
    )


def _read_worktrees(
    session: Session, project: Project, processes: procfs.ProcessList
) -> list[WorktreeStatus]:
    def read(pair: tuple[Worktree, str]) -> WorktreeStatus:
        return read_worktree_status(*pair, project, processes)

    worktrees = linked_worktrees(project.paths.common_dir)
    return map_worktrees(read, reported_worktrees(session.id, project, WorktreeIndex(worktrees)))


def map_worktrees(function: Callable[[Item], Value], items: Sequence[Item]) -> list[Value]:
    """Return the value of a function for each worktree. Call it in forks for many worktrees."""
    if len(items) < _MANY:
        return list(map(function, items))
    from git_hub_session.system.parallel import parallel_map

    return parallel_map(function, items)


def _read_branch_status(branch: Branch, divergence: Divergence, session: Session) -> BranchStatus:
    agent = parse_agent_branch(branch.ref)
    own_start = recorded_start(session, agent) if agent else ""
    is_start = bool(branch.oid) and branch.oid in (own_start, session.base_commit)
    # The base branch contains the commits of the winner.
    is_merged = session.state is State.MERGED and agent == _merged_attempt(session)
    has_own_commit = agent is None or is_merged or not (divergence.ahead == 0 or is_start)
    guarded: tuple[str, ...] = ()
    if agent is not None:
        result = session.agent_record(agent_name(agent.agent))
        guarded = result.guarded if result.measured_attempt == agent.attempt else ()
    return BranchStatus(branch, agent, *divergence, has_own_commit, guarded)


def _merged_attempt(session: Session) -> AgentBranch | None:
    record = session.merge
    return AgentBranch(session.id, record.agent, record.attempt) if record else None


_UNKNOWN = Divergence(None, None, None, frontier=False)


def compare_tips(tips: Collection[str], base: str, repo: GitRepo) -> dict[str, Divergence]:
    """Compare all tips with `base`, the commit of the base branch. It is '' without one."""
    new = repo.commit_parents(tips, [base] if base else [])
    contained = {parent for parents in new.values() for parent in parents}
    if not base:
        return {tip: _UNKNOWN._replace(frontier=tip not in contained) for tip in tips}
    forks = {tip: _find_fork(tip, new) for tip in tips}
    merged = [tip for tip in tips if tip not in new]
    behind = {}
    for fork in {fork for _, fork in forks.values()}:
        missing = repo.commit_parents([base], fork)
        behind[fork] = len(missing)
        # A tip with this fork contains all commits of the base branch except the missing ones. The
        # fork of a merged tip is the tip itself, which does not count as contained.
        contained.update(tip for tip in merged if tip not in missing and fork != {tip})
    return {
        tip: Divergence(ahead, behind[fork], _diff(tip, fork, base, repo), tip not in contained)
        for tip, (ahead, fork) in forks.items()
    }


def _find_fork(tip: str, new: Mapping[str, Sequence[str]]) -> tuple[int, frozenset[str]]:
    """Return how many `new` commits a tip reaches, and the base commits that they start from."""
    reached = {tip}
    waiting = [tip]
    fork = set()
    while waiting:
        commit = waiting.pop()
        if commit not in new:
            fork.add(commit)
            continue
        parents = set(new[commit]) - reached
        reached |= parents
        waiting += parents
    return len(reached) - len(fork), frozenset(fork)


def _diff(tip: str, fork: frozenset[str], base: str, repo: GitRepo) -> DiffStat:
    # A single fork is the merge base. From there, no walk along the base branch is needed.
    return repo.diff_stat(tip, next(iter(fork)) if len(fork) == 1 else base)


def _untracked_count(changes: WorktreeChanges) -> int:
    paths = {*changes.untracked, *changes.special_files, *changes.repositories}
    return len(paths - changes.changed)


def uncommitted_paths(changes: WorktreeChanges) -> set[bytes]:
    """Return the paths of the uncommitted files.

    Leave out the files of a hub: agents write posts there, and nobody commits them.
    """
    paths = {*changes.staged, *changes.changed, *changes.untracked, *changes.special_files}
    paths.update(changes.repositories)
    return {path for path in paths if path.split(b"/")[0] != _HUB}


def read_worktree_changes(worktree: Worktree, project: Project) -> WorktreeChanges | None:
    """Return the uncommitted changes in a worktree, or None if they cannot be read.

    `cleanup` gives the reason.
    """
    if worktree.is_missing or worktree.link_error:
        return None
    reader = FileReader(project.repo, lambda: project.git)
    try:
        index, written = read_index(worktree.git_dir)
        return None if index.incomplete else read_changes(worktree, reader, index, written)
    except (Damaged, OSError):
        return None


def read_worktree_status(
    worktree: Worktree, branch: str, project: Project, processes: procfs.ProcessList
) -> WorktreeStatus:
    """Count the uncommitted changes in a worktree, and find the processes that use it."""
    changes = read_worktree_changes(worktree, project)
    changed = untracked = uncommitted = None
    if changes is not None:
        changed = changes.change_count
        untracked = _untracked_count(changes)
        uncommitted = len(uncommitted_paths(changes))
    pids = tuple(procfs.processes_in(worktree.path, processes))
    attempt = parse_agent_branch(branch)
    wrong = wrong_branch_reason(worktree, attempt, project) if attempt else None
    return WorktreeStatus(worktree, branch, changed, untracked, pids, wrong, uncommitted)
