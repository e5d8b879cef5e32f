"""Each worktree of a session judged: may it go, and what has to be saved first."""

from __future__ import annotations

import os
from collections.abc import Container, Sequence

from git_hub_session import procfs
from git_hub_session.errors import Damaged, HubError
from git_hub_session.gitindex import Index
from git_hub_session.operations import removal
from git_hub_session.operations.examine import (
    WorktreeChanges,
    read_changes,
    head_commit,
    read_index,
    staged_paths,
)
from git_hub_session.operations.judge import (
    Reason,
    WorktreeUsage,
    reason_after_looking,
    reason_before_looking,
    paths_to_save,
)
from git_hub_session.operations.links import (
    move_back_command,
    move_aside_command,
    relink_command,
    repair_command,
)
from git_hub_session.operations.neighbors import Neighbors
from git_hub_session.operations.note import STEP_TRASH, read_journal
from git_hub_session.operations.offbranch import detached_reason, reattach_command
from git_hub_session.operations.ownership import session_worktrees
from git_hub_session.operations.policy import CleanupOptions
from git_hub_session.operations.rescue import IndexCopy
from git_hub_session.operations.scene import Project
from git_hub_session.operations.whereabouts import (
    is_parent_missing,
    moved_paths,
    can_repair,
    find_moved_with_repository,
    expected_paths,
)
from git_hub_session.refnames import SessionId, parse_agent_branch
from git_hub_session.sidebyside import parallel_map
from git_hub_session.tree import EMPTY_DIRECTORY
from git_hub_session.typed import TYPE_CHECKING, NamedTuple
from git_hub_session.worktrees import (
    Worktree,
    is_inside,
)

if TYPE_CHECKING:
    from git_hub_session.gitrepo import GitRepo


class WorktreePlan(NamedTuple):
    """What is to become of one worktree: kept for `reason`, or removed."""

    worktree: Worktree
    branch: str
    reason: Reason | None
    fingerprint: removal.Fingerprint | None = None
    """What it was judged by, where it was looked into."""
    head: str = ""
    has_changes: bool = False
    """Whether there is work to save, as far as can be told without git."""
    commits: tuple[str, ...] = ()
    """Commits that need a ref of their own."""
    is_marked_for_deletion: bool = False
    """A killed run left it to be deleted: nothing is judged or saved again."""
    saved_before: tuple[str, ...] = ()
    """What that run saved, as its note says."""


def plan_cleanup(
    sid: SessionId,
    project: Project,
    policy: CleanupOptions,
    neighbors: Neighbors,
    entries: Container[str] | None = None,
) -> list[WorktreePlan]:
    """Judge every worktree of the session (or those of these `entries`) among the repository's; nothing is changed."""
    worktrees = neighbors.worktrees

    def judge(pair: tuple[Worktree, str]) -> WorktreePlan:
        worktree, branch = pair
        around = inspect_usage(worktree, sid, project, neighbors)
        if worktree.is_missing:
            away, back = _away(sid, worktree, worktrees, project)
            around = around._replace(
                moved_to=away, back=back, is_parent_missing=is_parent_missing(worktree)
            )
        if detached_reason(worktree):
            around = around._replace(onto=_way_onto(worktree, branch, project))
        return plan_worktree(worktree, branch, project, policy, around)

    pairs = session_worktrees(sid, project, worktrees)
    return parallel_map(
        judge, [one for one in pairs if entries is None or one[0].git_dir in entries]
    )


def _away(
    sid: SessionId, worktree: Worktree, worktrees: Sequence[Worktree], project: Project
) -> tuple[str, str]:
    """Where the directory of a worktree that is missing lies, and what to type then; ('', '') where nobody knows."""
    for found in moved_paths(worktree, worktrees):
        return found, move_back_command(found, worktree)
    found = find_moved_with_repository(worktree, expected_paths(worktree, project))
    if found and can_repair(found, worktree, worktrees):
        return found, f"git hub-session doctor --fix {sid}"
    return found, relink_command(found, worktree) if found else ""


def _way_onto(worktree: Worktree, branch: str, project: Project) -> str:
    agent = parse_agent_branch(branch)
    if worktree.is_missing or agent is None:
        return repair_command(worktree)
    return reattach_command(worktree, agent, project)


