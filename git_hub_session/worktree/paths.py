"""Choose the paths of agents' worktrees."""

from __future__ import annotations

import os

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import HubError
from git_hub_session.util.paths import is_inside

if TYPE_CHECKING:
    from git_hub_session.git.discovery import RepositoryPaths
    from git_hub_session.git.ref_names import AgentBranch
    from git_hub_session.session.project import Project


_DEFAULT_TEMPLATE = "../{repo}.hub/{id}/agent-{n}"


def worktree_template(project: Project) -> str:
    """Return the path template for agents' worktrees: hubsession.worktreePath or its default."""
    return [_DEFAULT_TEMPLATE, *project.config_values("hubsession.worktreePath")][-1]


def worktree_path(template: str, paths: RepositoryPaths, branch: AgentBranch) -> str:
    """Return the path for the worktree of an attempt.

    Args:
        template: the path template, relative to the top of the main worktree. {repo} is the name
            of the repository, {id} the session id, {n} the number of the agent and {m} the
            number of the attempt. Without {m}, later attempts get "-" and their number appended.
        paths: the paths of the repository.
        branch: the attempt.

    Raises:
        HubError: the template has no {n}, or its path cannot be used.
    """
    top = paths.main_worktree or paths.common_dir
    values = {
        "{repo}": os.path.basename(top).removesuffix(".git") or "repository",
        "{id}": branch.session,
        "{n}": str(branch.agent),
        "{m}": str(branch.attempt),
    }
    if "{n}" not in template:
        raise HubError(
            f"the path '{template}' has no {{n}}",
            hint="put {n} where the number of the agent belongs",
        )
    if branch.attempt > 1 and "{m}" not in template:
        template += "-{m}"
    for placeholder, value in values.items():
        template = template.replace(placeholder, value)
    path = os.path.normpath(os.path.join(top, os.path.expanduser(template)))
    if path != path.rstrip():
        # git strips white space at the end when it reads the path from its administrative files.
        raise HubError(f"'{path}' ends with white space: git would not find the worktree again")
    for reserved in (paths.common_dir, paths.hub):
        if is_inside(os.path.realpath(path), reserved):
            raise HubError(f"'{path}' is inside '{reserved}'", hint="choose another --path")
    return path


def can_create_at(path: str) -> bool:
    """Return True if git can create a worktree at `path`.

    Nothing may exist at the path except an empty directory. A symbolic link is not accepted.
    """
    is_directory = os.path.isdir(path) and not os.path.islink(path)
    return not os.listdir(path) if is_directory else not os.path.lexists(path)


TRASH_SUFFIX = ".hub-trash"


def is_trash_name(name: str) -> bool:
    """Return True if the name has the form of the names that removal.trash gives."""
    return name.startswith(".") and name.endswith(TRASH_SUFFIX)
