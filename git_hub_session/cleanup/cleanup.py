"""Remove the worktrees of a session, and lose nothing that was in them.

All worktrees are judged first, then acted on: uncommitted work is saved under
refs/hub/rescue, the directory is renamed aside, looked at again and deleted, the entry
goes last. What cannot be removed safely is kept, with the reason.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cleanup.archive_branches import ArchivePlan, archive_branches, plan_archive
from git_hub_session.cleanup.options import CleanupOptions
from git_hub_session.cleanup.plan import WorktreePlan, plan_cleanup
from git_hub_session.cleanup.report import (
    CleanupReport,
    KeptWorktree,
    RemovedWorktree,
    SavedWork,
    empty_report,
)
from git_hub_session.cleanup.rules import in_use_message
from git_hub_session.cleanup.save import (
    kept_worktree,
    record_rescues,
    rescues_by_agent,
    save_reflog_commits,
    save_worktrees,
    work_by_attempt,
)
from git_hub_session.errors import HubError, describe
from git_hub_session.git.ref_names import SessionId, branch_prefix, rescue_prefix, short_name
from git_hub_session.removal import remove as removal
from git_hub_session.removal.errors import (
    ModifiedDuringRemoval,
    RemovalBlocked,
    RemovalFailed,
    reason_from_error,
)
from git_hub_session.removal.recover import recover_interrupted
from git_hub_session.removal.trash import empty_trash
from git_hub_session.session.agents import group_by_agent
from git_hub_session.system import procfs
from git_hub_session.system.directory import CannotWrite
from git_hub_session.system.parallel import parallel_map
from git_hub_session.util.clock import format_iso
from git_hub_session.util.paths import is_inside
from git_hub_session.worktree.checkouts import branches_in_use, main_worktree_branches
from git_hub_session.worktree.neighbors import Neighbors
from git_hub_session.worktree.reason import CONTENTS_CHANGED, Reason

if TYPE_CHECKING:
    from git_hub_session.git.discovery import RepositoryPaths
    from git_hub_session.git.repository import Branch
    from git_hub_session.session.project import Project
    from git_hub_session.session.store import LockedSession


def preview_cleanup(
    sid: SessionId,
    project: Project,
    policy: CleanupOptions,
    *,
    archiving: bool,
    neighbors: Neighbors | None = None,
) -> CleanupReport:
    """What clean_up would do now; nothing is changed. Sessions may share `neighbors`."""
    neighbors = neighbors or Neighbors(project)
    verdicts = plan_cleanup(sid, project, policy, neighbors)
    removed = [verdict for verdict in verdicts if verdict.reason is None]
    branches = ArchivePlan((), ())
    if archiving:
        gone = {verdict.worktree.git_dir for verdict in removed}
        used = neighbors.branches_in_use(gone) | _branches_to_keep(_kept_worktrees(verdicts))
        branches = plan_archive(
            project.repo.branches(branch_prefix(sid)), used, project.repo.find_ref_target
        )
    return CleanupReport(
        sid,
        tuple(_removed_worktree(verdict, _planned_saves(sid, verdict)) for verdict in removed),
        (*_kept_worktrees(verdicts), *_kept_main_worktree(sid, project.paths)),
        branches,
        tuple(_unchecked_warnings(removed)),
    )


def failed_report(sid: SessionId, fault: HubError | OSError) -> CleanupReport:
    """Of a session that could not be cleaned up at all."""
    return empty_report(sid)._replace(notes=(describe(fault).message,), failed=True)


def _planned_saves(sid: SessionId, verdict: WorktreePlan) -> list[SavedWork]:
    prefix = rescue_prefix(sid, verdict.branch)
    kinds = ["work"] * verdict.has_changes + ["commits"] * len(verdict.commits)
    return [SavedWork(f"{prefix}<n>", kind) for kind in kinds]


def clean_up_session(
    sid: SessionId, project: Project, policy: CleanupOptions, *, archiving: bool
) -> CleanupReport:
    """Carry a cleanup out under the session's lock; a killed one is finished by the next."""
    with project.store.lock_session(sid) as edit:
        return clean_up_locked(edit, sid, project, policy, archiving=archiving)


