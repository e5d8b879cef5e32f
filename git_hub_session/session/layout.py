"""Create the directories of the hub, exclude the hub, and remove incomplete sessions.

    <hub>/.gitignore, sessions/, board/{dispatch,progress,results}/, board/_index.json

A file or a directory that exists is never replaced.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import Damaged, HubError, Refused, to_hub_error
from git_hub_session.git.config import shared_directory_mode
from git_hub_session.git.discovery import HUB_DIRECTORY
from git_hub_session.system.directory import LOCK_TIMEOUT, SafeDirectory, write_error
from git_hub_session.system.json_file import encode_json
from git_hub_session.system.tree import remove_path
from git_hub_session.util.shell import quote_word

if TYPE_CHECKING:
    from git_hub_session.git.discovery import RepositoryPaths
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.project import Project

PREVIOUS_FILE = "previous.json"
"""The file in the directory of a session that describes the attempts of earlier sessions."""

SESSION_FILES = ("config.yaml", "state.json", PREVIOUS_FILE)
"""The files of a new session. It has PREVIOUS_FILE only if it has a parent."""

CHANNELS = ("dispatch", "progress", "results")

# No file of the hub belongs in a commit: every agent's worktree would get a stale copy, and
# `git clean` and `git stash -u` would remove the hub itself.
_IGNORE = ".gitignore"
_IGNORE_TEXT = b"# created by git hub-session: sessions are not part of the project\n*\n"

# git reads `info/exclude` in the common dir for the main worktree and for all linked worktrees.
_EXCLUDE = "exclude"
_PATTERN = f"/{HUB_DIRECTORY}/"
_SAME_PATTERNS = {name.encode() for name in (HUB_DIRECTORY, f"{HUB_DIRECTORY}/", _PATTERN)}
_COMMENT = "# git hub-session: the hub is not part of the project"
_MAX_EXCLUDE_BYTES = 1 << 20
_MAX_DIRECTORIES = 1000  # 20 ms


class OtherHub(Refused):
    """There are sessions in a directory that is not the hub of the repository."""

    code = "other-hub"

    def __init__(self, other: str, own: str) -> None:
        if os.path.lexists(own):
            hint = f"use it: export GIT_HUB_SESSION_DIR={quote_word(other)}"
        else:
            hint = f"use it: mv {quote_word(other)} {quote_word(own)}"
        super().__init__(
            f"'{other}' has sessions, but it is not the hub of this repository",
            hint=f"{hint}\nor create another hub: mkdir -p {quote_word(own)}/sessions",
        )


def create_hub(path: str, shared: str) -> None:
    """Create the directories of the hub, the board and .gitignore, if they are missing.

    The files and directories in a new hub get its permissions, if a group shares it.

    Args:
        shared: the value of core.sharedRepository, or ''.

    Raises:
        OSError: a directory or a file cannot be created.
        Damaged: a symbolic link is in the place of a directory.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if not os.path.lexists(path):
        try:
            os.mkdir(path)
            if shared:
                os.chmod(path, shared_directory_mode(shared, os.stat(path).st_mode & 0o7777))
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


def exclude_hub(paths: RepositoryPaths) -> list[str]:
    """Add the hub to info/exclude, unless it is there. Return a warning if that is impossible.

    Then no agent commits the files of a hub in its worktree.
    """
    try:
        with SafeDirectory(paths.common_dir) as common_dir, common_dir.ensure_child("info") as info:
            _exclude_hub(info)
    except (HubError, OSError) as error:
        return [f"cannot add '{_PATTERN}' to info/exclude: {to_hub_error(error).message}"]
    return []


def _exclude_hub(info: SafeDirectory) -> None:
    if _is_excluded(_read_exclude(info)):
        return
    info.lock(wait=LOCK_TIMEOUT)
    text = _read_exclude(info)
    if _is_excluded(text):
        return
    if text and not text.endswith(b"\n"):
        text += b"\n"
    info.replace_atomically(_EXCLUDE, text + f"{_COMMENT}\n{_PATTERN}\n".encode())


def _read_exclude(info: SafeDirectory) -> bytes:
    """Return the patterns. Raise Damaged for a symbolic link: it must not be replaced."""
    if not info.exists(_EXCLUDE):
        return b""
    return info.read(_EXCLUDE, limit=_MAX_EXCLUDE_BYTES)


def _is_excluded(text: bytes) -> bool:
    return any(line.strip() in _SAME_PATTERNS for line in text.splitlines())


def find_other_hub(project: Project) -> OtherHub | None:
    """Return the error for a hub that no command reads, if the repository has no hub of its own."""
    if project.store.hub_exists() or "GIT_HUB_SESSION_DIR" in project.environ:
        return None
    others = find_other_hubs(project.paths, project.cwd)
    return OtherHub(others[0], project.paths.hub) if others else None


def find_other_hubs(paths: RepositoryPaths, cwd: str) -> list[str]:
    """Return hubs with sessions that no command of this repository reads.

    AgentHub's scripts create a hub in their current directory. Look in the directories above `cwd`,
    in all worktrees, and in the first directories below the worktrees.
    """
    from git_hub_session.git.worktrees import linked_worktrees

    directories = [os.path.realpath(cwd)]
    while paths.worktree and directories[-1].startswith(f"{paths.worktree}/"):
        directories.append(os.path.dirname(directories[-1]))
    tops = [worktree.path for worktree in linked_worktrees(paths.common_dir)]
    directories += _with_directories_below([*filter(None, [paths.main_worktree]), *tops])
    hubs = [os.path.join(directory, HUB_DIRECTORY) for directory in directories if directory]
    own = os.path.realpath(paths.hub)
    others = [hub for hub in hubs if os.path.realpath(hub) != own and _has_sessions(hub)]
    return list(dict.fromkeys(others))


def _has_sessions(hub: str) -> bool:
    try:
        with os.scandir(f"{hub}/sessions") as entries:
            return any(os.path.isfile(f"{entry.path}/config.yaml") for entry in entries)
    except OSError:
        return False


def _with_directories_below(tops: Sequence[str]) -> list[str]:
    """Return `tops` and the directories below, level by level and at most _MAX_DIRECTORIES more.

    Skip links, hidden directories and other repositories.
    """
    directories = list(tops)
    limit = len(tops) + _MAX_DIRECTORIES
    for directory in directories:
        try:
            with os.scandir(directory) as entries:
                found = sorted(
                    entry.path
                    for entry in entries
                    if entry.is_dir(follow_symlinks=False)
                    and not entry.name.startswith(".")
                    and not os.path.lexists(f"{entry.path}/.git")
                )
        except OSError:
            continue
        directories += found[: limit - len(directories)]
    return directories


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


def discard_session(sid: SessionId, sessions: SafeDirectory, logs: Iterable[str]) -> None:
    """Make a session incomplete, so that remove_incomplete_sessions() removes it.

    Args:
        sessions: the locked directory of all sessions.
        logs: the names in the directory of the session to remove at once.

    Raises:
        CannotWrite: the session is still complete.
    """
    path = os.path.join(sessions.path, sid)
    try:
        for name in logs:
            remove_path(path, os.fsencode(name))
        pending = f".{sid}.{os.urandom(6).hex()}.tmp"
        os.rename(sid, pending, src_dir_fd=sessions.fd, dst_dir_fd=sessions.fd)
    except OSError as error:
        raise write_error(path, error) from None


def remove_incomplete_sessions(path: str) -> None:
    """Delete the incomplete sessions, or raise OSError or Damaged."""
    with SafeDirectory(path) as hub, hub.open_child("sessions") as sessions:
        sessions.remove_stale_pending(SESSION_FILES)
