"""Choose the paths of agents' worktrees."""

from __future__ import annotations

import os
import re

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import HubError
from git_hub_session.settings.table import WORKTREE_PATH
from git_hub_session.util.paths import is_inside

if TYPE_CHECKING:
    from git_hub_session.git.discovery import RepositoryPaths
    from git_hub_session.git.ref_names import AgentBranch
    from git_hub_session.settings.settings import Settings


CHOOSE_PATH_HINT = "choose another --path"

_OTHER_TEMPLATE = "../{repo}.hub-worktrees/{id}/agent-{n}"
"""The template if the directory of the default template is a repository itself."""
_PLACEHOLDER = re.compile(r"\{(?:repo|id|n|m)\}")


def worktree_template(settings: Settings, paths: RepositoryPaths) -> str:
    """Return the path template for agents' worktrees: hubsession.worktreePath or its default."""
    found = settings.find(WORKTREE_PATH)
    if found.values and not found.is_default:
        return found.values[-1]
    top = _main_directory(paths)
    is_taken = _is_repository(os.path.join(os.path.dirname(top), f"{_repository_name(top)}.hub"))
    return _OTHER_TEMPLATE if is_taken else WORKTREE_PATH.default[0]


def default_worktree_path(settings: Settings, paths: RepositoryPaths, branch: AgentBranch) -> str:
    """Return the path that `spawn` would use now for an attempt.

    Raise HubError if the template is wrong.
    """
    return worktree_path(worktree_template(settings, paths), paths, branch)


def _main_directory(paths: RepositoryPaths) -> str:
    """Return the directory that relative templates start from."""
    return paths.main_worktree or paths.common_dir


def _repository_name(top: str) -> str:
    return os.path.basename(top).removesuffix(".git") or "repository"


def _is_repository(path: str) -> bool:
    """Return True if a repository, with or without a worktree, is at `path`."""
    return os.path.lexists(os.path.join(path, ".git")) or all(
        os.path.lexists(os.path.join(path, name)) for name in ("HEAD", "objects", "refs")
    )


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
    top = _main_directory(paths)
    values = {
        "{repo}": _repository_name(top),
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
    # Replace all placeholders at once: the name of the repository may look like one.
    relative = _PLACEHOLDER.sub(lambda match: values[match[0]], os.path.expanduser(template))
    path = os.path.normpath(os.path.join(top, relative))
    if path != path.rstrip():
        # git strips white space at the end when it reads the path from its administrative files.
        raise HubError(f"'{path}' ends with white space: git would not find the worktree again")
    for reserved in (paths.common_dir, paths.hub):
        if is_inside(os.path.realpath(path), reserved):
            raise HubError(f"'{path}' is inside '{reserved}'", hint=CHOOSE_PATH_HINT)
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