def clean_up_locked(
    edit: LockedSession,
    sid: SessionId,
    project: Project,
    policy: CleanupOptions,
    *,
    archiving: bool,
    spare: str = "",
) -> CleanupReport:
    """`clean_up` for who holds the session's lock already; the branch `spare` (a full ref) stays one."""
    verdicts = plan_cleanup(
        sid, project, policy, Neighbors(project, recover_interrupted(sid, project))
    )
    report = _save_and_remove(edit, sid, project, policy, verdicts)
    kept, notes = [*report.kept, *_kept_main_worktree(sid, project.paths)], [*report.notes]
    branches, undone = ArchivePlan((), ()), False
    if archiving:
        try:
            left = _branches_to_keep(kept)
            notes += _save_and_record_reflogs(
                edit, sid, project, _archivable_branches(sid, project, {*left, spare})
            )
            used = lambda: branches_in_use(project.paths) | left
            branches = archive_branches(sid, project.repo, project.git, used, spare=spare)
        except HubError as fault:  # it must not hide what became of the worktrees
            notes.append(f"the branches were not archived: {fault.message}")
            undone = True
    return CleanupReport(sid, report.removed, tuple(kept), branches, tuple(notes), failed=undone)


def _save_and_record_reflogs(
    edit: LockedSession, sid: SessionId, project: Project, branches: Iterable[Branch]
) -> list[str]:
    saved = save_reflog_commits(sid, project, branches)
    notes = [
        f"a commit that only the reflog of '{short_name(branch)}' had is in {ref}"
        for branch, refs in saved.items()
        for ref in refs
    ]
    return [
        *notes,
        *record_rescues(edit, group_by_agent(sid, saved.items()), {}, format_iso(project.now())),
    ]


def clean_up_missing_worktree(
    edit: LockedSession, sid: SessionId, project: Project, policy: CleanupOptions, entry: str
) -> CleanupReport:
    """The same for the worktree of one entry, whose directory is gone, if it does not come back by that."""
    neighbors = Neighbors(project, recover_interrupted(sid, project))
    verdicts = plan_cleanup(sid, project, policy, neighbors, entries={entry})
    # A deletion that was interrupted may have renamed new files back to the path.
    gone = [
        one
        for one in verdicts
        if one.is_marked_for_deletion or not os.path.lexists(one.worktree.path)
    ]
    return _save_and_remove(edit, sid, project, policy, gone)


def _save_and_remove(
    edit: LockedSession,
    sid: SessionId,
    project: Project,
    policy: CleanupOptions,
    verdicts: Sequence[WorktreePlan],
) -> CleanupReport:
    """Save what is in the worktrees, and remove those that may go."""
    kept = _kept_worktrees(verdicts)
    going = save_worktrees(sid, project, policy, verdicts, kept)
    # Before anything goes: whatever happens now, the session says where the work is.
    left = work_by_attempt(sid, project, going)
    try:
        notes = record_rescues(
            edit, rescues_by_agent(sid, going, kept), left, format_iso(project.now())
        )
    except CannotWrite as fault:
        reason = Reason(
            "cannot-save", f"that it was saved cannot be noted: {fault.message}", fault.hint
        )
        kept += [kept_worktree(verdict, reason, saved) for verdict, saved in going]
        notes, going = [], []
    removed = _remove_worktrees(sid, project, policy, going, kept)
    notes = [*notes, *_unchecked_warnings(removed)]
    return CleanupReport(sid, tuple(removed), tuple(kept), ArchivePlan((), ()), tuple(notes))


def _unchecked_warnings(removed: Sequence[object]) -> list[str]:
    """What could not be asked of worktrees that went."""
    if not removed or not procfs.is_unavailable():
        return []
    return [
        "without /proc nobody can see whether a process works in a worktree, or what is mounted in it"
    ]


