"""What a person can type where the entry of a worktree and its directory do not fit each other.

Nothing is lost by it, and no other worktree is touched: a directory is made again, a link is
written anew, and what lies in the way gets another name. `git worktree repair` mends the links
of all worktrees at once, and believes each entry.
"""

from __future__ import annotations

import os
import stat
from shlex import quote

from git_hub_session.worktrees import Worktree, git_dir_of, read_worktree


def way_back(worktree: Worktree) -> str:
    """What to type so that they fit again, or so that nothing but the directory is missing."""
    path = worktree.path
    if not path:
        return "git worktree repair <its directory>"
    where = quote(path)
    if worktree.missing:  # the files as they were staged last
        return f"mkdir -p {where} && {_linked(worktree)} && git -C {where} checkout-index -a"
    if os.path.islink(path):  # moved, or without anything that it leads to
        return f"git worktree repair {where}" if git_dir_of(path) else f"rm {where}"
    dot_git = os.path.join(path, ".git")
    if not os.path.isdir(path) or (os.path.isdir(dot_git) and not os.path.islink(dot_git)):
        return f"mv {where} {quote(f'{path}.other')}"
    its_place = _place_of_another(worktree)
    if its_place:
        return f"mv {where} {quote(its_place)}"
    if not _may_be_written(dot_git):
        return f"rm {quote(dot_git)} && {_linked(worktree)}"
    return _linked(worktree)


def _linked(worktree: Worktree) -> str:
    dot_git = os.path.join(worktree.path, ".git")
    return f"printf 'gitdir: %s\\n' {quote(worktree.entry)} >{quote(dot_git)}"


def _place_of_another(worktree: Worktree) -> str:
    """Where the directory belongs, if it is another worktree's that was moved over this one's place; ''."""
    entry = git_dir_of(worktree.path)
    entries = os.path.dirname(os.path.realpath(worktree.entry))
    if os.path.dirname(os.path.realpath(entry)) != entries or not os.path.isdir(entry):
        return ""
    other = read_worktree(os.path.basename(entry), entry)
    return other.path if other.missing else ""


def _may_be_written(dot_git: str) -> bool:
    """Whether a file can be written there: not through a link, nor into a pipe or a device."""
    try:
        return stat.S_ISREG(os.lstat(dot_git).st_mode)
    except OSError:
        return True
