"""The shell commands that repair the link between a worktree's directory and git dir.

A command never overwrites a link to an existing git dir, and never writes through a symbolic link.
It renames a file or a directory that is in its way. The commands do not use `git worktree repair`:
it repairs the links of all worktrees at once, and it trusts the path in every git dir.
"""

from __future__ import annotations

import os
import stat

from git_hub_session.git.ref_names import SessionId
from git_hub_session.git.worktrees import Worktree, linked_git_dir, read_worktree
from git_hub_session.util.move_aside import move_aside_command
from git_hub_session.util.paths import first_free, is_same_path
from git_hub_session.util.shell import quote_word
from git_hub_session.worktree.relocation import find_moved_with_repository, is_parent_missing


def repair_command(worktree: Worktree) -> str:
    """Return the command that repairs the link between the directory and the git dir.

    If another file or directory is at the path, the command only frees the path. After that, call
    this function again for the command that recreates the directory.
    """
    path = worktree.path
    if not path:
        return unknown_location_hint(worktree)
    if worktree.is_missing:
        return _recreate_command(worktree)
    git_dir = linked_git_dir(path)
    if os.path.islink(path):
        if is_same_path(git_dir, worktree.git_dir):
            return relink_command(os.path.realpath(path), worktree)
        return f"rm {quote_word(path)}"
    dot_git = os.path.join(path, ".git")
    is_repository = os.path.isdir(dot_git) and not os.path.islink(dot_git)
    if not os.path.isdir(path) or is_repository:
        return move_aside_command(path)
    if os.path.isdir(git_dir):
        return _foreign_directory_command(worktree, git_dir)
    return _write_git_file_command(worktree, path)


def unregister_command(worktree: Worktree, sid: SessionId) -> str:
    """Return the command that saves the staged changes of a missing worktree.

    If the parent directory is missing too, a disk may not be mounted. `doctor` leaves the decision
    to the user then, and `cleanup` names the option for it.
    """
    verb = "cleanup" if is_parent_missing(worktree) else "doctor --fix"
    return f"git hub-session {verb} {sid}"


def move_back_command(path: str, worktree: Worktree) -> str:
    """Return the command that moves the directory at `path` back to the path of the worktree."""
    parent = os.path.dirname(worktree.path)
    move = f"mv {quote_word(path)} {quote_word(worktree.path)}"
    return move if os.path.isdir(parent) else f"mkdir -p {quote_word(parent)} && {move}"


def unknown_location_hint(worktree: Worktree) -> str:
    """Return the hint for a worktree whose directory cannot be found."""
    record = write_file_command("<its directory>/.git", f"{worktree.git_dir}/gitdir")
    return f"move its directory back, or record its new path: {record}"


def relink_command(path: str, worktree: Worktree) -> str:
    """Return the command that links the directory at `path` and the git dir of the worktree."""
    record = write_file_command(f"{quote_word(path)}/.git", f"{worktree.git_dir}/gitdir")
    if is_same_path(linked_git_dir(path), worktree.git_dir):
        return record
    return f"{_write_git_file_command(worktree, path)} && {record}"


def _recreate_command(worktree: Worktree) -> str:
    """Return the command that recreates the directory with the staged files.

    If the parent is missing too, the directory may have been moved. Then name both ways.
    """
    path = quote_word(worktree.path)
    link = _write_git_file_command(worktree, worktree.path)
    recreate = f"mkdir -p {path} && {link} && git -C {path} checkout-index -a"
    if not is_parent_missing(worktree):
        return recreate
    return f"{unknown_location_hint(worktree)}; if it was deleted: {recreate}"


def _foreign_directory_command(worktree: Worktree, git_dir: str) -> str:
    """Return the command for a worktree whose path has the directory of another git dir.

    Args:
        git_dir: the git dir that the .git file of the directory names.
    """
    path = worktree.path
    other = read_worktree(os.path.basename(git_dir), git_dir)
    if is_same_path(other.path, path):
        # The directory belongs to the other worktree, so the directory of this one is missing.
        moved = find_moved_with_repository(worktree)
        if moved:
            return relink_command(moved, worktree)
        # Record a path that does not exist. Then git and `cleanup` treat the directory as missing.
        missing = first_free(f"{path}.gone", os.path.lexists)
        return write_file_command(f"{quote_word(missing)}/.git", f"{worktree.git_dir}/gitdir")
    is_same_repository = is_same_path(os.path.dirname(git_dir), os.path.dirname(worktree.git_dir))
    if is_same_repository and not other.path:
        return relink_command(path, other)  # the git dir of the directory has lost its path
    if is_same_repository and other.is_missing:
        return move_back_command(path, other)
    return move_aside_command(path)


def _write_git_file_command(worktree: Worktree, path: str) -> str:
    """Return the command that writes the .git file of the worktree into the directory `path`."""
    dot_git = os.path.join(path, ".git")
    return write_file_command(quote_word(worktree.git_dir), dot_git, prefix="gitdir: ")


def write_file_command(text: str, path: str, prefix: str = "") -> str:
    """Return the command that writes a line, with `text` as the shell reads it, into a file.

    It replaces a link, a pipe and a file with a second hard link. It keeps a directory under
    another name.
    """
    write = f"printf '{prefix}%s\\n' {text} >{quote_word(path)}"
    if os.path.isdir(path) and not os.path.islink(path):
        return f"{move_aside_command(path)} && {write}"
    return write if can_overwrite(path) else f"rm {quote_word(path)} && {write}"


def can_overwrite(path: str) -> bool:
    """Return True if the path is free, or a regular file without a second hard link."""
    try:
        status = os.lstat(path)
    except OSError:
        return True
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1
