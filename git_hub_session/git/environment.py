"""The variables by which git tells the programs that it starts (hooks, aliases) where it works."""

from __future__ import annotations

from collections.abc import Mapping

# `git rev-parse --local-env-vars`, but for the settings of `git -c`, which are the user's wish,
# and what push-time hooks add; but for GIT_QUARANTINE_PATH, by which git refuses to change
# refs while it is not yet settled that a push is accepted.
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


def strip_local_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` for work on another worktree, or another repository: it names none."""
    return {name: value for name, value in environ.items() if name not in _LOCAL_VARIABLES}
