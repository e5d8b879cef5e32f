"""What a person can type where the entry of a worktree and its directory do not fit each other.

No link is written over one that leads to a living entry, or through a symbolic link: what lies
in the way gets another name. `git worktree repair` would mend the links of all worktrees at once,
and believes each entry.
"""

from __future__ import annotations

import os
import stat
from itertools import chain, count
from shlex import quote

from git_hub_session.operations.whereabouts import is_uprooted, moved_along
from git_hub_session.worktrees import Worktree, git_dir_of, is_same, read_worktree


def way_back(worktree: Worktree) -> str:
    """What to type so that they fit again, or so that nothing but the directory is missing."""
    path = worktree.path
    if not path:
        return elsewhere(worktree)
    where = quote(path)
    if worktree.missing:
        return _made_again(worktree)
    named = git_dir_of(path)
    if os.path.islink(path):
        real = os.path.realpath(path)
        return told_anew(real, worktree) if is_same(named, worktree.entry) else f"rm {where}"
    dot_git = os.path.join(path, ".git")
    if not os.path.isdir(path) or (os.path.isdir(dot_git) and not os.path.islink(dot_git)):
        return out_of_the_way(path)
    if os.path.isdir(named):
        return _apart(worktree, named)
    return _linked(worktree)


def moved_back(found: str, worktree: Worktree) -> str:
    """What to type to have the directory `found` in the place of the worktree again."""
    parent = os.path.dirname(worktree.path)
    made = "" if os.path.isdir(parent) else f"mkdir -p {quote(parent)} && "
    return f"{made}mv {quote(found)} {quote(worktree.path)}"


def out_of_the_way(path: str) -> str:
    """What to type to have what lies at `path` under another name."""
    return f"mv {quote(path)} {quote(_free(f'{path}.other'))}"


def elsewhere(worktree: Worktree) -> str:
    """What to do where nobody knows where it lies."""
    known = _written("<its directory>/.git", f"{worktree.entry}/gitdir")
    return f"bring it back, or, where it lies elsewhere: {known}"


def told_anew(found: str, worktree: Worktree) -> str:
    """What to type to have git know of the worktree where its directory lies now, as `found`."""
    known = _written(f"{quote(found)}/.git", f"{worktree.entry}/gitdir")
    if is_same(git_dir_of(found), worktree.entry):
        return known
    return f"{_linked(worktree, found)} && {known}"


def _made_again(worktree: Worktree) -> str:
    """The files as they were staged last; where more is gone than the directory it may only be elsewhere."""
    where = quote(worktree.path)
    made = f"mkdir -p {where} && {_linked(worktree)} && git -C {where} checkout-index -a"
    if not is_uprooted(worktree):
        return made
    return f"{elsewhere(worktree)}; if it is gone: {made}"


def _apart(worktree: Worktree, named: str) -> str:
    """The directory is another's, whose entry is `named`: to its own place, or out of the way."""
    path, other = worktree.path, read_worktree(os.path.basename(named), named)
    if is_same(other.path, path):  # the other's entry says so too: this one is missing
        along = moved_along(worktree)
        if along:
            return told_anew(along, worktree)
        gone = _free(f"{path}.gone")
        return _written(f"{quote(gone)}/.git", f"{worktree.entry}/gitdir")
    is_ours = is_same(os.path.dirname(named), os.path.dirname(worktree.entry))
    if is_ours and other.missing:
        return moved_back(path, other)
    return out_of_the_way(path)


def _free(path: str) -> str:
    """The path, or the first like it that nothing has: `mv` would move into a directory."""
    more = (f"{path}-{number}" for number in count(2))
    return next(one for one in chain([path], more) if not os.path.lexists(one))


def _linked(worktree: Worktree, path: str = "") -> str:
    """Its .git file written anew, in its place or in the directory `path`."""
    dot_git = os.path.join(path or worktree.path, ".git")
    return _written(quote(worktree.entry), dot_git, prefix="gitdir: ")


def _written(text: str, path: str, prefix: str = "") -> str:
    line = f"printf '{prefix}%s\\n' {text} >{quote(path)}"
    return line if _may_be_written(path) else f"rm {quote(path)} && {line}"


def _may_be_written(path: str) -> bool:
    """Whether a file can be written there: not through a link, nor into a pipe, a device, or what has a second name."""
    try:
        found = os.lstat(path)
    except OSError:
        return True
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1
