"""Create the deleted git dir of a worktree again."""

from __future__ import annotations

import os
from contextlib import suppress

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import GitFailed, HubError

if TYPE_CHECKING:
    from git_hub_session.git.ref_names import AgentBranch
    from git_hub_session.session.project import Project

_FILES = ("HEAD", "commondir", "gitdir", "index", "index.lock")
# The hook post-index-change must not see the index before the git dir is complete.
_NO_HOOKS = {"core.hooksPath": os.devnull}


def register_again(path: str, git_dir: str, branch: AgentBranch, project: Project) -> None:
    """Create the git dir of the directory `path`, with `branch` checked out.

    The index gets the files of the branch. The caller holds the lock of the session.

    Raises:
        HubError, OSError: the git dir cannot be created.
    """
    common_dir = project.paths.common_dir
    # git lists each directory in `worktrees`, so fill a directory beside it, and rename that.
    pending = os.path.join(common_dir, f"hub-session-{branch.session}.tmp")
    _delete(pending)  # a killed process may have left it
    os.mkdir(pending)
    try:
        _write(pending, "HEAD", f"ref: {branch.ref}")
        _write(pending, "commondir", "../..")
        _write(pending, "gitdir", f"{os.path.realpath(path)}/.git")
        git = project.git.at(common_dir, index=os.path.join(pending, "index"))
        git.read_tree(branch.ref, settings=_NO_HOOKS)
        os.makedirs(os.path.dirname(git_dir), exist_ok=True)
        os.rename(pending, git_dir)
    except GitFailed as error:
        raise HubError(error.reason) from None
    finally:
        _delete(pending)


def _write(directory: str, name: str, text: str) -> None:
    with open(os.path.join(directory, name), "xb") as file:
        file.write(os.fsencode(f"{text}\n"))


def _delete(pending: str) -> None:
    if os.path.isdir(pending) and not os.path.islink(pending):
        for name in _FILES:
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(pending, name))
        os.rmdir(pending)