def plan_worktree(
    worktree: Worktree,
    branch: str,
    project: Project,
    policy: CleanupOptions,
    around: WorktreeUsage,
) -> WorktreePlan:
    note = read_journal(worktree)
    if removal.is_marked_for_deletion(worktree):
        return WorktreePlan(
            worktree, branch, None, is_marked_for_deletion=True, saved_before=note.saved
        )
    if note.step and os.path.lexists(note.trash) and os.path.lexists(worktree.path):
        fault = f"its directory was moved to '{note.trash}', and something else lies in its place"
        return WorktreePlan(
            worktree, branch, Reason("stuck", fault, move_aside_command(worktree.path))
        )
    if (
        note.step == STEP_TRASH and worktree.is_missing
    ):  # a dry run: a real one has put it back by now
        fault = f"a removal of it was cut off: its directory waits in '{note.trash}'"
        return WorktreePlan(
            worktree, branch, Reason("stuck", fault, "cleanup puts it back and goes on")
        )
    reason = reason_before_looking(worktree, around, policy)
    if reason is not None:
        return WorktreePlan(worktree, branch, reason)
    try:
        seen = inspect_changes(worktree, project)
        own = worktree.own_commits()
        commits = project.repo.unreachable(own)
    except Damaged as fault:
        return WorktreePlan(worktree, branch, Reason("unreadable-index", fault.message))
    except (OSError, HubError) as fault:
        hint = fault.hint if isinstance(fault, HubError) else ""
        reason = Reason("unreadable", f"cannot be looked at: {describe(fault)}", hint)
        return WorktreePlan(worktree, branch, reason)
    reason = reason_after_looking(worktree, seen, policy)
    return WorktreePlan(
        worktree,
        branch,
        reason,
        fingerprint=_make_fingerprint(seen, own),
        head=seen.head,
        has_changes=not policy.discard
        and bool(seen.staged or seen.changed or paths_to_save(seen, policy)),
        commits=() if reason else tuple(commits),
    )


def _make_fingerprint(seen: WorktreeChanges, own: Sequence[str]) -> removal.Fingerprint:
    tracked = frozenset(path for path in seen.git_index.entries if path.endswith(b"/HEAD"))
    return removal.Fingerprint(seen.tree.digest(), tracked, removal.commits_digest(own))


def describe(fault: HubError | OSError) -> str:
    """What a fault says, without a number that says nothing to people."""
    if not isinstance(fault, OSError):
        return fault.message
    where = f": '{fault.filename}'" if fault.filename else ""
    return f"{fault.strerror or fault}{where}"


def reason_from_error(fault: Exception) -> Reason:
    """Why a worktree had to stay, as what its removal raised says it."""
    if isinstance(fault, removal.RemovalBlocked):
        return fault.reason
    if isinstance(fault, removal.ModifiedDuringRemoval):
        return Reason("changed", f"written into while it was removed: what is new is in '{fault}'")
    if isinstance(fault, removal.RemovalFailed):
        return Reason("stuck", str(fault), fault.hint)
    message = describe(fault) if isinstance(fault, HubError | OSError) else str(fault)
    return Reason("stuck", message, "try again")


def inspect_changes(worktree: Worktree, project: Project) -> WorktreeChanges:
    """Examine a worktree; a split or sparse index is completed by git. Raises Damaged, OSError, GitFailed."""
    index, written = read_index(worktree)
    if index.incomplete:
        index = IndexCopy(project.git, worktree).read_full_index()
    if worktree.is_missing:
        return _staged_only(worktree, project.repo, index)
    return read_changes(worktree, project.repo, index, written)


def _staged_only(worktree: Worktree, repo: GitRepo, index: Index) -> WorktreeChanges:
    """What is left of a worktree whose directory is gone: what was staged."""
    head = head_commit(worktree, repo)
    staged = staged_paths(head, repo, index) if index.entries else frozenset()
    return WorktreeChanges(head, EMPTY_DIRECTORY, index, staged, frozenset(), (), (), (), (), ())


def inspect_usage(
    worktree: Worktree,
    sid: SessionId,
    project: Project,
    neighbors: Neighbors,
) -> WorktreeUsage:
    top = os.path.realpath(worktree.path) if worktree.path else ""
    return WorktreeUsage(
        sid,
        is_inside(os.path.realpath(project.cwd), top),
        procfs.describe_processes(procfs.processes_in(top, neighbors.processes)),
        tuple(point for point in neighbors.mounts if is_inside(point, top)),
        neighbors.inside(top, worktree.git_dir) if top else (),
    )
