"""The sessions on disk: <hub>/sessions/<id>/{config.yaml, state.json}.

Readers take no lock and write nothing. A writer holds the session's lock, reads again
what is there now, and replaces state.json whole; so a crash at any moment leaves the old
document or the new one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import TracebackType

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple, Self
from git_hub_session.errors import Damaged, HubError, Refused
from git_hub_session.git.ref_names import InvalidId, SessionId, is_session_id, parse_session_id
from git_hub_session.session import config_file as configfile
from git_hub_session.session.json_file import TooLarge, encode_json, read_json
from git_hub_session.session.layout import SESSION_FILES, create_hub
from git_hub_session.session.model import Config, Session, new_state_document, read_state
from git_hub_session.system.directory import (
    LOCK_TIMEOUT,
    NOTHING_CHANGED,
    LockHeld,
    SafeDirectory,
    write_error,
)
from git_hub_session.util.paths import first_free

# Sessions that are worth a second process: it takes 20 ms until that has said what it read.
_MANY = 2000

_TASK = "task.txt"
_STATE = "state.json"
_GO_ON = "when there is room, or a right to write, the same call finishes what is begun"


if TYPE_CHECKING:
    from typing import TypeVar

    Picked = TypeVar("Picked")


class NoSuchSession(HubError):
    """The hub has no session of that id."""

    code = "no-such-session"

    def __init__(self, sid: str) -> None:
        super().__init__(f"no such session: '{sid}'", hint="try 'git hub-session list'")


class SessionExists(Refused):
    """There is a session of that id already."""

    code = "session-exists"

    def __init__(self, sid: str) -> None:
        super().__init__(f"session '{sid}' exists already", hint="choose another --id")


class UnreadableSession(NamedTuple):
    """A session that cannot be read: what is known of it, and why."""

    id: str
    config: Config | None
    reason: str


class Store:
    """The sessions below one hub directory, which need not exist yet."""

    def __init__(self, hub: str) -> None:
        self.hub = hub

    def _sessions(self) -> SafeDirectory:
        """The open `sessions` directory; raises FileNotFoundError where there is no hub."""
        with SafeDirectory(self.hub) as hub:
            return hub.open_child("sessions")

    def ids(self) -> list[SessionId]:
        """The ids of all sessions, readable or not, sorted."""
        return [parse_session_id(name) for name in self._names() if is_session_id(name)]

    def _names(self) -> list[str]:
        try:
            with self._sessions() as sessions:
                return sessions.names()
        except FileNotFoundError:
            return []

    def read_all(self) -> list[Session | UnreadableSession]:
        """Every session by id; one that cannot be read comes as Broken, and stops nobody else."""
        return self.map_sessions(lambda session: session)

    def map_sessions(self, pick: Callable[[Session | UnreadableSession], Picked]) -> list[Picked]:
        """`pick` of every session, as read_all gives them; side by side where there are thousands."""
        try:
            sessions = self._sessions()
        except FileNotFoundError:
            return []

        with sessions:
            names, links = sessions.child_directories()

            def picked(name: str) -> Picked | None:
                found = _read_or_unreadable(sessions, name, is_link=name in links)
                return None if found is None else pick(found)

            if len(names) < _MANY:
                rows = [picked(name) for name in names]
            else:
                from git_hub_session.system.parallel import parallel_map

                rows = parallel_map(picked, names)
        return [row for row in rows if row is not None]

    def has_session(self, sid: SessionId) -> bool:
        """Whether there is a directory of exactly that name (file systems may fold case)."""
        return sid in self._names()

    def read(self, sid: SessionId) -> Session:
        """The session as it is now; raises NoSuchSession, Damaged."""
        try:
            with self.open_directory(sid) as directory:
                return _read_session(directory, sid)
        except FileNotFoundError:
            raise NoSuchSession(sid) from None

    def examine(self, sid: SessionId) -> Session | UnreadableSession | None:
        """Return the session as read_all does, or None if there is no such session."""
        try:
            with self._sessions() as sessions:
                # To check one directory costs less than to list all of them.
                return _read_or_unreadable(sessions, sid, is_link=True)
        except FileNotFoundError:
            return None

    def _require(self, sid: SessionId) -> None:
        if not self.has_session(sid):
            raise NoSuchSession(sid)

    def create(self, sid: SessionId, config: Config, *, at: str) -> None:
        """Make a session, whole or not at all; raises SessionExists, TooLarge, CannotWrite.

        The directory is filled under another name and renamed: no file system renames a
        directory over one that has something in it, so two makers cannot both win.
        """
        text = configfile.render_config(config.values).encode()
        if len(text) > configfile.LIMIT:
            raise TooLarge(f"the settings take more than {configfile.LIMIT} bytes")
        if self.has_session(sid):
            raise SessionExists(sid)
        try:
            create_hub(self.hub)
            with self._sessions() as sessions:
                sessions.remove_stale_pending(SESSION_FILES)
                with sessions.create_pending_child(sid) as directory:
                    aside = os.path.basename(directory.path)
                    try:
                        directory.create("config.yaml", text)
                        directory.create(_STATE, encode_json(new_state_document(sid, at=at)))
                        directory.fsync()
                        os.rename(aside, sid, src_dir_fd=sessions.fd, dst_dir_fd=sessions.fd)
                    except BaseException as fault:
                        if sessions.exists(aside):  # else ^C came when it had its name already
                            sessions.remove_child(directory, SESSION_FILES)
                        if isinstance(fault, OSError) and sid in sessions.names():
                            raise SessionExists(sid) from None
                        raise
                sessions.fsync()
        except OSError as fault:
            raise write_error(self.hub, fault) from None

    def open_directory(self, sid: SessionId) -> SafeDirectory:
        """The session's directory, open, to look at: no lock is taken. Raises NoSuchSession."""
        self._require(sid)
        with self._sessions() as sessions:
            return sessions.open_child(sid)

    def read_state_document(self, sid: SessionId) -> dict[str, Any]:
        """state.json, whatever it says, if only it is an object; raises NoSuchSession, Damaged."""
        with self.open_directory(sid) as directory:
            return read_json(directory, _STATE)

    def is_locked(self, sid: SessionId) -> bool:
        """Whether somebody works on the session at the moment; raises NoSuchSession, Damaged."""
        with self.open_directory(sid) as directory:
            return directory.is_locked()

    def lock_session(self, sid: SessionId, *, wait: float = LOCK_TIMEOUT) -> LockedSession:
        """`with store.edit(sid) as edit:` holds the session's lock; raises NoSuchSession, LockHeld."""
        return LockedSession(self, sid, wait)

    def hub_exists(self) -> bool:
        """Whether the hub has been made."""
        try:
            self._sessions().close()
        except FileNotFoundError:
            return False
        return True

    def lock_hub(self) -> SafeDirectory:
        """`with store.alone():` is held by one session at a time; raises LockHeld."""
        sessions = self._sessions()
        try:
            sessions.lock(wait=LOCK_TIMEOUT)
        except LockHeld:
            sessions.close()
            raise
        return sessions

    def update(self, sid: SessionId, change: Callable[[Session], Session]) -> Session:
        """Lock, read again, change, replace; what `change` raises leaves the file as it was."""
        with self.lock_session(sid) as edit:
            return edit.save(change(edit.read()), hint=NOTHING_CHANGED)


