"""What a person can type where the entry of a worktree and its directory do not fit each other.

No link is written over one that leads to a living entry, or through a symbolic link: what lies
in the way gets another name. `git worktree repair` would mend the links of all worktrees at once,
and believes each entry.
"""

from __future__ import annotations

import os
import stat
from shlex import quote

from git_hub_session.git.worktrees import Worktree, linked_git_dir, read_worktree
from git_hub_session.util.paths import first_free, is_same_path
from git_hub_session.worktree.relocation import find_moved_with_repository, is_parent_missing


def repair_command(worktree: Worktree) -> str:
    """What to type so that they fit again, or so that nothing but the directory is missing."""
    path = worktree.path
    if not path:
        return unknown_location_hint(worktree)
    where = quote(path)
    if worktree.is_missing:
        return _recreate_command(worktree)
    named = linked_git_dir(path)
    if os.path.islink(path):
        real = os.path.realpath(path)
        return (
            relink_command(real, worktree)
            if is_same_path(named, worktree.git_dir)
            else f"rm {where}"
        )
    dot_git = os.path.join(path, ".git")
    if not os.path.isdir(path) or (os.path.isdir(dot_git) and not os.path.islink(dot_git)):
        return move_aside_command(path)
    if os.path.isdir(named):
        return _foreign_directory_hint(worktree, named)
    return _write_gitfile_command(worktree)


def move_back_command(found: str, worktree: Worktree) -> str:
    """What to type to have the directory `found` in the place of the worktree again."""
    parent = os.path.dirname(worktree.path)
    made = "" if os.path.isdir(parent) else f"mkdir -p {quote(parent)} && "
    return f"{made}mv {quote(found)} {quote(worktree.path)}"


def move_aside_command(path: str) -> str:
    """What to type to have what lies at `path` under another name."""
    return f"mv {quote(path)} {quote(first_free(f'{path}.other', os.path.lexists))}"


def unknown_location_hint(worktree: Worktree) -> str:
    """What to do where nobody knows where it lies."""
    known = _write_file_command("<its directory>/.git", f"{worktree.git_dir}/gitdir")
    return f"bring it back, or, where it lies elsewhere: {known}"


def relink_command(found: str, worktree: Worktree) -> str:
    """What to type to have git know of the worktree where its directory lies now, as `found`."""
    known = _write_file_command(f"{quote(found)}/.git", f"{worktree.git_dir}/gitdir")
    if is_same_path(linked_git_dir(found), worktree.git_dir):
        return known
    return f"{_write_gitfile_command(worktree, found)} && {known}"


def _recreate_command(worktree: Worktree) -> str:
    """The files as they were staged last; where more is gone than the directory it may only be elsewhere."""
    where = quote(worktree.path)
    made = f"mkdir -p {where} && {_write_gitfile_command(worktree)} && git -C {where} checkout-index -a"
    if not is_parent_missing(worktree):
        return made
    return f"{unknown_location_hint(worktree)}; if it is gone: {made}"


def _foreign_directory_hint(worktree: Worktree, named: str) -> str:
    """The directory is another's, whose entry is `named`: to its own place, or out of the way."""
    path, other = worktree.path, read_worktree(os.path.basename(named), named)
    if is_same_path(other.path, path):  # the other's entry says so too: this one is missing
        along = find_moved_with_repository(worktree)
        if along:
            return relink_command(along, worktree)
        gone = first_free(f"{path}.gone", os.path.lexists)
        return _write_file_command(f"{quote(gone)}/.git", f"{worktree.git_dir}/gitdir")
    is_ours = is_same_path(os.path.dirname(named), os.path.dirname(worktree.git_dir))
    if is_ours and other.is_missing:
        return move_back_command(path, other)
    return move_aside_command(path)


def _write_gitfile_command(worktree: Worktree, path: str = "") -> str:
    """Its .git file written anew, in its place or in the directory `path`."""
    dot_git = os.path.join(path or worktree.path, ".git")
    return _write_file_command(quote(worktree.git_dir), dot_git, prefix="gitdir: ")


def _write_file_command(text: str, path: str, prefix: str = "") -> str:
    line = f"printf '{prefix}%s\\n' {text} >{quote(path)}"
    return line if _is_safe_to_write(path) else f"rm {quote(path)} && {line}"


def _is_safe_to_write(path: str) -> bool:
    """Whether a file can be written there: not through a link, nor into a pipe, a device, or what has a second name."""
    try:
        found = os.lstat(path)
    except OSError:
        return True
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1
