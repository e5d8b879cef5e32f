"""The hub's own directories: made where they are missing, and what killed makers left in them.

    <hub>/.gitignore, sessions/, board/{dispatch,progress,results}/, board/_index.json

What is there already is never replaced.
"""

from __future__ import annotations

import os

from git_hub_session.documents import encode_document
from git_hub_session.errors import Damaged
from git_hub_session.files import Directory

LOCK_WAIT = 10.0  # seconds

FILES = ("config.yaml", "state.json")
"""Those of a session, when it is made."""

CHANNELS = ("dispatch", "progress", "results")

# Not one file of the hub belongs into a commit: each agent's worktree would get a stale
# copy, and `git clean` and `git stash -u` would take the real one away.
_IGNORE = ".gitignore"
_IGNORED = b"# made by git hub-session: sessions are no part of the project\n*\n"


def make_hub(path: str) -> None:
    """The directories of the hub, the board, and .gitignore; raises OSError, Damaged for a link."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if not os.path.lexists(path):
        try:
            os.mkdir(path)
        except FileExistsError:
            pass
    with Directory(path) as hub:
        hub.made("sessions").close()
        make_board(hub)
    ignore(path)


def ignore(path: str) -> None:
    """Keep the hub out of commits, where nobody has said otherwise; raises OSError, Damaged."""
    with Directory(path) as hub:
        _make_once(hub, _IGNORE, _IGNORED)


def make_board(hub: Directory) -> None:
    """The board in the hub, as AgentHub's board manager expects it; what is there stays."""
    with hub.made("board") as board:
        for channel in CHANNELS:
            board.made(channel).close()
        counters = dict.fromkeys(CHANNELS, 0)
        index = encode_document({"channels": list(CHANNELS), "counters": counters})
        _make_once(board, "_index.json", index)


def _make_once(directory: Directory, name: str, data: bytes) -> None:
    """Make a file, whole, that nobody has made yet: what is there may have been written to."""
    if not directory.exists(name):
        directory.lock(wait=LOCK_WAIT)
        if not directory.exists(name):
            directory.replace(name, data)


def is_ignored(path: str) -> bool:
    """Whether the hub has a .gitignore, whatever it says."""
    return os.path.lexists(os.path.join(path, _IGNORE))


def half_made(path: str) -> list[str]:
    """The names, below `sessions`, of what killed calls had begun to make."""
    try:
        with Directory(path) as hub, hub.child("sessions") as sessions:
            return [name for name in sessions.leftovers() if not _is_being_made(sessions, name)]
    except FileNotFoundError:
        return []


def _is_being_made(sessions: Directory, name: str) -> bool:
    try:
        with sessions.child(name) as directory:
            return directory.is_locked()
    except (OSError, Damaged):
        return True  # it is done by now, or nothing of ours


def clear(path: str) -> None:
    """Delete that; raises OSError, Damaged."""
    with Directory(path) as hub, hub.child("sessions") as sessions:
        sessions.sweep(FILES)