class LockedSession:
    """A session under its lock."""

    def __init__(self, store: Store, sid: SessionId, wait: float) -> None:
        self._sid = sid
        self._wait = wait
        self.directory = store.open_directory(sid)

    def __enter__(self) -> Self:
        try:
            self.directory.lock(wait=self._wait)
        except LockHeld:
            from git_hub_session.system import procfs

            holder = procfs.lock_holder(self.directory.path)
            self.directory.close()
            who = (
                f"process {holder} ({procfs.process_name(holder)})" if holder else "another process"
            )
            raise LockHeld(
                f"session '{self._sid}' is locked by {who}",
                hint="try again when it has finished",
            ) from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.directory.close()

    def read(self) -> Session:
        """The session as it is now; raises Damaged, NoSuchSession where it went while we waited."""
        return _read_session(self.directory, self._sid)

    def ensure_task_file(self, session: Session) -> str:
        """The path of a file that holds the task, made where it is missing; raises CannotWrite.

        What else may lie there (a link, a pipe, another text) came with the repository, and goes.
        """
        text = os.fsencode(f"{session.config.task}\n")
        try:
            is_there = self.directory.read(_TASK, limit=len(text)) == text
        except (FileNotFoundError, Damaged):
            is_there = False
        if not is_there:
            self._replace(_TASK, text)
        return f"{self.directory.path}/{_TASK}"

    def save(self, session: Session, *, hint: str = _GO_ON) -> Session:
        """Replace state.json by the session's document, and return the session; raises CannotWrite, with the hint, TooLarge."""
        self._replace(_STATE, encode_json(session.document), hint)
        return session

    def replace_document(self, document: Mapping[str, Any]) -> None:
        """Replace state.json by a document that came of no session that could be read; raises CannotWrite."""
        self._replace(_STATE, encode_json(document))

    def move_damaged_state_aside(self) -> str:
        """Rename state.json, whatever it is, out of the way; its new name, '' where it is not there."""
        names = self.directory.names()
        if _STATE not in names:
            return ""
        kept = first_free(f"{_STATE}.damaged", names.__contains__, always_numbered=True)
        os.rename(_STATE, kept, src_dir_fd=self.directory.fd, dst_dir_fd=self.directory.fd)
        return kept

    def save_config(self, config: Config) -> None:
        """Replace config.yaml, of a session that has no agents yet; raises CannotWrite."""
        self._replace("config.yaml", configfile.render_config(config.values).encode())

    def _replace(self, name: str, data: bytes, hint: str = _GO_ON) -> None:
        try:
            self.directory.replace_atomically(name, data)
        except OSError as fault:
            raise write_error(f"{self.directory.path}/{name}", fault, hint) from None


