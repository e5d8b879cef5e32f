"""Create the directories of the hub, and remove incomplete sessions.

    <hub>/.gitignore, sessions/, board/{dispatch,progress,results}/, board/_index.json

A file or a directory that exists is never replaced.
"""

from __future__ import annotations

import os

from git_hub_session.errors import Damaged
from git_hub_session.session.json_file import encode_json
from git_hub_session.system.directory import LOCK_TIMEOUT, SafeDirectory

SESSION_FILES = ("config.yaml", "state.json")
"""The files of a new session."""

CHANNELS = ("dispatch", "progress", "results")

# No file of the hub belongs in a commit: every agent's worktree would get a stale copy, and
# `git clean` and `git stash -u` would remove the hub itself.
_IGNORE = ".gitignore"
_IGNORE_TEXT = b"# created by git hub-session: sessions are not part of the project\n*\n"


def create_hub(path: str) -> None:
    """Create the directories of the hub, the board and .gitignore, if they are missing.

    Raises:
        OSError: a directory or a file cannot be created.
        Damaged: a symbolic link is in the place of a directory.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if not os.path.lexists(path):
        try:
            os.mkdir(path)
        except FileExistsError:
            pass
    with SafeDirectory(path) as hub:
        hub.ensure_child("sessions").close()
        create_board(hub)
    write_gitignore(path)


def write_gitignore(path: str) -> None:
    """Create a .gitignore that ignores the whole hub, or keep the one that exists."""
    with SafeDirectory(path) as hub:
        _create_once(hub, _IGNORE, _IGNORE_TEXT)


def create_board(hub: SafeDirectory) -> None:
    """Create the board as AgentHub's board manager expects it. Keep all existing parts."""
    with hub.ensure_child("board") as board:
        for channel in CHANNELS:
            board.ensure_child(channel).close()
        counters = dict.fromkeys(CHANNELS, 0)
        index = encode_json({"channels": list(CHANNELS), "counters": counters})
        _create_once(board, "_index.json", index)


def _create_once(directory: SafeDirectory, name: str, data: bytes) -> None:
    """Create a complete file if it is missing. Never replace it: it may contain new data."""
    if not directory.exists(name):
        directory.lock(wait=LOCK_TIMEOUT)
        if not directory.exists(name):
            directory.replace_atomically(name, data)


def has_gitignore(path: str) -> bool:
    """Return True if the hub has a .gitignore with any content."""
    return os.path.lexists(os.path.join(path, _IGNORE))


def incomplete_sessions(path: str) -> list[str]:
    """Return the names below `sessions` that interrupted calls of `init` left there."""
    try:
        with SafeDirectory(path) as hub, hub.open_child("sessions") as sessions:
            return [name for name in sessions.temporary_files() if not _is_locked(sessions, name)]
    except FileNotFoundError:
        return []


def _is_locked(sessions: SafeDirectory, name: str) -> bool:
    try:
        with sessions.open_child(name) as directory:
            return directory.is_locked()
    except (OSError, Damaged):
        return True  # the session is complete by now, or another program created the name


def remove_incomplete_sessions(path: str) -> None:
    """Delete the incomplete sessions, or raise OSError or Damaged."""
    with SafeDirectory(path) as hub, hub.open_child("sessions") as sessions:
        sessions.remove_stale_pending(SESSION_FILES)
