"""Checks for interrupted creations and removals of worktrees, and for the trash of removals."""

from __future__ import annotations

import os
from collections.abc import Iterator

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cleanup.cleanup import clean_up_missing_worktree
from git_hub_session.cleanup.options import read_cleanup_options
from git_hub_session.doctor.finding import Finding, Problem, check
from git_hub_session.errors import HubError
from git_hub_session.git.ref_names import SessionId
from git_hub_session.git.worktrees import Worktree, linked_git_dir
from git_hub_session.removal import trash
from git_hub_session.removal.journal import is_marked_for_deletion, is_trash_blocked, read_journal
from git_hub_session.removal.partial_add import refuse_if_git_running, remove_or_keep
from git_hub_session.removal.recover import has_stale_lock, recover_removal, remove_stale_lock
from git_hub_session.session.attempts import recorded_paths
from git_hub_session.util.move_aside import move_aside_command
from git_hub_session.util.shell import quote_word
from git_hub_session.worktree.relocation import expected_paths

if TYPE_CHECKING:
    from git_hub_session.doctor.snapshot import HubSnapshot
    from git_hub_session.session.store import LockedSession


def remove_partial_add(finding: Finding, hub: HubSnapshot, locked: LockedSession) -> list[str]:
    """Remove the worktree. Keep files of the user under another name."""
    worktree = hub.find_worktree(finding.session, finding.git_dir)
    refuse_if_git_running(worktree, "the worktree")
    repo = hub.project.repo
    tips = [repo.tip(branch) for branch in worktree.branches]
    sources = [commit for commit in (locked.read().base_commit, *tips) if commit]
    notes = remove_or_keep(worktree, hub.project, sources, "spawn or a restore")
    trash.empty_trash(hub.project.paths.common_dir)
    return notes


@check("worktree-half-added", "creating the worktree was interrupted", fix=remove_partial_add)
def check_partial_add(worktree: Worktree, hub: HubSnapshot) -> Iterator[Problem]:
    """Report a partial worktree. Fix it only if the path certainly belongs to the session.

    A git dir can name any path. So the path must be the recorded or the expected path of the agent,
    and no other worktree may have the same path.
    """
    path = worktree.path or worktree.git_dir
    evidence = f"creating it was interrupted: locked, {worktree.lock_reason}"
    session = hub.owner(worktree)
    recorded = recorded_paths(session).values() if session else ()
    own_paths = [*recorded, *expected_paths(worktree, hub.project)]
    is_own_path = os.path.realpath(worktree.path) in map(os.path.realpath, own_paths)
    is_only_one = sum(other.path == worktree.path for other in hub.worktrees) == 1
    if is_own_path and is_only_one and worktree.link_error in ("", "its .git file is missing"):
        fix = "remove it; files of the user are kept under another name"
        yield Problem(path, evidence, fix=fix)
    else:
        advice = f"inspect both directories; then: rm -r {quote_word(worktree.git_dir)}"
        yield Problem(path, evidence, advice=advice)


def finish_removal(finding: Finding, hub: HubSnapshot, locked: LockedSession) -> list[str]:
    """Undo or finish an interrupted removal. Clean up a worktree without a directory."""
    worktree = hub.find_worktree(finding.session, finding.git_dir)
    if has_stale_lock(worktree):
        remove_stale_lock(worktree)
        return []
    if not worktree.branches:  # a cleanup would keep it
        recover_removal(worktree)
        return []
    report = clean_up_missing_worktree(
        locked,
        SessionId(finding.session),
        hub.project,
        read_cleanup_options(hub.project),
        worktree.git_dir,
    )
    for kept in report.kept:
        raise HubError(kept.reason.message, kept.reason.hint)
    refs = [saved.ref for removed in report.removed for saved in removed.saved]
    return [*report.notes, *(f"staged changes were saved in {ref}" for ref in refs)]


removal_interrupted = check(
    "removal-cut-off", "a cleanup was killed while it removed the worktree", fix=finish_removal
)


@removal_interrupted
def check_interrupted_removal(worktree: Worktree, _hub: HubSnapshot) -> Iterator[Problem]:
    journal = read_journal(worktree)
    if not journal.step:
        return
    path = worktree.path
    if is_trash_blocked(worktree, journal):
        evidence = f"a removal renamed it to '{journal.trash}', but its path exists again"
        yield Problem(path, evidence, advice=move_aside_command(path))
    elif is_marked_for_deletion(worktree):
        evidence = "the work was saved, but the deletion was interrupted"
        yield Problem(path, evidence, fix="finish the removal")
    else:
        yield Problem(path, "the removal was interrupted", fix="undo the removal")


@removal_interrupted
def check_removal_lock(worktree: Worktree, _hub: HubSnapshot) -> Iterator[Problem]:
    if has_stale_lock(worktree):
        yield Problem(worktree.path, "an interrupted removal left it locked", fix="unlock it")


def empty_git_dir_trash(_finding: Finding, hub: HubSnapshot) -> list[str]:
    """Delete the git dirs that interrupted cleanups have renamed."""
    trash.empty_trash(hub.project.paths.common_dir)
    return []


trash_left = check("trash-left", "trash of an interrupted cleanup", fix=empty_git_dir_trash)


def trash_findings(hub: HubSnapshot) -> Iterator[Finding]:
    """Check the trash of removals, unless a session is being changed."""
    if not hub.locked_sessions:
        yield from check_directory_trash(hub)
        yield from check_git_dir_trash(hub)


@trash_left
def check_directory_trash(hub: HubSnapshot) -> Iterator[Problem]:
    """Find renamed directories that no git dir names, beside the worktrees of the repository."""
    paths = [worktree.path for worktree in hub.worktrees if worktree.path]
    known = {
        os.path.realpath(trash.trash_name(worktree)) for worktree in hub.worktrees if worktree.path
    }
    for session in hub.readable_sessions():
        paths += recorded_paths(session).values()
    for parent in sorted({os.path.dirname(path) for path in paths}):
        for path in trash.list_trash(parent):
            if _may_belong_to_repository(path, hub) and os.path.realpath(path) not in known:
                evidence = "a cleanup renamed it, and its git dir does not exist"
                advice = f"inspect its files; then: rm -r {quote_word(path)}"
                yield Problem(path, evidence, advice=advice)


def _may_belong_to_repository(path: str, hub: HubSnapshot) -> bool:
    """Return True if the .git file names no git dir of another repository."""
    git_dir = linked_git_dir(path)
    git_dirs = os.path.join(os.path.realpath(hub.project.paths.common_dir), "worktrees")
    return not git_dir or os.path.dirname(os.path.realpath(git_dir)) == git_dirs


@trash_left
def check_git_dir_trash(hub: HubSnapshot) -> Iterator[Problem]:
    path = trash.git_dir_trash(hub.project.paths.common_dir)
    if os.path.isdir(path) and not os.path.islink(path):
        evidence = "it has git dirs that an interrupted cleanup renamed"
        yield Problem(path, evidence, fix="delete them")
