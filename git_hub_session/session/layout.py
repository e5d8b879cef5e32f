"""The hub's own directories: made where they are missing, and what killed makers left in them.

    <hub>/.gitignore, sessions/, board/{dispatch,progress,results}/, board/_index.json

What is there already is never replaced.
"""

from __future__ import annotations

import os

from git_hub_session.errors import Damaged
from git_hub_session.session.json_file import encode_json
from git_hub_session.system.directory import LOCK_TIMEOUT, SafeDirectory

SESSION_FILES = ("config.yaml", "state.json")
"""Those of a session, when it is made."""

CHANNELS = ("dispatch", "progress", "results")

# Not one file of the hub belongs into a commit: each agent's worktree would get a stale
# copy, and `git clean` and `git stash -u` would take the real one away.
_IGNORE = ".gitignore"
_IGNORED = b"# made by git hub-session: sessions are no part of the project\n*\n"


def create_hub(path: str) -> None:
    """The directories of the hub, the board, and .gitignore; raises OSError, Damaged for a link."""
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
    """Keep the hub out of commits, where nobody has said otherwise; raises OSError, Damaged."""
    with SafeDirectory(path) as hub:
        _create_once(hub, _IGNORE, _IGNORED)


def create_board(hub: SafeDirectory) -> None:
    """The board in the hub, as AgentHub's board manager expects it; what is there stays."""
    with hub.ensure_child("board") as board:
        for channel in CHANNELS:
            board.ensure_child(channel).close()
        counters = dict.fromkeys(CHANNELS, 0)
        index = encode_json({"channels": list(CHANNELS), "counters": counters})
        _create_once(board, "_index.json", index)


def _create_once(directory: SafeDirectory, name: str, data: bytes) -> None:
    """Make a file, whole, that nobody has made yet: what is there may have been written to."""
    if not directory.exists(name):
        directory.lock(wait=LOCK_TIMEOUT)
        if not directory.exists(name):
            directory.replace_atomically(name, data)


def has_gitignore(path: str) -> bool:
    """Whether the hub has a .gitignore, whatever it says."""
    return os.path.lexists(os.path.join(path, _IGNORE))


def incomplete_sessions(path: str) -> list[str]:
    """The names, below `sessions`, of what killed calls had begun to make."""
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
        return True  # it is done by now, or nothing of ours


def remove_incomplete_sessions(path: str) -> None:
    """Delete that; raises OSError, Damaged."""
    with SafeDirectory(path) as hub, hub.open_child("sessions") as sessions:
        sessions.remove_stale_pending(SESSION_FILES)
