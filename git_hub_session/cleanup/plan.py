"""Decide for each worktree of a session: keep or remove it, and what to save first."""

from __future__ import annotations

import os
from collections.abc import Container

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.cleanup.rules import CHANGES_RULES, USAGE_RULES, first_reason
from git_hub_session.removal.inspect import (
    Fingerprint,
    WorktreeState,
    inspect_changes,
    inspect_usage,
    state_fingerprint,
)
from git_hub_session.session import runs
from git_hub_session.system.parallel import parallel_map
from git_hub_session.worktree.owner import session_worktrees

if TYPE_CHECKING:
    from git_hub_session.cleanup.options import CleanupOptions
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.git.worktrees import Worktree
    from git_hub_session.session.project import Project
    from git_hub_session.worktree.neighbors import Neighbors
    from git_hub_session.worktree.reason import Reason


class WorktreePlan(NamedTuple):
    """The decision about one worktree."""

    state: WorktreeState
    """The facts without the contents: a fork sends them to its parent process."""
    reason: Reason | None
    """The reason to keep the worktree, or None to remove it."""
    fingerprint: Fingerprint | None = None
    """The fingerprint of the inspected worktree, or None to finish an interrupted removal."""
    head: str = ""
    """The commit that HEAD points to, or ''."""
    has_changes: bool = False
    """True if there are changes to save. Git may still find none: filters were not run."""

    @property
    def worktree(self) -> Worktree:
        """The worktree."""
        return self.state.worktree

    @property
    def branch(self) -> str:
        """The full ref of the branch that the worktree belongs to."""
        return self.state.branch

    @property
    def saved_before(self) -> tuple[str, ...]:
        """The work that an interrupted removal saved, as text."""
        return self.state.journal.saved if self.state.is_marked_for_deletion else ()

    @property
    def commits(self) -> tuple[str, ...]:
        """The unreachable commits that need a rescue ref."""
        return () if self.reason else self.state.unreachable_commits


def plan_cleanup(
    sid: SessionId,
    project: Project,
    options: CleanupOptions,
    neighbors: Neighbors,
    git_dirs: Container[str] | None = None,
) -> list[WorktreePlan]:
    """Plan all worktrees of the session, or only those with one of `git_dirs`. Change nothing."""

    def plan(pair: tuple[Worktree, str]) -> WorktreePlan:
        worktree, branch = pair
        state = inspect_usage(worktree, branch, sid, project, neighbors)
        # `eval --in-place` uses the worktree also while no process is in it.
        state = state._replace(usage=state.usage._replace(evaluations=evaluations))
        return plan_worktree(state, project, options)

    pairs = session_worktrees(sid, project, neighbors.worktrees)
    evaluations = _active_evaluations(sid, project) if pairs else ()
    plans = parallel_map(
        plan, [pair for pair in pairs if git_dirs is None or pair[0].git_dir in git_dirs]
    )
    # `git worktree prune` or `remove` may have removed a worktree after it was listed.
    return [plan for plan in plans if os.path.lexists(plan.worktree.git_dir)]


def _active_evaluations(sid: SessionId, project: Project) -> tuple[str, ...]:
    with project.store.open_directory(sid) as directory:
        return tuple(runs.active_runs(directory, runs.EVAL))


def plan_worktree(state: WorktreeState, project: Project, options: CleanupOptions) -> WorktreePlan:
    """Decide whether to keep the worktree. Scan its directory only if no usage rule applies."""
    if state.is_marked_for_deletion:
        return WorktreePlan(state, None)
    reason = first_reason(USAGE_RULES, state, options)
    if reason is not None:
        return WorktreePlan(state, reason)
    state = inspect_changes(state, project, options.keep_ignored, options.rescue_limit)
    reason = first_reason(CHANGES_RULES, state, options)
    compact = state._replace(changes=None, paths_to_save=(), error=None)
    if reason is not None:
        return WorktreePlan(compact, reason)
    changes = state.scan
    return WorktreePlan(
        compact,
        None,
        fingerprint=state_fingerprint(state, check_processes=not options.force),
        head=changes.head,
        has_changes=not options.discard
        and bool(changes.staged or changes.changed or state.paths_to_save),
    )
