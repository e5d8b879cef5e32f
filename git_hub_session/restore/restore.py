"""Bring removed worktrees back: the branch from its tag, the worktree from git, and the work that was saved.

A worktree is locked until it is whole, and the session says "restoring" of its agent: what a
killed call left is known by that, taken away and made anew.
"""

from __future__ import annotations

import os

from git_hub_session._typing import Any, NamedTuple
from git_hub_session.errors import GitFailed, HubError, Refused, describe
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
    plan_restore,
)
from git_hub_session.session.project import Project
from git_hub_session.session.record import with_agents
from git_hub_session.session.state import AgentStatus
from git_hub_session.stash.apply import apply_stash
from git_hub_session.system.parallel import cpu_count, parallel_map
from git_hub_session.system.signals import run_uninterrupted
from git_hub_session.util.clock import format_iso
from git_hub_session.util.paths import is_same_path
from git_hub_session.worktree.locks import RESTORE_LOCK

_FAULTS = (
    HubError,
    OSError,
    RemovalFailed,
    ModifiedDuringRemoval,
    RemovalBlocked,
)


class _ItemResult(NamedTuple):
    """Of one worktree: why it could not be made (None if it was), and what there is to say."""

    failed: RestoreFailure | None
    notes: list[str]


def preview_restore(sid: SessionId, project: Project, wish: RestoreOptions) -> RestoreResult:
    """What `restore` would do now; nothing is changed."""
    session = project.store.read(sid)
    return plan_restore(session, project, wish, linked_worktrees(project.paths.common_dir))


def restore_worktrees(sid: SessionId, project: Project, wish: RestoreOptions) -> RestoreResult:
    """Bring the worktrees back; each is whole, or nothing is left of it. Raises Refused, LockHeld."""
    with project.store.lock_session(sid) as edit:
        session, at = edit.read(), format_iso(project.now())
        plan = plan_restore(session, project, wish, recover_interrupted(sid, project))
        if plan.made:
            for one in plan.made:
                if session.agent_record(one.agent).status == AgentStatus.RESTORING:
                    remove_empty_git_dir(one.path, project, RESTORE_LOCK, [one.commit])
            marks = {one.agent: _status_fields(one, AgentStatus.RESTORING) for one in plan.made}
            edit.save(with_agents(session, marks, at=at))
            plan = _apply_plan(plan, project)
            whole = {one.agent: _status_fields(one, AgentStatus.READY) for one in plan.made}
            edit.save(with_agents(session, whole, at=at))
        return plan._replace(notes=(*plan.notes, *_unlock_restored(plan, project)))


def _status_fields(one: RestoreItem, status: str) -> dict[str, Any]:
    return {
        "status": status,
        "attempt": one.branch.attempt,
        "worktree": one.path,
        "restored": one.work or None,
    }


def _apply_plan(plan: RestoreResult, project: Project) -> RestoreResult:
    """The plan with what became of it; what was made is still locked."""
    shown = project.progress("Restoring worktrees", len(plan.made))
    parent = os.getpid()

    def make(one: RestoreItem) -> _ItemResult:
        outcome = _restore_one(one, project)
        if os.getpid() == parent:
            shown(sum(os.path.lexists(f"{other.path}/.git") for other in plan.made))
        return outcome

    try:
        outcomes = parallel_map(make, plan.made, processes=cpu_count())
    finally:
        empty_trash(project.paths.common_dir)
    shown(len(plan.made))
    pairs = list(zip(plan.made, outcomes, strict=True))
    return plan._replace(
        made=tuple(one for one, outcome in pairs if outcome.failed is None),
        failed=(*plan.failed, *(done.failed for _, done in pairs if done.failed is not None)),
        notes=tuple(note for _, outcome in pairs for note in outcome.notes),
    )


def _restore_one(one: RestoreItem, project: Project) -> _ItemResult:
    """Make the worktree, locked; where that fails, take back what was made. Repeatable, if it is killed."""
    notes: list[str] = []
    ours = False
    try:
        notes += _remove_partial(one, project)
        if one.tag and project.repo.find_ref_target(one.branch.ref) == "":
            project.git.update_refs([create_command(one.branch.ref, one.commit)])
            ours = True
        try:
            _add_locked_worktree(one, project)
        except BaseException:
            notes += run_uninterrupted(_undo_one, one, project, branch_too=ours)
            raise
    except _FAULTS as fault:
        return _ItemResult(_why(one.branch, fault), notes)
    return _ItemResult(None, notes)


def _why(branch: AgentBranch, fault: Exception) -> RestoreFailure:
    if isinstance(fault, GitFailed):
        return RestoreFailure(branch, "; ".join(fault.stderr.strip().splitlines()) or fault.message)
    if isinstance(fault, HubError | OSError):
        message, hint = describe(fault)
        return RestoreFailure(branch, message, hint)
    reason = reason_from_error(fault)
    return RestoreFailure(branch, reason.message, reason.hint)


def _find_worktree(one: RestoreItem, project: Project) -> Worktree | None:
    """The worktree, as far as it is made: at its place, and nobody else's."""
    found = find_partial(
        one.branch, one.path, linked_worktrees(project.paths.common_dir), RESTORE_LOCK
    )
    if found is None or not is_same_path(found.path, one.path):
        return None
    return found


def _remove_partial(one: RestoreItem, project: Project) -> list[str]:
    """Take away what is half-made, or half removed; what there is to say."""
    left = _find_worktree(one, project)
    if left is None:
        return []
    if is_marked_for_deletion(left):
        removal.finish_removal(left)
    elif is_partial_restore(left):
        refuse_if_git_running(left, "it")
        stash = project.repo.find_stash(one.work) if one.work else ()
        tip = project.repo.tip(one.branch.ref)  # it may have moved meanwhile
        sources = [one.commit, tip, *stash[2:]]
        return remove_or_keep(left, project, [*filter(None, sources)], "restore")
    return []


def _add_locked_worktree(one: RestoreItem, project: Project) -> None:
    """The worktree, locked, and the work in it."""
    options = ("--lock", "--reason", RESTORE_LOCK)
    project.git.add_worktree(one.path, short_name(one.branch.ref), options)
    worktree = _find_worktree(one, project)
    if worktree is None or project.repo.tip(one.branch.ref) != one.commit:
        raise Refused("its branch moved meanwhile", hint="try again")
    if one.work:
        apply_stash(worktree, one.work, project.git, project.repo)


def _undo_one(one: RestoreItem, project: Project, *, branch_too: bool) -> list[str]:
    """Undo what was made of the worktree; what there is to say."""
    try:
        notes = _remove_partial(one, project)
        remove_orphan_directory(one.path, project, [one.commit])
        remove_empty_git_dir(one.path, project, RESTORE_LOCK, [one.commit])
        if branch_too:
            project.git.update_refs([delete_command(one.branch.ref, one.commit)])
    except _FAULTS as fault:
        return [f"what was made of {one.agent} is not taken back: {_why(one.branch, fault).reason}"]
    return notes


def _unlock_restored(plan: RestoreResult, project: Project) -> list[str]:
    """Unlock what is whole: also what a call that was killed just before had made."""
    paths = [one.path for one in plan.made]
    paths += [one.worktree.path for one in plan.present if one.worktree.lock_reason == RESTORE_LOCK]
    notes = []
    for path in paths:
        try:
            project.git.unlock_worktree(path)
        except HubError as fault:
            notes.append(f"'{path}' stays locked: {fault.message}")
    return notes
