"""The environment variables in which git passes its repository to a hook or an alias."""

from __future__ import annotations

from collections.abc import Mapping

# The variables that `git rev-parse --local-env-vars` lists, with two differences:
# - GIT_CONFIG_PARAMETERS and GIT_CONFIG_COUNT are not removed. They hold the settings of `git -c`,
#   which the user wants to apply.
# - GIT_NAMESPACE and GIT_*_PATHSPECS are removed too. They change the meaning of refs and paths.
# GIT_QUARANTINE_PATH stays: git then refuses to change refs while a push can still be rejected.
_LOCAL_VARIABLES = frozenset(
    [
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_CONFIG",
        "GIT_OBJECT_DIRECTORY",
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_GRAFT_FILE",
        "GIT_INDEX_FILE",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_REPLACE_REF_BASE",
        "GIT_PREFIX",
        "GIT_SHALLOW_FILE",
        "GIT_COMMON_DIR",
        "GIT_INTERNAL_SUPER_PREFIX",
        "GIT_NAMESPACE",
        "GIT_LITERAL_PATHSPECS",
        "GIT_GLOB_PATHSPECS",
        "GIT_NOGLOB_PATHSPECS",
        "GIT_ICASE_PATHSPECS",
    ]
)

# All worktrees share refs/replace and info/grafts. An agent could replace the files and the parents of
# all other agents there. libgit2 reads no replaced object either.
ORIGINAL_OBJECTS = {
    "GIT_NO_REPLACE_OBJECTS": "1",
    # The path cannot exist. git advises against the file on standard error if it can be read.
    "GIT_GRAFT_FILE": "/dev/null/none",
}
"""The variables with which git reads no replaced object (git-replace(1)) and no graft."""

_PLACE_VARIABLES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE", "GIT_COMMON_DIR")


def strip_local_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` without the variables that name a repository, a worktree or an index."""
    return {name: value for name, value in environ.items() if name not in _LOCAL_VARIABLES}


def object_variables(directory: str, common_dir: str) -> dict[str, str]:
    """Return the variables with which git writes new objects into another directory.

    git also reads the objects of the repository. The path is quoted as in C (see git(1)): the file
    info/alternates could not hold a line feed.
    """
    path = f"{common_dir}/objects"
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return {
        "GIT_OBJECT_DIRECTORY": directory,
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": f'"{escaped}"',
    }


def place_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with which the user names a repository and a worktree."""
    return {name: environ[name] for name in _PLACE_VARIABLES if name in environ}
