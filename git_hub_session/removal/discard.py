"""Remove a worktree without an inspection, or only its git dir."""

from __future__ import annotations

import os
from shlex import quote

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.removal.errors import RemovalFailed
from git_hub_session.removal.journal import STEP_DELETE, read_journal, start_journal
from git_hub_session.removal.trash import git_dir_trash, safe_name, trash_name
from git_hub_session.system import tree

if TYPE_CHECKING:
    from git_hub_session.git.worktrees import Worktree


def remove_with_contents(worktree: Worktree) -> None:
    """Remove a worktree with everything in it, also repositories. Call it again after a kill.

    The caller has created the worktree and told no user. Raise RemovalFailed or OSError.
    """
    trash = trash_name(worktree)
    if os.path.lexists(worktree.path):
        # Rename first: after a kill, the journal shows that the rest of the directory is no work.
        start_journal(worktree, STEP_DELETE)
        os.rename(worktree.path, trash)
    elif not read_journal(worktree).step:
        trash = ""
    if trash:
        parent, name = os.path.split(trash)
        tree.remove_path(parent, os.fsencode(name))
    tree.remove_path(worktree.git_dir, b"modules")  # the repositories of submodules
    remove_git_dir(worktree)


def remove_git_dir(worktree: Worktree) -> None:
    """Rename the git dir of this worktree to the trash, and delete it. Raises RemovalFailed."""
    directory = git_dir_trash(worktree.common_dir)
    trash = os.path.join(directory, f"{safe_name(worktree)}.{os.getpid()}")
    try:
        if not os.path.lexists(directory):
            os.mkdir(directory)
        if os.path.islink(directory):
            raise RemovalFailed(f"'{directory}' is a symbolic link", hint=f"rm {quote(directory)}")
        os.rename(worktree.git_dir, trash)
        tree.remove_if_unchanged(trash, tree.scan_directory(trash))
    except (FileExistsError, FileNotFoundError):
        # Another cleanup created or removed the trash directory at the same time.
        if os.path.lexists(worktree.git_dir):
            remove_git_dir(worktree)
    except OSError as error:
        raise RemovalFailed(f"cannot remove the administrative files: {error.strerror}") from None
