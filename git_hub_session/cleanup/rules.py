"""May a worktree go, and what has to be saved first? Rules as pure functions of facts.

The order is the order in which a person would want to hear the reasons.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from os import fsdecode
from shlex import quote

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cleanup.options import CleanupOptions
from git_hub_session.git.ref_names import SessionId
from git_hub_session.git.worktrees import Worktree
from git_hub_session.worktree.changes import WorktreeChanges, can_git_store
from git_hub_session.worktree.detached import detached_reason, restore_branch_command
from git_hub_session.worktree.owner import session_of_worktree
from git_hub_session.worktree.reason import Reason
from git_hub_session.worktree.repair_commands import repair_command

if TYPE_CHECKING:
    from git_hub_session.removal.inspect import WorktreeUsage


def in_use_message(users: Sequence[str], sid: SessionId) -> Reason:
    """Processes stand in it: '1234 (bash)'."""
    return Reason(
        "in-use", f"in use by process {', '.join(users)}", f"end it, or: {force_command(sid)}"
    )


def force_command(sid: SessionId) -> str:
    """What overrules the reason; in full, for `archive` and `merge` say it too."""
    return f"git hub-session cleanup --force {sid}"


def reason_before_looking(
    worktree: Worktree, around: WorktreeUsage, policy: CleanupOptions
) -> Reason | None:
    """Why the worktree stays whatever is in it, or None."""
    where = quote(worktree.path)
    if worktree.lock_reason is not None:
        because = f": {worktree.lock_reason}" if worktree.lock_reason else ""
        return Reason("locked", f"locked{because}", f"git worktree unlock {where}")
    if around.is_caller_inside:
        return Reason("current", "you are in it", "call it from another directory")
    if around.moved_to:
        return Reason("moved", f"its directory lies in '{around.moved_to}'", around.back)
    if worktree.link_error:
        return Reason("damaged-link", worktree.link_error, repair_command(worktree))
    if around.processes and not policy.force:
        return in_use_message(around.processes, around.session)
    if around.mounts:
        return Reason(
            "mount-point", f"a mount point: {around.mounts[0]}", f"umount {quote(around.mounts[0])}"
        )
    if around.nested:
        return Reason("contains", f"'{around.nested[0]}' lies in it", f"move it out of {where}")
    if worktree.is_index_locked:
        return Reason(
            "index-locked",
            "its index is locked: a git command is running there, or was killed",
            f"wait for it, or delete {quote(worktree.git_dir + '/index.lock')}",
        )
    if worktree.submodule_dir:
        return Reason(
            "submodule",
            f"it holds repositories of submodules: {worktree.submodule_dir}",
            f"push what is in them, then delete {quote(worktree.submodule_dir)}",
        )
    if worktree.operation and not policy.force:
        return operation_message(worktree, around.session)
    if around.is_parent_missing and not policy.force:
        gone = "its directory is gone, and so is the one that it was in"
        hint = f"bring it back; if it is gone: {force_command(around.session)}"
        return Reason("place-missing", gone, hint)
    return _off_branch(worktree, around, policy) if around.onto else None


def _off_branch(worktree: Worktree, around: WorktreeUsage, policy: CleanupOptions) -> Reason | None:
    """Where HEAD was cut off nobody knows what is committed there: that stays by force, too."""
    may_go = bool(worktree.detached) or worktree.is_missing
    if may_go and policy.force:
        return None
    more = f", or: {force_command(around.session)}" if may_go else ""
    return Reason("off-branch", detached_reason(worktree), f"{around.onto}{more}")


def operation_message(worktree: Worktree, sid: SessionId) -> Reason:
    operation, forced = worktree.operation, force_command(sid)
    way = _git_command_in(
        worktree, "bisect reset" if operation == "bisect" else f"{operation} --abort"
    )
    return Reason(
        "operation",
        f"in the middle of {'an' if operation == 'am' else 'a'} {operation}",
        f"{forced}, or: {way}" if worktree.is_missing else f"{way}, or: {forced}",
    )


def _git_command_in(worktree: Worktree, words: str) -> str:
    return (
        repair_command(worktree)
        if worktree.is_missing
        else f"git -C {quote(worktree.path)} {words}"
    )


def reason_after_looking(
    worktree: Worktree, seen: WorktreeChanges, policy: CleanupOptions
) -> Reason | None:
    """Why the worktree stays because of what is in it, or None."""
    where = quote(worktree.path)
    if not seen.head:
        return Reason(
            "unreadable-head", "its HEAD leads to no commit", restore_branch_command(worktree)
        )
    if seen.git_index.unmerged:
        return Reason(
            "unmerged",
            f"unmerged entries: {_list_some(sorted(seen.git_index.unmerged))}",
            _git_command_in(worktree, "status"),
        )
    if seen.submodules:
        return Reason(
            "submodule",
            f"a populated submodule: {_list_some(seen.submodules)}",
            f"git -C {where} submodule deinit --all",
        )
    if seen.repositories:
        return Reason(
            "nested-repository",
            f"another repository in it: {_list_some(seen.repositories)}",
            f"move it out of {where}",
        )
    if seen.tree.devices:
        return Reason("mount-point", f"a mount point: {_list_some(seen.tree.devices)}")
    if policy.discard:
        return None
    if seen.special_files:
        return Reason(
            "special-file",
            f"not a file that git can save: {_list_some(seen.special_files)}",
            "use --discard",
        )
    size = seen.size(paths_to_save(seen, policy))
    if size > policy.rescue_limit:
        sid = session_of_worktree(worktree) or "<id>"
        return Reason(
            "too-large",
            f"{size:,} bytes of untracked files are more than hubsession.rescueLimit ({policy.rescue_limit:,})",
            f"git -c hubsession.rescueLimit={size} hub-session cleanup {sid}, or use --discard",
        )
    return None


def paths_to_save(seen: WorktreeChanges, policy: CleanupOptions) -> tuple[bytes, ...]:
    """The files not in the index that must not be lost: untracked, and ignored ones worth keeping."""
    return seen.untracked + tuple(
        path
        for path in seen.ignored
        if can_git_store(seen.tree.files[path].st_mode)
        and _matches_keep_ignored(path, policy.keep_ignored)
    )


def _matches_keep_ignored(path: bytes, patterns: Sequence[str]) -> bool:
    text = fsdecode(path)
    name = text.rpartition("/")[2]
    return any(fnmatchcase(text if "/" in pattern else name, pattern) for pattern in patterns)


def _list_some(paths: Sequence[bytes]) -> str:
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(f"'{fsdecode(path)}'" for path in paths[:3]) + more
