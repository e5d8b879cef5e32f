"""Find the hooks that git would run in a directory."""

from __future__ import annotations

import os

from git_hub_session._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from git_hub_session.session.project import Project


def enabled_hooks(project: Project, directory: str) -> set[str]:
    """Return the names of the hooks that git would run in `directory`."""
    candidates = [
        os.path.join(project.paths.common_dir, "hooks"),
        *project.config_values("core.hooksPath"),
    ]
    hooks = os.path.join(directory, os.path.expanduser(candidates[-1]))
    try:
        names = os.listdir(hooks)
    except OSError:
        return set()
    return {name for name in names if os.access(os.path.join(hooks, name), os.X_OK)}
