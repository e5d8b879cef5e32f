"""Each worktree of a session judged: may it go, and what has to be saved first."""

from __future__ import annotations

import os
from collections.abc import Container, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.cleanup.options import CleanupOptions
from git_hub_session.cleanup.rules import paths_to_save, reason_after_looking, reason_before_looking
from git_hub_session.errors import Damaged, HubError, describe
from git_hub_session.git.ref_names import SessionId, parse_agent_branch
from git_hub_session.git.worktrees import Worktree
from git_hub_session.removal import remove as removal
from git_hub_session.removal.inspect import WorktreeUsage, _away, inspect_changes, inspect_usage
from git_hub_session.removal.journal import STEP_TRASH, is_marked_for_deletion, read_journal
from git_hub_session.system.parallel import parallel_map
from git_hub_session.worktree.changes import WorktreeChanges
from git_hub_session.worktree.detached import detached_reason, reattach_command
from git_hub_session.worktree.neighbors import Neighbors
from git_hub_session.worktree.owner import session_worktrees
from git_hub_session.worktree.reason import Reason
from git_hub_session.worktree.relocation import is_parent_missing
from git_hub_session.worktree.repair_commands import move_aside_command, repair_command

if TYPE_CHECKING:
    from git_hub_session.session.project import Project


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
    if is_marked_for_deletion(worktree):
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
        message, hint = describe(fault)
        reason = Reason("unreadable", f"cannot be looked at: {message}", hint)
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
