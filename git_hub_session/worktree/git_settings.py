"""The settings with which an agent can change the effect of git commands.

They are hooks, filters, line endings, aliases, the identity, included files, and the settings of
this program.
`spawn` and `adopt` record them.
All worktrees share the configuration of the repository, so an agent can change it for the user.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.config import parse_git_settings
from git_hub_session.git.safe_open import read_text
from git_hub_session.session.state import FINISHED
from git_hub_session.util.json_values import as_mapping
from git_hub_session.util.shell import quote_word
from git_hub_session.util.text import quote_list

if TYPE_CHECKING:
    from git_hub_session.session.model import Session

# git checks out other bytes, links or modes.
_CHECKOUT_NAMES = (
    *("core.autocrlf", "core.eol", "core.attributesfile", "core.symlinks", "core.filemode"),
)
_NAMES = {
    *("core.bare", "core.worktree", "core.hookspath", "core.fsmonitor"),
    *_CHECKOUT_NAMES,
    "commit.gpgsign",
    "include.path",
}
_FILTERS = "filter."
_SECTIONS = ("user.", _FILTERS, "alias.", "includeif.", "hubsession.")
_MAX_NAMES = 5
# `config.worktree` of the main worktree: git reads it if extensions.worktreeConfig is set.
_FILES = ("config", "config.worktree")

KEY = "git_config"
"""The key in state.json."""


def read_settings(common_dir: str) -> dict[str, list[str]]:
    """Return all values of the settings to record, by name.

    Included files are not read.
    """
    settings: dict[str, list[str]] = {}
    for file in _FILES:
        for name, value in parse_git_settings(read_text(os.path.join(common_dir, file))):
            if name in _NAMES or name.startswith(_SECTIONS):
                settings.setdefault(name, []).append(value)
    return settings


def changed_settings(session: Session, common_dir: str) -> list[str]:
    """Return the sorted names of the settings that differ from the recorded ones.

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
    return _describe_changed(names)


def checkout_warning(session: Session, common_dir: str) -> str:
    """Return the warning about changed settings that change the files of new checkouts, or ''.

    An agent that changes them can change the measurements of all agents.
    """
    names = changed_settings(session, common_dir)
    return _describe_changed(
        [name for name in names if name in _CHECKOUT_NAMES or name.startswith(_FILTERS)]
    )


def _describe_changed(names: Sequence[str]) -> str:
    if not names:
        return ""
    return (
        f"git settings changed since the first agent was created: {quote_list(names, _MAX_NAMES)}"
    )


def settings_advice(names: Sequence[str]) -> str:
    """Return the commands that show the first settings and the files with them."""
    commands = (
        f"git config --show-origin --get-all {quote_word(name)}" for name in names[:_MAX_NAMES]
    )
    return f"inspect and correct each setting: {'; '.join(commands)}"
