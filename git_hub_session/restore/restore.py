"""Restore removed worktrees: the branch from its tag, the worktree, and the saved work.

A worktree is locked, and its agent is marked as "restoring", until it is complete. By the lock and
the mark, the next call recognizes a partial worktree of a killed restore. It removes and recreates
the worktree.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.errors import ChangedMeanwhile, GitFailed, HubError, to_hub_error
from git_hub_session.git.ref_names import (
    AgentBranch,
    SessionId,
    create_command,
    delete_command,
    short_name,
)
from git_hub_session.git.worktrees import Worktree, linked_worktrees
from git_hub_session.removal import remove as removal
from git_hub_session.removal.errors import (
    ModifiedDuringRemoval,
    RemovalBlocked,
    RemovalFailed,
    reason_from_error,
)
from git_hub_session.removal.journal import is_marked_for_deletion
from git_hub_session.removal.partial_add import (
    find_partial,
    refuse_if_git_running,
    remove_empty_git_dir,
    remove_or_keep,
    remove_orphan_directory,
)
from git_hub_session.removal.recover import recover_interrupted
from git_hub_session.removal.trash import empty_trash
from git_hub_session.restore.plan import (
    RestoreFailure,
    RestoreItem,
    RestoreOptions,
    RestoreResult,
    is_partial_restore,
    is_restoring,
    plan_restore,
)
from git_hub_session.session.layout import exclude_hub
from git_hub_session.session.record import with_agents, without_change
from git_hub_session.session.state import AgentStatus
from git_hub_session.stash.apply import apply_stash
from git_hub_session.stash.lfs import LfsContents
from git_hub_session.system.parallel import cpu_count, parallel_map
from git_hub_session.system.signals import run_uninterrupted
from git_hub_session.util.clock import format_iso
from git_hub_session.util.json_values import as_mapping
from git_hub_session.util.paths import is_same_path
from git_hub_session.util.text import quote_list
from git_hub_session.worktree.locks import RESTORE_LOCK
from git_hub_session.worktree.setup import WorktreeSetup, read_keep_ignored

if TYPE_CHECKING:
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project


_RESTORE_ERRORS = (
    HubError,
    OSError,
    RemovalFailed,
    ModifiedDuringRemoval,
    RemovalBlocked,
)


class _ItemResult(NamedTuple):
    """The result of one worktree."""

    failure: RestoreFailure | None
    """None if the worktree was restored."""
    notes: list[str]
    hook_error: str = ""


def preview_restore(sid: SessionId, project: Project, options: RestoreOptions) -> RestoreResult:
    """Return the plan of `restore_worktrees`."""
    session = project.store.read(sid)
    return plan_restore(session, project, options, linked_worktrees(project.paths.common_dir))


def restore_worktrees(sid: SessionId, project: Project, options: RestoreOptions) -> RestoreResult:
    """Restore the worktrees, each completely or not at all. Raise Refused, LockHeld."""
    with project.store.lock_session(sid) as locked:
        session = locked.read()
        at = format_iso(project.now())
        plan = plan_restore(session, project, options, recover_interrupted(sid, project))
        if plan.restored:
            plan = plan._replace(notes=(*plan.notes, *exclude_hub(project.paths)))
            for item in plan.restored:
                if is_restoring(session, item.branch):
                    remove_empty_git_dir(item.path, project, RESTORE_LOCK, [item.commit])
            with_marks = partial(
                _with_items, items=plan.restored, status=AgentStatus.RESTORING, at=at
            )
            locked.update(with_marks)
            plan = _apply_plan(plan, project)
            restored = plan.restored

            def with_restored(current: Session) -> Session:
                # A worktree that was not restored keeps no mark.
                unmarked = without_change(current, with_marks(session), session)
                return _with_items(unmarked, restored, AgentStatus.READY, at=at)

            locked.update(with_restored)
        return plan._replace(notes=(*plan.notes, *_unlock_restored(plan, project)))


def _with_items(
    session: Session, items: Sequence[RestoreItem], status: AgentStatus, *, at: str
) -> Session:
    """Return the session with the status and the worktrees of the restored attempts."""
    for item in reversed(items):  # the last attempt of an agent decides which ones are earlier
        changed = _item_fields(session, item, status)
        session = with_agents(session, {item.agent: changed}, at=at)
    return session


def _item_fields(session: Session, item: RestoreItem, status: AgentStatus) -> dict[str, Any]:
    """Return the changed fields of the agent in state.json."""
    record = session.agent_record(item.agent)
    attempt = item.branch.attempt
    changed = {"status": status, "worktree": item.path}
    if not item.is_earlier or attempt >= record.attempt:
        return {**changed, "attempt": attempt, "restored": item.work or None}
    fields = session.attempt_fields(item.agent, attempt)
    attempts = as_mapping(session.agent_fields(item.agent).get("attempts"))
    return {"attempts": {**attempts, f"attempt-{attempt}": {**fields, **changed}}}


def _apply_plan(plan: RestoreResult, project: Project) -> RestoreResult:
    """Restore the worktrees in parallel, and leave them locked. Return the results."""
    show_progress = project.progress("Restoring worktrees", len(plan.restored))
    main_process = os.getpid()

    def restore(item: RestoreItem) -> _ItemResult:
        result = _restore_one(item, project)
        if os.getpid() == main_process:
            show_progress(sum(os.path.lexists(f"{other.path}/.git") for other in plan.restored))
        return result

    try:
        results = parallel_map(restore, plan.restored, processes=cpu_count())
    finally:
        empty_trash(project.paths.common_dir)
    show_progress(len(plan.restored))
    pairs = zip(plan.restored, results, strict=True)
    restored = tuple(item for item, result in pairs if result.failure is None)
    failed = tuple(result.failure for result in results if result.failure is not None)
    notes = tuple(note for result in results for note in result.notes)
    return plan._replace(
        restored=restored,
        failed=(*plan.failed, *failed),
        notes=(*plan.notes, *notes),
        hook_errors=tuple(filter(None, (result.hook_error for result in results))),
    )


def _restore_one(item: RestoreItem, project: Project) -> _ItemResult:
    """Restore a worktree and leave it locked. If that fails, undo the changes.

    The call can be repeated after a kill.
    """
    notes: list[str] = []
    has_created_branch = False
    try:
        notes += _remove_partial(item, project)
        if item.archive and project.repo.find_ref_target(item.branch.ref) == "":
            project.git.update_refs(
                "hub-session restore: created", [create_command(item.branch.ref, item.commit)]
            )
            has_created_branch = True
        try:
            hook_error, warnings = _add_locked_worktree(item, project)
            notes += warnings
        except BaseException:
            notes += run_uninterrupted(_undo_one, item, project, delete_branch=has_created_branch)
            raise
    except _RESTORE_ERRORS as error:
        return _ItemResult(_failure_from_error(item.branch, error), notes)
    return _ItemResult(None, notes, f"{item.agent}: {hook_error}" if hook_error else "")


def _failure_from_error(branch: AgentBranch, error: Exception) -> RestoreFailure:
    if isinstance(error, GitFailed):
        git_message = error.reason
        return RestoreFailure(branch, git_message or error.message)
    if isinstance(error, HubError | OSError):
        failure = to_hub_error(error)
        return RestoreFailure(branch, failure.message, failure.hint)
    reason = reason_from_error(error)
    return RestoreFailure(branch, reason.message, reason.hint)


def _find_worktree(item: RestoreItem, project: Project) -> Worktree | None:
    """Return the complete or partial worktree at the item's path, or None."""
    worktrees = linked_worktrees(project.paths.common_dir)
    worktree = find_partial(item.branch, item.path, worktrees, RESTORE_LOCK)
    if worktree is None or not is_same_path(worktree.path, item.path):
        return None
    return worktree


