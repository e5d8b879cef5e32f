"""Clean up one session: remove its worktrees, and lose no work.

A cleanup plans all worktrees before it changes anything. It saves uncommitted work under
refs/hub/rescue, and removes the worktrees. It keeps a worktree that it cannot remove safely, and
reports the reason.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cleanup.archive_branches import (
    ArchivePlan,
    archive_branches,
    keep_lfs_contents,
    plan_archive,
)
from git_hub_session.cleanup.archive_context import read_archive_context
from git_hub_session.cleanup.exposed_refs import exposed_ref_warnings
from git_hub_session.cleanup.plan import WorktreePlan, plan_cleanup
from git_hub_session.cleanup.report import (
    CleanupReport,
    KeptWorktree,
    RemovedWorktree,
    SavedWork,
    empty_report,
)
from git_hub_session.cleanup.rules import IN_USE
from git_hub_session.cleanup.save import (
    record_rescues,
    rescues_by_agent,
    save_and_record_reflogs,
    save_worktrees,
    work_by_attempt,
)
from git_hub_session.cleanup.save_commits import group_objects
from git_hub_session.errors import HubError, to_hub_error
from git_hub_session.git.ref_names import SessionId, branch_prefix, rescue_prefix
from git_hub_session.git.worktrees import linked_worktrees, worktree_names
from git_hub_session.removal.errors import (
    InUseDuringRemoval,
    reason_from_error,
)
from git_hub_session.removal.recover import recover_interrupted
from git_hub_session.removal.remove import Removal, remove_worktrees
from git_hub_session.removal.trash import empty_trash
from git_hub_session.system import procfs
from git_hub_session.system.directory import CannotWrite
from git_hub_session.system.parallel import map_in_shares
from git_hub_session.temporary.worktrees import (
    preview_leftover_worktrees,
    remove_leftover_worktrees,
)
from git_hub_session.util.clock import format_iso
from git_hub_session.worktree.branches_in_use import branches_in_use, main_worktree_branches
from git_hub_session.worktree.locks import EVAL_LOCK
from git_hub_session.worktree.neighbors import Neighbors
from git_hub_session.worktree.reason import Reason

if TYPE_CHECKING:
    from git_hub_session.cleanup.options import CleanupOptions
    from git_hub_session.git.discovery import RepositoryPaths
    from git_hub_session.git.repository import Branch
    from git_hub_session.git.worktrees import Worktree
    from git_hub_session.session.project import Project
    from git_hub_session.session.store import LockedSession

_NO_BRANCHES = ArchivePlan((), ())


def preview_cleanup(
    sid: SessionId,
    project: Project,
    options: CleanupOptions,
    *,
    archiving: bool,
    neighbors: Neighbors | None = None,
) -> CleanupReport:
    """Return the report of a dry run. Several sessions can share `neighbors`."""
    neighbors = neighbors or Neighbors(project)
    plans = plan_cleanup(sid, project, options, neighbors)
    removed = [plan for plan in plans if plan.reason is None]
    kept = _planned_to_keep(plans)
    branches = _NO_BRANCHES
    if archiving:
        git_dirs = {plan.worktree.git_dir for plan in removed}
        in_use = neighbors.branches_in_use(git_dirs) | _branches_to_keep(kept)
        context = read_archive_context(sid, project)
        branches = plan_archive(context, project.repo.branches(branch_prefix(sid)), in_use)
    notes: list[str] = []
    if _has_eval_worktrees(neighbors.worktrees):
        notes = preview_leftover_worktrees(sid, project, neighbors.worktrees)
    return CleanupReport(
        sid,
        tuple(_removed_worktree(plan, _planned_saves(sid, plan, project)) for plan in removed),
        (*kept, *_kept_main_worktree(sid, project.paths)),
        branches,
        (*notes, *_unchecked_warnings(removed)),
    )


def _has_eval_worktrees(worktrees: Sequence[Worktree]) -> bool:
    """Return True if an evaluation has created one of the worktrees."""
    return any(worktree.lock_reason == EVAL_LOCK for worktree in worktrees)


def failed_report(sid: SessionId, error: HubError | OSError) -> CleanupReport:
    """Return the report of a session whose cleanup failed as a whole."""
    return empty_report(sid)._replace(notes=(to_hub_error(error).message,), failed=True)


def _planned_saves(sid: SessionId, plan: WorktreePlan, project: Project) -> list[SavedWork]:
    prefix = rescue_prefix(sid, plan.branch)
    groups = group_objects(plan.commits, project.repo) if plan.commits else []
    kinds = ["work"] * plan.has_changes + ["commits"] * len(groups)
    return [SavedWork(f"{prefix}<n>", kind) for kind in kinds]


def clean_up_session(
    sid: SessionId, project: Project, options: CleanupOptions, *, archiving: bool
) -> CleanupReport:
    """Lock the session and clean it up. Call it again to finish an interrupted cleanup."""
    with project.store.lock_session(sid) as locked:
        return clean_up_locked(locked, sid, project, options, archiving=archiving)


def clean_up_locked(
    locked: LockedSession,
    sid: SessionId,
    project: Project,
    options: CleanupOptions,
    *,
    archiving: bool,
    keep_branch: str = "",
) -> CleanupReport:
    """Clean up while the caller holds the session lock.

    Do not archive the branch `keep_branch` (a full ref).
    """
    worktrees = recover_interrupted(sid, project)
    notes: list[str] = []
    if _has_eval_worktrees(worktrees):
        notes = remove_leftover_worktrees(sid, project, worktrees)
        worktrees = [worktree for worktree in worktrees if os.path.lexists(worktree.git_dir)]
    neighbors = Neighbors(project, worktrees)
    plans = plan_cleanup(sid, project, options, neighbors)
    report = _save_and_remove(locked, sid, project, plans, options)
    report = _remove_copies(locked, report, project, options, worktrees)
    kept = (*report.kept, *_kept_main_worktree(sid, project.paths))
    report = report._replace(kept=kept, notes=(*notes, *report.notes))
    if archiving:
        report = _archive(locked, report, project, keep_branch)
    if report.branches.archived or any(outcome.saved for outcome in report.outcomes):
        common_dir = project.paths.common_dir
        warnings = exposed_ref_warnings(lambda: project.config_entries, common_dir)
        report = report._replace(notes=(*report.notes, *warnings))
    return report


def _remove_copies(
    locked: LockedSession,
    report: CleanupReport,
    project: Project,
    options: CleanupOptions,
    worktrees: Sequence[Worktree],
) -> CleanupReport:
    """Remove the copied git dirs of the removed worktrees. Their branches count as in use.

    Args:
        worktrees: the worktrees before the cleanup, without the copies.
    """
    sid, common_dir = report.session, project.paths.common_dir
    known = {worktree.name for worktree in worktrees}
    if known.issuperset(worktree_names(common_dir)):
        return report
    paths = {outcome.path for outcome in report.removed}
    for copy in linked_worktrees(common_dir):
        if copy.name not in known and copy.path in paths:
            more = clean_up_missing_worktree(locked, sid, project, options, copy.git_dir)
            report = report._replace(
                removed=(*report.removed, *(outcome for outcome in more.removed if outcome.saved)),
                kept=(*report.kept, *more.kept),
                notes=(*report.notes, *more.notes),
            )
    return report


def _archive(
    locked: LockedSession, report: CleanupReport, project: Project, keep_branch: str
) -> CleanupReport:
    """Turn the branches of the session into archive tags. Return the complete report."""
    sid, notes = report.session, [*report.notes]
    off_branch = _branches_to_keep(report.kept)
    try:
        branches = project.repo.branches(branch_prefix(sid))
        archivable = _archivable_branches(branches, project, {*off_branch, keep_branch})
        notes += save_and_record_reflogs(locked, sid, project, archivable)
        context = read_archive_context(sid, project)
        keep_lfs_contents(context, archivable, project.paths.common_dir)
        archived = archive_branches(
            context,
            branches,
            project.git,
            in_use=lambda: branches_in_use(project.paths) | off_branch,
            keep_branch=keep_branch,
        )
    except (HubError, OSError) as error:  # The report of the worktrees must not be lost.
        notes.append(f"cannot archive the branches: {to_hub_error(error).message}")
        return report._replace(notes=tuple(notes), failed=True)
    return report._replace(branches=archived, notes=tuple(notes))


def clean_up_missing_worktree(
    locked: LockedSession, sid: SessionId, project: Project, options: CleanupOptions, git_dir: str
) -> CleanupReport:
    """Clean up the worktree with this git dir, whose directory is missing.

    Keep it if the recovery of an interrupted removal restores its directory.
    """
    neighbors = Neighbors(project, recover_interrupted(sid, project))
    plans = plan_cleanup(sid, project, options, neighbors, git_dirs={git_dir})
    # An interrupted deletion may have renamed new files back to the path.
    missing = [
        plan
        for plan in plans
        if plan.state.is_marked_for_deletion or not os.path.lexists(plan.worktree.path)
    ]
    return _save_and_remove(locked, sid, project, missing, options)


def _save_and_remove(
    locked: LockedSession,
    sid: SessionId,
    project: Project,
    plans: Sequence[WorktreePlan],
    options: CleanupOptions,
) -> CleanupReport:
    """Save the work in the worktrees, and remove those without a reason to keep them."""
    kept = _planned_to_keep(plans)
    saved_plans = save_worktrees(sid, project, options, plans, kept)
    # Record the rescue refs before the first removal: then state.json knows them also after a kill.
    work = work_by_attempt(sid, project, saved_plans)
    rescues = rescues_by_agent(sid, saved_plans, kept)
    try:
        notes = record_rescues(locked, rescues, work, format_iso(project.now()))
    except CannotWrite as error:
        message = f"cannot record the rescue refs: {error.message}"
        reason = Reason("cannot-save", message, error.hint)
        kept += [_kept_worktree(plan, reason, saved) for plan, saved in saved_plans]
        notes, saved_plans = [], []
    removed = _remove_worktrees(saved_plans, kept, project)
    notes = [*notes, *_unchecked_warnings(removed)]
    return CleanupReport(sid, tuple(removed), tuple(kept), _NO_BRANCHES, tuple(notes))


def _unchecked_warnings(removed: Sequence[object]) -> list[str]:
    """Return a warning if worktrees were removed without a check of processes and mounts."""
    if not removed or not procfs.is_unavailable():
        return []
    return ["/proc is not available: running processes and mounts were not checked"]


def _branches_to_keep(kept: Iterable[KeptWorktree]) -> set[str]:
    """Return the branches of kept detached worktrees: a repair command may reattach them."""
    return {worktree.branch for worktree in kept if worktree.reason.code == "off-branch"}


def _archivable_branches(
    branches: Iterable[Branch], project: Project, excluded: set[str]
) -> list[Branch]:
    """Return the branches that are not checked out, not symbolic and not excluded."""
    in_use = branches_in_use(project.paths) | excluded
    return [branch for branch in branches if branch.ref not in in_use and not branch.symbolic]


def _remove_worktrees(
    saved_plans: Sequence[tuple[WorktreePlan, list[SavedWork]]],
    kept: list[KeptWorktree],
    project: Project,
) -> list[RemovedWorktree]:
    """Remove the worktrees in parallel. Add those that were kept after all to `kept`."""
    show_progress = project.progress("Removing worktrees", len(saved_plans))
    names = {plan.worktree.name for plan, _ in saved_plans}
    parent = os.getpid()

    def show_finished() -> None:
        if os.getpid() == parent:  # The git dirs show the progress of the forks too.
            remaining = names.intersection(worktree_names(project.paths.common_dir))
            show_progress(len(names) - len(remaining))

    def remove(pairs: Sequence[tuple[WorktreePlan, list[SavedWork]]]) -> list[Reason | None]:
        removals = [
            Removal(plan.worktree, plan.fingerprint, [str(work) for work in saved])
            for plan, saved in pairs
        ]
        errors = remove_worktrees(removals, show_finished)
        return [_reason_of(error, plan) for error, (plan, _) in zip(errors, pairs, strict=True)]

    reasons = map_in_shares(remove, saved_plans, waits=True)
    show_progress(len(saved_plans))
    empty_trash(project.paths.common_dir)
    removed: list[RemovedWorktree] = []
    for (plan, saved), reason in zip(saved_plans, reasons, strict=True):
        if reason is None:
            removed.append(_removed_worktree(plan, saved))
        else:
            kept.append(_kept_worktree(plan, reason, saved))
    return removed


def _reason_of(error: Exception | None, plan: WorktreePlan) -> Reason | None:
    """Return the reason to keep a worktree whose removal raised this error."""
    if isinstance(error, InUseDuringRemoval):
        usage = plan.state.usage._replace(processes=error.processes)
        return IN_USE.reason(plan.state._replace(usage=usage))
    return None if error is None else reason_from_error(error)


def _planned_to_keep(plans: Sequence[WorktreePlan]) -> list[KeptWorktree]:
    return [_kept_worktree(plan, plan.reason) for plan in plans if plan.reason is not None]


def _kept_worktree(
    plan: WorktreePlan, reason: Reason, saved: Iterable[SavedWork] = ()
) -> KeptWorktree:
    return KeptWorktree(plan.worktree.path, plan.branch, reason, tuple(saved))


def _removed_worktree(plan: WorktreePlan, saved: Iterable[SavedWork]) -> RemovedWorktree:
    missing = plan.worktree.is_missing and not plan.state.is_marked_for_deletion
    return RemovedWorktree(plan.worktree.path, plan.branch, tuple(saved), missing)


def _kept_main_worktree(sid: SessionId, paths: RepositoryPaths) -> list[KeptWorktree]:
    """Return the main worktree if it has a branch of the session checked out."""
    prefix = branch_prefix(sid)
    for ref in main_worktree_branches(paths):
        if ref.startswith(prefix):
            reason = Reason(
                "main-worktree",
                "the main worktree cannot be removed",
                "check out another branch in it",
            )
            return [KeptWorktree(paths.main_checkout, ref, reason)]
    return []
