"""Paths for the worktrees of agents."""

from __future__ import annotations

import os

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import HubError
from git_hub_session.git.ref_names import AgentBranch
from git_hub_session.session.project import Project
from git_hub_session.util.paths import is_inside

if TYPE_CHECKING:
    from git_hub_session.git.discovery import RepositoryPaths


_WORKTREE_PATH = "../{repo}.hub/{id}/agent-{n}"


def worktree_template(project: Project) -> str:
    """Where the worktrees of agents go: hubsession.worktreePath, or its default."""
    return [_WORKTREE_PATH, *project.config_values("hubsession.worktreePath")][-1]


def worktree_path(template: str, place: RepositoryPaths, branch: AgentBranch) -> str:
    """Where an agent's worktree goes: `template` from the top of the main worktree; raises HubError.

    {repo}, {id}, {n} and {m} are the repository's name, the session's, the agent's number and
    the attempt's; without {m} a later attempt has its number at the end.
    """
    top = place.main_worktree or place.common_dir
    words = {
        "{repo}": os.path.basename(top).removesuffix(".git") or "repository",
        "{id}": branch.session,
        "{n}": str(branch.agent),
        "{m}": str(branch.attempt),
    }
    if "{n}" not in template:
        raise HubError(f"no place for an agent's number in '{template}'", hint="{n} stands for it")
    if branch.attempt > 1 and "{m}" not in template:
        template += "-{m}"
    for word, value in words.items():
        template = template.replace(word, value)
    path = os.path.normpath(os.path.join(top, os.path.expanduser(template)))
    if path != path.rstrip():
        # git's own file that says where the worktree is is read without it.
        raise HubError(f"git does not find '{path}' again: white space at its end")
    for own in (place.common_dir, place.hub):
        if is_inside(os.path.realpath(path), own):
            raise HubError(f"'{path}' lies in '{own}'", hint="choose another --path")
    return path


def can_create_at(path: str) -> bool:
    """Whether git would make a worktree at `path`: an empty directory will do, but no link to one."""
    is_directory = os.path.isdir(path) and not os.path.islink(path)
    return not os.listdir(path) if is_directory else not os.path.lexists(path)


_SUFFIX = ".hub-trash"


def is_trash_name(name: str) -> bool:
    """Whether a directory of that name is one that `trash_name` gives."""
    return name.startswith(".") and name.endswith(_SUFFIX)