def _remove_partial(item: RestoreItem, project: Project) -> list[str]:
    """Remove the worktree if it is partial or its removal was interrupted. Return warnings."""
    worktree = _find_worktree(item, project)
    if worktree is None:
        return []
    if is_marked_for_deletion(worktree):
        removal.finish_removal(worktree)
    elif is_partial_restore(worktree):
        refuse_if_git_running(worktree, "the worktree")
        stash = project.repo.find_stash(item.work) if item.work else ()
        tip = project.repo.tip(item.branch.ref)  # the branch may have moved since the plan
        sources = [item.commit, tip, *stash[2:]]
        return remove_or_keep(worktree, project, [*filter(None, sources)], "restore")
    return []


def _add_locked_worktree(item: RestoreItem, project: Project) -> tuple[str, list[str]]:
    """Add the worktree with the saved work. Return the error of a hook, or '', and warnings."""
    options = ("--lock", "--reason", RESTORE_LOCK)
    contents = LfsContents(project.paths.common_dir, project.repo)
    rescues = [*filter(None, [item.work]), *(rescue.ref for rescue in item.unapplied)]
    for commit in [item.commit, *map(project.repo.tip, rescues)]:
        contents.restore(commit)
    hook_error = project.git.add_worktree(item.path, short_name(item.branch.ref), options)
    worktree = _find_worktree(item, project)
    if worktree is None or project.repo.tip(item.branch.ref) != item.commit:
        raise ChangedMeanwhile("its branch moved during the restore", hint="try again")
    different = item.work and apply_stash(worktree, item.work, project.git, project.repo)
    warnings = []
    if different:
        paths = quote_list([os.fsdecode(path) for path in different])
        warnings.append(
            f"{item.agent} has other bytes than before in {paths}: git's filters have changed"
        )
    # `cleanup` does not save unchanged copies of these files. Saved files are not replaced.
    patterns = read_keep_ignored(project)
    failure = WorktreeSetup(project).copy(item.path, item.commit, patterns)
    return hook_error, warnings + ([f"{item.agent}: {failure}"] if failure else [])


def _undo_one(item: RestoreItem, project: Project, *, delete_branch: bool) -> list[str]:
    """Remove the worktree, and the branch if requested. Return warnings."""
    try:
        notes = _remove_partial(item, project)
        remove_orphan_directory(item.path, project, [item.commit])
        remove_empty_git_dir(item.path, project, RESTORE_LOCK, [item.commit])
        if delete_branch:
            project.git.update_refs(
                "hub-session restore: undone", [delete_command(item.branch.ref, item.commit)]
            )
    except _RESTORE_ERRORS as error:
        reason = _failure_from_error(item.branch, error).reason
        return [f"cannot undo the restore of {item.agent}: {reason}"]
    return notes


def _unlock_restored(plan: RestoreResult, project: Project) -> list[str]:
    """Unlock the restored worktrees, also those of a call that was killed. Return warnings."""
    paths = [item.path for item in plan.restored]
    present = [existing.worktree for existing in plan.present]
    paths += [worktree.path for worktree in present if worktree.lock_reason == RESTORE_LOCK]
    notes = []
    for path in paths:
        try:
            project.git.unlock_worktree(path)
        except HubError as error:
            notes.append(f"cannot unlock '{path}': {to_hub_error(error).message}")
    return notes
