"""The uncommitted changes of the main worktree. New agents start from a commit without them."""

from __future__ import annotations

import os

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import GitFailed
from git_hub_session.util.text import quote_list

if TYPE_CHECKING:
    from git_hub_session.session.project import Project

_STATUS = ("status", "--porcelain", "-z", "--no-renames", "--untracked-files=no")


def uncommitted_warning(project: Project) -> str:
    """Return the warning that agents do not get the uncommitted changes, or '' without changes.

    Untracked files are left out: they are often notes, such as the file of the task.
    """
    paths = project.paths
    if not paths.main_worktree:
        return ""
    git = project.git.at(paths.common_dir, paths.main_worktree)
    try:
        output = git.run(_STATUS, environ={"GIT_OPTIONAL_LOCKS": "0"}, quiet=True)
    except GitFailed:
        return ""  # `doctor` reports a main worktree that git cannot read
    names = quote_list([line[3:] for line in os.fsdecode(output).split("\0")[:-1]])
    if not names:
        return ""
    return f"the agents do not get the uncommitted changes of the main worktree: {names}"
