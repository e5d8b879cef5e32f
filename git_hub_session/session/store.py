"""Read, create, lock and update sessions: <hub>/sessions/<id>/{config.yaml, state.json}.

Readers take no lock and write nothing. A writer locks the session, reads state.json again, and
replaces the whole file. A crash at any moment leaves the old file or the new one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import TracebackType

from git_hub_session._typing import TYPE_CHECKING, Any, Self
from git_hub_session.errors import Damaged, HubError, LockHeld, Refused
from git_hub_session.git.ref_names import SessionId, is_session_id, parse_session_id
from git_hub_session.session.config_file import MAX_CONFIG_BYTES, render_config
from git_hub_session.session.layout import PREVIOUS_FILE, SESSION_FILES, create_hub
from git_hub_session.session.model import Config, Session
from git_hub_session.session.read import (
    CONFIG_FILE,
    STATE_FILE,
    UnreadableSession,
    read_or_unreadable,
    read_session,
)
from git_hub_session.session.state import new_state_document
from git_hub_session.system.directory import (
    LOCK_TIMEOUT,
    NOTHING_CHANGED,
    SafeDirectory,
    write_error,
)
from git_hub_session.system.json_file import TooLarge, encode_json, read_json
from git_hub_session.util.paths import first_free

# With fewer sessions, a second process saves no time: it needs 20 ms to return its results.
_MIN_PARALLEL = 2000

TASK_FILE = "task.txt"
"""The file in the directory of a session that contains the task."""
_RETRY_HINT = "fix the cause, then run the same command again to finish"

if TYPE_CHECKING:
    from typing import TypeVar

    Mapped = TypeVar("Mapped")


class NoSuchSession(HubError):
    """The hub has no session with this id."""

    code = "no-such-session"

    def __init__(self, sid: str) -> None:
        super().__init__(f"no such session: '{sid}'", hint="git hub-session list")


class SessionExists(Refused):
    """The hub already has a session with this id."""

    code = "session-exists"

    def __init__(self, sid: str) -> None:
        super().__init__(f"session '{sid}' already exists", hint="choose another --id")


class Store:
    """The sessions of a hub. The directory of the hub may be missing."""

    def __init__(self, hub: str) -> None:
        self.hub = hub

    def _open_sessions(self) -> SafeDirectory:
        """Open the directory `sessions`, or raise FileNotFoundError if there is no hub."""
        with SafeDirectory(self.hub) as hub:
            return hub.open_child("sessions")

    def ids(self) -> list[SessionId]:
        """Return the sorted ids of all sessions, readable or not."""
        try:
            with self._open_sessions() as sessions:
                return [parse_session_id(name) for name in sessions.names() if is_session_id(name)]
        except FileNotFoundError:
            return []

    def read_all(self) -> list[Session | UnreadableSession]:
        """Return all sessions, sorted by id. A damaged one does not prevent reading the others."""
        return self.map_sessions(lambda session: session)

    def map_sessions(
        self, function: Callable[[Session | UnreadableSession], Mapped]
    ) -> list[Mapped]:
        """Return the result of `function` for all sessions, sorted by id.

        Thousands of sessions are read in parallel processes.
        """
        try:
            sessions = self._open_sessions()
        except FileNotFoundError:
            return []

        with sessions:
            names, links = sessions.child_directories()

            def read_and_map(name: str) -> Mapped | None:
                session = read_or_unreadable(sessions, name, is_link=name in links)
                return None if session is None else function(session)

            if len(names) < _MIN_PARALLEL:
                results = [read_and_map(name) for name in names]
            else:
                from git_hub_session.system.parallel import parallel_map

                results = parallel_map(read_and_map, names)
        return [result for result in results if result is not None]

    def has_session(self, sid: SessionId) -> bool:
        """Return True if a directory has exactly this name, also if the file system ignores case."""
        try:
            with self._open_sessions() as sessions:
                # Listing all sessions for each of them would take quadratic time.
                other = sid.swapcase()
                is_ambiguous = other != sid and sessions.exists(other)
                return sid in sessions.names() if is_ambiguous else sessions.exists(sid)
        except FileNotFoundError:
            return False

    def read(self, sid: SessionId) -> Session:
        """Return the session as it is now, or raise NoSuchSession or Damaged."""
        try:
            with self.open_directory(sid) as directory:
                return read_session(directory, sid)
        except FileNotFoundError:
            raise NoSuchSession(sid) from None

    def find(self, sid: SessionId) -> Session | UnreadableSession | None:
        """Return one session as read_all() does, or None if it is missing."""
        try:
            with self._open_sessions() as sessions:
                # Checking one directory for a link is faster than listing all directories.
                return read_or_unreadable(sessions, sid, is_link=True)
        except FileNotFoundError:
            return None

    def create(
        self,
        sid: SessionId,
        config: Config,
        *,
        at: str,
        state: Mapping[str, Any] = {},
        previous: bytes = b"",
        shared: str = "",
    ) -> None:
        """Create a complete session, or change nothing.

        Write the files in a directory with a temporary name and rename it. A rename never replaces
        a directory with content, so only one of two processes can create the same session.

        Args:
            state: more keys of state.json.
            previous: the content of PREVIOUS_FILE, or b"" for a session without a parent.
            shared: the value of core.sharedRepository, which a new hub follows, or ''.

        Raises:
            SessionExists: the hub already has a session with this id.
            TooLarge: the configuration is too large.
            CannotWrite: a file or a directory cannot be written.
        """
        text = render_config(config.values).encode()
        if len(text) > MAX_CONFIG_BYTES:
            raise TooLarge(f"config.yaml would be larger than {MAX_CONFIG_BYTES} bytes")
        document = {**new_state_document(sid, at=at), **state}
        files = {CONFIG_FILE: text, STATE_FILE: encode_json(document), PREVIOUS_FILE: previous}
        if self.has_session(sid):
            raise SessionExists(sid)
        try:
            create_hub(self.hub, shared)
            with self._open_sessions() as sessions:
                sessions.remove_stale_pending(SESSION_FILES)
                _create_directory(sessions, sid, files)
                sessions.fsync()
        except OSError as error:
            raise write_error(self.hub, error) from None

    def open_directory(self, sid: SessionId) -> SafeDirectory:
        """Open the directory of the session without a lock, or raise NoSuchSession."""
        if not self.has_session(sid):
            raise NoSuchSession(sid)
        with self._open_sessions() as sessions:
            return sessions.open_child(sid)

    def read_state_document(self, sid: SessionId) -> dict[str, Any]:
        """Return state.json with any keys and values.

        Raises:
            NoSuchSession: the session is missing.
            Damaged: the file is not a JSON object.
        """
        with self.open_directory(sid) as directory:
            return read_json(directory, STATE_FILE)

    def is_locked(self, sid: SessionId) -> bool:
        """Return True if a process has locked the session, or raise NoSuchSession or Damaged."""
        with self.open_directory(sid) as directory:
            return directory.is_locked()

    def lock_session(self, sid: SessionId, *, wait: float = LOCK_TIMEOUT) -> LockedSession:
        """Return a context manager that locks the session for the time of its `with` block.

        Raises:
            NoSuchSession: the session is missing.
            LockHeld: on entry, another process has held the lock for `wait` seconds.
        """
        return LockedSession(self, sid, wait)

    def hub_exists(self) -> bool:
        """Return True if the hub has a directory for sessions."""
        try:
            self._open_sessions().close()
        except FileNotFoundError:
            return False
        return True

    def lock_hub(self) -> SafeDirectory:
        """Lock the directory of all sessions, or raise LockHeld. Close it to release the lock."""
        sessions = self._open_sessions()
        try:
            sessions.lock(wait=LOCK_TIMEOUT)
        except HubError:
            sessions.close()
            raise
        return sessions

    def update(self, sid: SessionId, change: Callable[[Session], Session]) -> Session:
        """Apply `change` to the session as it is under the lock, and save the result.

        If `change` raises, the file stays as it was.
        """
        with self.lock_session(sid) as locked:
            return locked.update(change, hint=NOTHING_CHANGED)


class LockedSession:
    """A locked session, the only way to write one."""

    def __init__(self, store: Store, sid: SessionId, wait: float) -> None:
        self._sid = sid
        self._wait = wait
        self.directory = store.open_directory(sid)

    def __enter__(self) -> Self:
        try:
            self.directory.lock(wait=self._wait)
        except LockHeld:
            error = self._lock_error()
            self.directory.close()
            raise error from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.directory.close()

    def _lock_error(self) -> LockHeld:
        from git_hub_session.system import procfs

        pid = procfs.lock_holder(self.directory.path)
        holder = f"process {pid} ({procfs.process_name(pid)})" if pid else "another process"
        return LockHeld(
            f"session '{self._sid}' is locked by {holder}", hint="try again when it has finished"
        )

    def read(self) -> Session:
        """Return the session as it is now, or raise Damaged."""
        return read_session(self.directory, self._sid)

    def ensure_task_file(self, session: Session) -> str:
        """Write the task into task.txt if necessary, and return its path, or raise CannotWrite."""
        return self.ensure_text_file(TASK_FILE, f"{session.config.task}\n")

    def ensure_text_file(self, name: str, text: str) -> str:
        """Write a file of the session if necessary, and return its path, or raise CannotWrite.

        Replace anything else with that name, such as a link or a pipe: it came with the repository.
        """
        data = os.fsencode(text)
        try:
            is_current = self.directory.read(name, limit=len(data)) == data
        except (FileNotFoundError, Damaged):
            is_current = False
        if not is_current:
            self._replace(name, data)
        return f"{self.directory.path}/{name}"

    def update(self, change: Callable[[Session], Session], *, hint: str = _RETRY_HINT) -> Session:
        """Apply `change` to the session as it is now, and write state.json if the session differs.

        Other programs take no lock: they may have changed state.json since the last read.
        Raise CannotWrite with `hint`, or TooLarge. The file is then unchanged.
        """
        session = self.read()
        changed = change(session)
        if changed is not session:
            self._replace(STATE_FILE, encode_json(changed.document), hint)
        return changed

    def replace_document(self, document: Mapping[str, Any]) -> None:
        """Replace a state.json that could not be read as a session, or raise CannotWrite."""
        self._replace(STATE_FILE, encode_json(document))

    def move_damaged_state_aside(self) -> str:
        """Rename state.json to state.json.damaged-<n>. Return the new name, or '' if it is missing."""
        names = self.directory.names()
        if STATE_FILE not in names:
            return ""
        free_name = first_free(f"{STATE_FILE}.damaged", names.__contains__, always_numbered=True)
        os.rename(STATE_FILE, free_name, src_dir_fd=self.directory.fd, dst_dir_fd=self.directory.fd)
        return free_name

    def _replace(self, name: str, data: bytes, hint: str = _RETRY_HINT) -> None:
        try:
            self.directory.replace_atomically(name, data)
        except OSError as error:
            raise write_error(f"{self.directory.path}/{name}", error, hint) from None


def _create_directory(sessions: SafeDirectory, sid: SessionId, files: Mapping[str, bytes]) -> None:
    with sessions.create_pending_child(sid) as directory:
        pending_name = os.path.basename(directory.path)
        try:
            for name, data in files.items():
                if data:
                    directory.create(name, data)
            directory.fsync()
            os.rename(pending_name, sid, src_dir_fd=sessions.fd, dst_dir_fd=sessions.fd)
        except BaseException as error:
            # The rename may have happened before ^C. Keep the session then: it is complete.
            if sessions.exists(pending_name):
                sessions.remove_child(directory, SESSION_FILES)
            if isinstance(error, OSError) and sid in sessions.names():
                raise SessionExists(sid) from None
            raise