def _branches_to_keep(kept: Iterable[KeptWorktree]) -> set[str]:
    """The branches that kept worktrees were taken off: what is said to be typed leads back there."""
    return {one.branch for one in kept if one.reason.code == "off-branch"}


def _archivable_branches(sid: SessionId, project: Project, spare: set[str]) -> list[Branch]:
    """The branches that can go: nobody has them checked out, and no other ref is meant by them."""
    used = branches_in_use(project.paths) | spare
    branches = project.repo.branches(branch_prefix(sid))
    return [branch for branch in branches if branch.ref not in used and not branch.symbolic]


def _remove_worktrees(
    sid: SessionId,
    project: Project,
    policy: CleanupOptions,
    going: Sequence[tuple[WorktreePlan, list[SavedWork]]],
    kept: list[KeptWorktree],
) -> list[RemovedWorktree]:
    """Remove the worktrees side by side; those that had to stay are added to `kept`."""
    shown = project.progress("Removing worktrees", len(going))
    parent = os.getpid()

    def take(pair: tuple[WorktreePlan, list[SavedWork]]) -> Reason | None:
        reason = _remove_one(sid, *pair, project, policy)
        if os.getpid() == parent:  # for all of them: a fork's work shows by the entries
            shown(sum(not os.path.lexists(verdict.worktree.git_dir) for verdict, _ in going))
        return reason

    reasons = parallel_map(take, going, waits=True)
    shown(len(going))
    empty_trash(project.paths.common_dir)
    removed: list[RemovedWorktree] = []
    for (verdict, saved), reason in zip(going, reasons, strict=True):
        if reason is None:
            removed.append(_removed_worktree(verdict, saved))
        else:
            kept.append(kept_worktree(verdict, reason, saved))
    return removed


def _remove_one(
    sid: SessionId,
    verdict: WorktreePlan,
    saved: Sequence[SavedWork],
    project: Project,
    policy: CleanupOptions,
) -> Reason | None:
    """Remove the worktree; why it had to stay, or None. Repeatable, if it is killed."""
    worktree = verdict.worktree
    try:
        removal.remove_worktree(
            worktree,
            None if verdict.is_marked_for_deletion else verdict.fingerprint,
            obstacle=lambda path: _recheck(path, sid, project, policy),
            saved=[str(one) for one in saved],
        )
    except (
        RemovalBlocked,
        ModifiedDuringRemoval,
        RemovalFailed,
        OSError,
    ) as fault:
        return reason_from_error(fault)
    return None


def _recheck(path: str, sid: SessionId, project: Project, policy: CleanupOptions) -> Reason | None:
    """Why a directory that was renamed to `path` has to go back: who or what came since it was judged."""
    top = os.path.realpath(path)
    if any(is_inside(point, top) for point in procfs.mount_points()):
        return CONTENTS_CHANGED
    users = procfs.describe_processes(procfs.processes_in(top, procfs.processes()))
    return in_use_message(users, sid) if users and not policy.force else None


def _kept_worktrees(verdicts: Sequence[WorktreePlan]) -> list[KeptWorktree]:
    return [
        kept_worktree(verdict, verdict.reason) for verdict in verdicts if verdict.reason is not None
    ]


def _removed_worktree(verdict: WorktreePlan, saved: Iterable[SavedWork]) -> RemovedWorktree:
    return RemovedWorktree(
        verdict.worktree.path,
        verdict.branch,
        tuple(saved),
        verdict.worktree.is_missing and not verdict.is_marked_for_deletion,
    )


def _kept_main_worktree(sid: SessionId, place: RepositoryPaths) -> list[KeptWorktree]:
    """The main worktree, where it has a branch of the session in use: it never goes."""
    prefix = branch_prefix(sid)
    for ref in main_worktree_branches(place):
        if ref.startswith(prefix):
            reason = Reason(
                "main-worktree", "it is the main worktree", "check out another branch in it"
            )
            return [KeptWorktree(place.main_worktree, ref, reason)]
    return []
