"""The settings with which an agent can change the effect of git commands.

They are hooks, filters, line endings, aliases, the identity, included files, the settings of this
program, and replaced objects (git-replace(1)).
`spawn` and `adopt` record them.
All worktrees share the configuration of the repository, so an agent can change it for the user.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.git.config import parse_git_settings, settings_variables
from git_hub_session.git.config_files import read_entries
from git_hub_session.git.environment import ORIGINAL_OBJECTS
from git_hub_session.git.ref_names import REPLACED, is_object_id
from git_hub_session.git.refs import refs_below
from git_hub_session.git.safe_open import read_text
from git_hub_session.session.state import FINISHED
from git_hub_session.util.json_values import as_mapping, as_texts
from git_hub_session.util.shell import quote_word
from git_hub_session.util.text import quote_list

if TYPE_CHECKING:
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project

# git checks out other bytes, links or modes.
_CHECKOUT_NAMES = (
    *("core.autocrlf", "core.eol", "core.attributesfile", "core.symlinks", "core.filemode"),
    *("info/attributes", "include.path"),
)
_NAMES = {
    *("core.bare", "core.worktree", "core.hookspath", "core.fsmonitor", "core.excludesfile"),
    *_CHECKOUT_NAMES,
    "commit.gpgsign",
}
_FILTERS = "filter."
_SECTIONS = ("user.", _FILTERS, "alias.", "includeif.", "hubsession.")
_MAX_NAMES = 5
# `config.worktree` of the main worktree: git reads it if extensions.worktreeConfig is set.
_FILES = ("config", "config.worktree")

_TEXT_FILES = ("info/attributes", "info/grafts")
"""The attributes of all worktrees (gitattributes(5)), and the changed parents of commits."""

KEY = "git_config"
"""The key in state.json."""


def read_settings(common_dir: str) -> dict[str, list[str]]:
    """Return all values of the settings to record, by name.

    Included files are not read. The value of each of _TEXT_FILES is its text, and that of REPLACED
    is the ids of the replaced objects.
    """
    settings: dict[str, list[str]] = {}
    replaced = _replaced_objects(common_dir)
    if replaced:
        settings[REPLACED] = replaced
    for file in _TEXT_FILES:
        text = read_text(os.path.join(common_dir, file))
        if text.strip():
            settings[file] = [text]
    for file in _FILES:
        for name, value in parse_git_settings(read_text(os.path.join(common_dir, file))):
            if name in _NAMES or name.startswith(_SECTIONS):
                settings.setdefault(name, []).append(value)
    return settings


def _replaced_objects(common_dir: str) -> list[str]:
    """Return the sorted ids of the replaced objects. git ignores other names."""
    names = (ref.rpartition("/")[2] for ref in refs_below(common_dir, f"{REPLACED}/"))
    return sorted(filter(is_object_id, names))


class SettingsChanges(NamedTuple):
    """The differences between the recorded settings and the present ones."""

    names: Sequence[str] = ()
    """The sorted names of the settings. The values are left out: they may be secret."""
    replaced: Sequence[str] = ()
    """The ids of the objects that are replaced only since the settings were recorded."""


def find_changes(session: Session, common_dir: str) -> SettingsChanges:
    """Return what has changed since `spawn` or `adopt` recorded the settings."""
    if KEY not in session.document:
        return SettingsChanges()
    recorded = as_mapping(session.document[KEY])
    current = read_settings(common_dir)
    names = {*recorded, *current} - {REPLACED}
    known = as_texts(recorded.get(REPLACED))
    return SettingsChanges(
        sorted(name for name in names if recorded.get(name) != current.get(name)),
        [oid for oid in current.get(REPLACED, ()) if oid not in known],
    )


def settings_warnings(session: Session, common_dir: str) -> list[str]:
    """Return the warnings about changed settings and replaced objects of an unfinished session."""
    if session.state in FINISHED:
        return []
    changes = find_changes(session, common_dir)
    warnings = (describe_changed(changes.names), describe_replaced(changes.replaced))
    return [*filter(None, warnings)]


def checkout_warning(session: Session, common_dir: str) -> str:
    """Return the warning about changed settings that change the files of new checkouts, or ''.

    An agent that changes them can change the measurements of all agents.
    """
    names = find_changes(session, common_dir).names
    return describe_changed(
        [name for name in names if name in _CHECKOUT_NAMES or name.startswith(_FILTERS)]
    )


def checkout_variables(session: Session, project: Project) -> dict[str, str]:
    """Return the variables with which git checks out files as before a change by an agent.

    git then reads no replaced object, and uses each filter as `spawn` recorded it.
    """
    names = find_changes(session, project.paths.common_dir).names
    changed = [name for name in names if name.startswith(_FILTERS)]
    filters = _first_filters(session, changed, project) if changed else {}
    return {**ORIGINAL_OBJECTS, **settings_variables(filters, project.environ)}


def _first_filters(session: Session, names: Sequence[str], project: Project) -> dict[str, str]:
    """Return the first values of changed settings of filters.

    A filter that was added has its value in the settings of the user, or does nothing. If git
    includes files there, that value is not known, and the setting is left out.
    """
    recorded = as_mapping(session.document.get(KEY))
    entries = read_entries("", project.environ)
    of_user = {entry.name: entry.value for entry in entries or ()}
    filters = {}
    for name in names:
        values = as_texts(recorded.get(name))
        if values:
            filters[name] = values[-1]
        elif entries is not None:
            off = "false" if name.endswith(".required") else ""
            filters[name] = of_user.get(name, off)
    return filters


def describe_replaced(oids: Sequence[str]) -> str:
    """Return the warning about replaced objects, or ''."""
    if not oids:
        return ""
    names = quote_list([oid[:12] for oid in oids], _MAX_NAMES)
    return f"git replaces objects since the first agent was created: {names}"


def describe_changed(names: Sequence[str]) -> str:
    """Return the warning about changed settings, or ''."""
    if not names:
        return ""
    return (
        f"git settings changed since the first agent was created: {quote_list(names, _MAX_NAMES)}"
    )


def settings_advice(names: Sequence[str]) -> str:
    """Return the commands that show the first settings and the files with them."""
    commands = (
        f'cat "$(git rev-parse --git-common-dir)/{name}"'
        if name in _TEXT_FILES
        else f"git config --show-origin --get-all {quote_word(name)}"
        for name in names[:_MAX_NAMES]
    )
    return f"inspect and correct each setting: {'; '.join(commands)}"
