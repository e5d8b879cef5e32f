"""Find a checkout of a branch that another process made while a merge moved the branch.

`git checkout` reads the commit of the branch first, and writes HEAD last. If a merge moves the branch
in between, HEAD names the new commit, and the files and the index have the old one.
"""

from __future__ import annotations

import os
from time import monotonic, sleep

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import Refused
from git_hub_session.git.ref_names import short_name
from git_hub_session.git.worktrees import linked_worktrees
from git_hub_session.util.shell import quote_word
from git_hub_session.worktree.checkouts import find_checkout

if TYPE_CHECKING:
    from git_hub_session.session.project import Project


_MAX_WAIT = 2.0
"""The seconds to wait for a checkout. A lock that a killed git left costs this time."""


def stale_checkout_warnings(project: Project, ref: str, *, old: str, new: str) -> list[str]:
    """Return a warning if the branch `ref` at `new` is checked out with the files of `old`."""
    _wait_for_checkouts(project)
    try:
        checkout = find_checkout(ref, project)
    except Refused:
        return []
    if checkout is None:
        return []
    command = ["diff-tree", "-r", "-z", "--name-only", "--no-renames", old, new]
    changed = set(project.git.run(command).split(b"\0")[:-1])
    command = ["diff-index", "--cached", "-z", "--name-only", "--no-renames", new]
    differing = checkout.git(project).run(command).split(b"\0")[:-1]
    if not changed or not changed.issubset(differing):
        return []
    update = f"git -C {quote_word(checkout.path)} read-tree -m -u {old[:12]} {new[:12]}"
    problem = f"'{short_name(ref)}' was checked out in '{checkout.path}' during the merge"
    return [f"{problem}, with the files before it (update them: {update})"]


def _wait_for_checkouts(project: Project) -> None:
    """Wait until no git process writes an index."""
    common_dir = project.paths.common_dir
    git_dirs = [common_dir, *(worktree.git_dir for worktree in linked_worktrees(common_dir))]
    locks = [os.path.join(git_dir, "index.lock") for git_dir in git_dirs]
    end = monotonic() + _MAX_WAIT
    while any(map(os.path.lexists, locks)) and monotonic() < end:
        sleep(0.02)
