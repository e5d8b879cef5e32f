"""Read one session from its directory."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import Damaged
from git_hub_session.git.ref_names import InvalidId, SessionId, parse_session_id
from git_hub_session.session.config_file import MAX_CONFIG_BYTES, parse_config
from git_hub_session.session.model import Config, Session
from git_hub_session.session.state import read_state
from git_hub_session.system.json_file import read_json

if TYPE_CHECKING:
    from git_hub_session.system.directory import SafeDirectory

CONFIG_FILE = "config.yaml"
STATE_FILE = "state.json"


class UnreadableSession(NamedTuple):
    """A session that cannot be read. `config` is None if it could not be read."""

    id: str
    config: Config | None
    reason: str


def read_session(directory: SafeDirectory, sid: SessionId) -> Session:
    """Return the session in an open directory, or raise Damaged."""
    advice = f"fix the file in '{directory.path}'"
    try:
        config = _read_config(directory, "")
        advice = f"git hub-session doctor --fix {sid}"
        return _read_state(directory, "", sid, config)
    except Damaged as error:
        raise Damaged(
            f"session '{sid}': {error.message}",
            hint=f"{advice}\ngit hub-session cleanup {sid}",
        ) from None


def _read_state(directory: SafeDirectory, prefix: str, sid: SessionId, config: Config) -> Session:
    document = read_json(directory, f"{prefix}{STATE_FILE}")
    return Session(sid, config, read_state(document), document)


def _read_config(directory: SafeDirectory, prefix: str) -> Config:
    try:
        data = directory.read(f"{prefix}{CONFIG_FILE}", limit=MAX_CONFIG_BYTES)
    except FileNotFoundError:
        raise Damaged("config.yaml: missing") from None
    try:
        return Config(parse_config(data.decode()))
    except UnicodeDecodeError:
        raise Damaged("config.yaml: not UTF-8") from None


def read_or_unreadable(
    sessions: SafeDirectory, name: str, *, is_link: bool
) -> Session | UnreadableSession | None:
    """Return the session in the directory `name`, or None if the directory is missing.

    Args:
        is_link: True if `name` may be a symbolic link. A link is an unreadable session.
    """
    config: Config | None = None
    try:
        if is_link:
            sessions.open_child(name).close()  # raises Damaged for a link
        sid = parse_session_id(name)
        # Read by path. Opening the directory first would take three times as many system calls.
        config = _read_config(sessions, f"{name}/")
        return _read_state(sessions, f"{name}/", sid, config)
    except (FileNotFoundError, NotADirectoryError):
        return None  # no directory, or no longer one
    except InvalidId:
        return UnreadableSession(name, None, "the name is not a session id")
    except Damaged as error:
        # If the directory was removed in the meantime, the session no longer exists.
        return UnreadableSession(name, config, error.message) if sessions.exists(name) else None
    except OSError as error:
        return UnreadableSession(name, config, f"cannot be read: {error.strerror}")