def _read_session(directory: SafeDirectory, sid: SessionId) -> Session:
    try:
        return _with_state(directory, "", sid, _read_config(directory, ""))
    except Damaged as fault:
        raise Damaged(
            f"session '{sid}': {fault.message}",
            hint=f"mend the file in '{directory.path}'\nor: git hub-session cleanup {sid}",
        ) from None


def _with_state(directory: SafeDirectory, prefix: str, sid: SessionId, config: Config) -> Session:
    document = read_json(directory, f"{prefix}{_STATE}")
    return Session(sid, config, read_state(document), document)


def _read_config(directory: SafeDirectory, prefix: str) -> Config:
    try:
        data = directory.read(f"{prefix}config.yaml", limit=configfile.LIMIT)
    except FileNotFoundError:
        raise Damaged("config.yaml: missing") from None
    try:
        return Config(configfile.parse_config(data.decode()))
    except UnicodeDecodeError:
        raise Damaged("config.yaml: not UTF-8") from None


def _read_or_unreadable(
    sessions: SafeDirectory, name: str, *, is_link: bool
) -> Session | UnreadableSession | None:
    config: Config | None = None
    try:
        if is_link:
            sessions.open_child(name).close()  # says that links are not followed
        sid = parse_session_id(name)
        # By path, not by an open directory: a third of the calls that reading a session takes.
        config = _read_config(sessions, f"{name}/")
        return _with_state(sessions, f"{name}/", sid, config)
    except (FileNotFoundError, NotADirectoryError):
        return None  # a link that was removed while we looked
    except InvalidId:
        return UnreadableSession(name, None, "its name cannot be a session id")
    except Damaged as fault:
        # Removed while we looked, it is no session any more.
        return UnreadableSession(name, config, fault.message) if sessions.exists(name) else None
    except OSError as fault:
        return UnreadableSession(name, config, f"cannot be read: {fault.strerror}")
