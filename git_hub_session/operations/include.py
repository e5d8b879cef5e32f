"""What a new worktree gets besides what is committed: the ignored files that .worktreeinclude lists."""

from __future__ import annotations

import os
from collections.abc import Callable

from git_hub_session.copies import copy_files
from git_hub_session.errors import GitFailed
from git_hub_session.operations.scene import Scene
from git_hub_session.worktrees import lies_in

_LIST = ".worktreeinclude"
_NONE_IS_IGNORED = 1  # what `git check-ignore` then exits with


def copier(scene: Scene, base: str) -> Callable[[str], None]:
    """A function that copies the files into the worktree at a path; git says now which they are.

    They are the files of the main worktree that git ignores and whose paths a pattern in its
    .worktreeinclude matches (the syntax of .gitignore); never what lies in the hub or in
    another repository, or what the commit `base` tracks. Raises GitFailed.
    """
    place, git = scene.place, scene.git
    top = place.main_worktree
    listing = os.path.join(top, _LIST)
    if not top or os.path.islink(listing) or not os.path.isfile(listing):
        return lambda _path: None
    where = {"GIT_DIR": place.common_dir, "GIT_WORK_TREE": top}
    named = ["ls-files", "-z", "--others", "--ignored", f"--exclude-from={listing}"]
    listed = git.run(named, environ=where, cwd=top).split(b"\0")[:-1]
    wanted = [
        path
        for path in listed
        if not path.endswith(b"/")  # another repository
        and not lies_in(os.path.join(top, os.fsdecode(path)), place.hub)
    ]
    paths: list[bytes] = []
    if wanted:
        try:
            question = b"\0".join(wanted) + b"\0"
            command = ["check-ignore", "-z", "--stdin"]
            paths = git.run(command, stdin=question, environ=where, cwd=top).split(b"\0")[:-1]
        except GitFailed as fault:
            if fault.status != _NONE_IS_IGNORED:
                raise
    if paths:
        # Not all of what is tracked is there to be in the way: a sparse checkout leaves it out.
        tracked = scene.repo.tree_entries(base)
        paths = [path for path in paths if tracked.keys().isdisjoint(_ways(path))]
    return lambda path: copy_files(top, path, paths)


def _ways(path: bytes) -> list[bytes]:
    """The path and what lies above it: "a/b/c", "a/b", "a"."""
    names = path.split(b"/")
    return [b"/".join(names[:count]) for count in range(len(names), 0, -1)]
