"""Hooks that git would run in a directory."""

from __future__ import annotations

import os

from git_hub_session.session.project import Project


def enabled_hooks(project: Project, where: str) -> set[str]:
    """The names of the hooks that git would run in the directory `where`."""
    named = [
        os.path.join(project.paths.common_dir, "hooks"),
        *project.config_values("core.hooksPath"),
    ]
    directory = os.path.join(where, os.path.expanduser(named[-1]))
    try:
        names = os.listdir(directory)
    except OSError:
        return set()
    return {name for name in names if os.access(os.path.join(directory, name), os.X_OK)}
