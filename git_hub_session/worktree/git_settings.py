"""The settings of the repository that can divert git and this program, recorded by `spawn`.

All worktrees share the configuration of the repository, so an agent can change it for the user.
"""

from __future__ import annotations

import os

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.config import parse_git_settings
from git_hub_session.git.safe_open import read_text
from git_hub_session.session.state import FINISHED
from git_hub_session.util.json_values import as_mapping

if TYPE_CHECKING:
    from git_hub_session.session.model import Session

_NAMES = {
    "core.bare",
    "core.worktree",
    "core.hookspath",
    "core.fsmonitor",
    "commit.gpgsign",
    "include.path",
}
_SECTIONS = ("user.", "filter.", "alias.", "includeif.")
_MAX_NAMES = 5
# `config.worktree` of the main worktree: git reads it if extensions.worktreeConfig is set.
_FILES = ("config", "config.worktree")

KEY = "git_config"
"""The key in state.json."""


def read_settings(common_dir: str) -> dict[str, list[str]]:
    """Return all values of the settings that can divert git, by name.

    Included files are not read.
    """
    settings: dict[str, list[str]] = {}
    for file in _FILES:
        for name, value in parse_git_settings(read_text(os.path.join(common_dir, file))):
            if name in _NAMES or name.startswith(_SECTIONS):
                settings.setdefault(name, []).append(value)
    return settings


def changed_settings(session: Session, common_dir: str) -> list[str]:
    """Return the sorted names of the settings that differ from those that `spawn` recorded.

    The values are left out: they may be secret.
    """
    if KEY not in session.document:
        return []
    recorded = as_mapping(session.document[KEY])
    current = read_settings(common_dir)
    names = {*recorded, *current}
    return sorted(name for name in names if recorded.get(name) != current.get(name))


def settings_warning(session: Session, common_dir: str) -> str:
    """Return the warning about changed settings of an unfinished session, or ''."""
    names = [] if session.state in FINISHED else changed_settings(session, common_dir)
    if not names:
        return ""
    listed = ", ".join(f"'{name}'" for name in names[:_MAX_NAMES])
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return f"git's configuration has changed since the spawn: {listed}{more}"
