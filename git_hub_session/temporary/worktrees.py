"""Name, recognize and remove the temporary worktrees of evaluations.

A temporary worktree is beside the worktrees of the agents. Its name contains the id of the session,
and its lock reason is EVAL_LOCK. It is a leftover if no evaluation of the session is active.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.ref_names import AgentBranch, SessionId, agent_number
from git_hub_session.removal.discard import remove_with_contents
from git_hub_session.removal.errors import RemovalFailed
from git_hub_session.removal.trash import empty_trash
from git_hub_session.session import runs
from git_hub_session.system import procfs
from git_hub_session.system.tree import directory_id
from git_hub_session.util.paths import is_same_path
from git_hub_session.util.shell import quote_word
from git_hub_session.worktree.locks import EVAL_LOCK
from git_hub_session.worktree.owner import default_paths
from git_hub_session.worktree.paths import default_worktree_path
from git_hub_session.worktree.reason import Reason

if TYPE_CHECKING:
    from git_hub_session.git.worktrees import Worktree
    from git_hub_session.session.project import Project

# A string, not a compiled pattern: most commands never use it.
_AGENT = r"agent-[1-9][0-9]*"
_NAME = rf"\.(.+)-{runs.EVAL}-((?:{_AGENT}(?:-attempt-[1-9][0-9]*)?)|(?:{_AGENT}-)?baseline)"


def eval_worktree_path(sid: SessionId, target: str, project: Project) -> str:
    """Return the path of the temporary worktree of a target, such as "agent-2".

    Raise HubError if the path of the agents' worktrees cannot be used.
    """
    path = default_worktree_path(project.settings, project.paths, AgentBranch(sid, 1, 1))
    parent = os.path.realpath(os.path.dirname(path))
    return os.path.join(parent, f".{sid}-{runs.EVAL}-{target}")


def session_of_eval_worktree(worktree: Worktree) -> str:
    """Return the id of the session whose evaluation created the worktree, or ''."""
    if worktree.lock_reason != EVAL_LOCK:
        return ""
    name = re.fullmatch(_NAME, os.path.basename(worktree.path))
    return name[1] if name else ""


def agent_of_eval_worktree(worktree: Worktree) -> int:
    """Return the number of the agent whose name is in that of a temporary worktree, or 0."""
    name = re.fullmatch(_NAME, os.path.basename(worktree.path))
    agent = re.match(_AGENT, name[2]) if name else None
    return agent_number(agent[0]) if agent else 0


def leftover_worktrees(
    sid: SessionId, worktrees: Iterable[Worktree], project: Project
) -> list[Worktree]:
    """Return the temporary worktrees that killed evaluations of the session left.

    Args:
        worktrees: the linked worktrees of the repository.
    """
    own = [worktree for worktree in worktrees if session_of_eval_worktree(worktree) == sid]
    if not own:
        return []
    with project.store.open_directory(sid) as directory:
        return [] if runs.active_runs(directory, runs.EVAL) else own


def reason_to_keep(worktree: Worktree, project: Project) -> Reason | None:
    """Return the reason to keep a temporary worktree that an evaluation left, or None."""
    reason = _unsafe_reason(worktree, project, {})
    pids = procfs.processes_in(worktree.path)
    if reason is None and pids:
        users = ", ".join(procfs.describe_processes(pids))
        reason = Reason("in-use", f"in use by process {users}", "end the process")
    return reason


def _unsafe_reason(
    worktree: Worktree, project: Project, created: Mapping[str, tuple[int, int]]
) -> Reason | None:
    """Return the reason that the removal of a temporary worktree is unsafe, or None.

    Args:
        created: the ids of the directories that this process has created, by path.
    """
    path = worktree.path
    remove = remove_command(worktree)
    agent = AgentBranch(SessionId(session_of_eval_worktree(worktree)), 1, 1)
    parents = map(os.path.dirname, default_paths(agent, project))
    if not any(is_same_path(parent, os.path.dirname(path)) for parent in parents):
        return Reason("moved", "it is not beside the worktrees of the agents", remove)
    mounts = procfs.mounts_in(os.path.realpath(path))
    if mounts:
        return Reason(
            "mount-point",
            f"contains a mount point: '{mounts[0]}'",
            f"umount {quote_word(mounts[0])}",
        )
    # A measured command may have replaced the directory with a link.
    is_created = path in created and (os.path.islink(path) or directory_id(path) == created[path])
    if not worktree.link_error or is_created or _is_empty(path):
        return None
    return Reason("damaged-link", worktree.link_error, remove)


def remove_command(worktree: Worktree) -> str:
    """Return the command that removes a temporary worktree with everything in it.

    If its link is damaged, the command keeps the files: they may belong to the user.
    """
    path = quote_word(worktree.path)
    remove = f"git worktree remove -f -f {path}"
    is_damaged = worktree.link_error and os.path.lexists(worktree.path)
    return f"mv {path} {path}.old && {remove}" if is_damaged else remove


def _is_empty(path: str) -> bool:
    try:
        return not os.path.islink(path) and not os.listdir(path)
    except OSError:
        return False


def remove_eval_worktrees(
    worktrees: Sequence[Worktree],
    project: Project,
    created: Mapping[str, tuple[int, int]] | None = None,
) -> None:
    """Remove temporary worktrees with everything in them. Keep those that cannot be removed.

    Args:
        created: the ids of the directories that this process has created, by path.
    """
    for worktree in worktrees:
        if _unsafe_reason(worktree, project, created or {}) is None:
            with suppress(RemovalFailed, OSError):
                remove_with_contents(worktree)
    if worktrees:
        empty_trash(project.paths.common_dir)


def preview_leftover_worktrees(
    sid: SessionId, project: Project, worktrees: Sequence[Worktree]
) -> list[str]:
    """Return notes about the temporary worktrees that remove_leftover_worktrees() would find."""
    notes = []
    for worktree in leftover_worktrees(sid, worktrees, project):
        reason = reason_to_keep(worktree, project)
        verb, why = ("keep", f": {reason.message}") if reason else ("remove", "")
        notes.append(f"would {verb} the temporary worktree '{worktree.path}'{why}")
    return notes


def remove_leftover_worktrees(
    sid: SessionId, project: Project, worktrees: Sequence[Worktree]
) -> list[str]:
    """Remove the temporary worktrees that killed evaluations left. Return notes about them.

    Call it with the lock of the session.
    """
    left = leftover_worktrees(sid, worktrees, project)
    notes = []
    for worktree in left:
        reason = reason_to_keep(worktree, project)
        if reason is None:
            remove_eval_worktrees([worktree], project)
        if os.path.lexists(worktree.git_dir):
            why = reason.message if reason else "it cannot be removed"
            notes.append(f"kept the temporary worktree '{worktree.path}': {why}")
    removed = len(left) - len(notes)
    if removed:
        noun = "worktree" if removed == 1 else "worktrees"
        notes.append(f"removed {removed} temporary {noun} of an interrupted evaluation")
    return notes
