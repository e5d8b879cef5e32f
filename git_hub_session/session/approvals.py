"""The eval commands that the user has approved: <state home>/git-hub-session/allowed.

A config.yaml can be part of a cloned repository. Therefore its eval command runs only if it is in
this file. Each line is a JSON list of the repository's path, its id and the exact text of the
command. The file is in the user's home directory, outside of every repository.

The id is a random number in the common dir. `git clone` does not copy it, so another repository
at the same path has no approved command. The path is compared too: a copy of the common dir can
contain the id of another repository.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import Damaged, HubError, NotApproved
from git_hub_session.settings.table import PROJECT_FILE
from git_hub_session.system.directory import LOCK_TIMEOUT, SafeDirectory
from git_hub_session.system.io import write_all
from git_hub_session.util.shell import quote_word

if TYPE_CHECKING:
    from git_hub_session.session.project import Project
    from git_hub_session.settings.table import Setting

_ID_FILE = "hub-session-id"
_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_ID_LIMIT = 64  # bytes


class CannotSaveApproval(HubError):
    """The file with the approved commands cannot be written."""

    code = "cannot-write"


class CommandApprovals:
    """The commands that one user has approved in one repository."""

    def __init__(self, common_dir: str, environ: Mapping[str, str]) -> None:
        home = environ.get("XDG_STATE_HOME", "")
        if not os.path.isabs(home):  # the XDG specification ignores a relative path
            home = os.path.join(environ.get("HOME", ""), ".local", "state")
        self._path = os.path.join(home, "git-hub-session", "allowed")
        self._common_dir = common_dir

    def is_approved(self, command: str) -> bool:
        """Return True if the user has approved exactly this command in this repository."""
        try:
            if not os.path.isabs(self._path):
                return False  # the file would be in the working tree, and a clone could contain it
            with SafeDirectory(self._common_dir) as directory:
                repository_id = _read_id(directory)
            with open(self._path, encoding="ascii", errors="replace") as file:
                return self._format_entry(repository_id, command) in file
        except (HubError, OSError):
            return False

    def approve(self, command: str) -> None:
        """Add the command to the approved ones, or raise CannotSaveApproval."""
        if self.is_approved(command):
            return
        if not os.path.isabs(self._path):
            raise CannotSaveApproval("there is no home directory", hint="set HOME")
        entry = self._format_entry(ensure_id(self._common_dir), command)
        try:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                write_all(fd, entry.encode())
            finally:
                os.close(fd)
        except OSError as error:
            raise CannotSaveApproval(f"cannot write '{self._path}': {error.strerror}") from None

    def _format_entry(self, repository_id: str, command: str) -> str:
        return f"{json.dumps([self._common_dir, repository_id, command])}\n"


def ensure_id(common_dir: str, name: str = _ID_FILE) -> str:
    """Return the random id in a file of the common dir, and create the file if it is missing.

    Raises:
        CannotSaveApproval: the file cannot be written, or has another content.
    """
    path = os.path.join(common_dir, name)
    try:
        with SafeDirectory(common_dir) as directory:
            if not directory.exists(name):
                directory.lock(wait=LOCK_TIMEOUT)
                if not directory.exists(name):
                    directory.create_atomically(name, f"{os.urandom(16).hex()}\n".encode())
            return _read_id(directory, name)
    except OSError as error:
        raise CannotSaveApproval(f"cannot write '{path}': {error.strerror}") from None
    except Damaged:
        hint = f"rm {quote_word(path)}"
        raise CannotSaveApproval(f"'{path}' does not contain an id", hint=hint) from None
    except HubError as error:
        raise CannotSaveApproval(error.message) from None


def find_unapproved(setting: Setting, project: Project) -> list[str]:
    """Return the commands of a setting that came with the repository and are not approved."""
    commands = project.settings.project_commands(setting)
    return [command for command in commands if not project.approvals.is_approved(command)]


def refuse_unapproved(setting: Setting, project: Project) -> None:
    """Raise Refused if a command of a setting came with the repository and is not approved."""
    unapproved = find_unapproved(setting, project)
    if not unapproved:
        return
    commands = project.settings.project_commands(setting)
    add = "--add " if len(commands) > 1 else ""
    raise NotApproved(
        f"the command of {setting.key} in '{PROJECT_FILE}' is not approved: {unapproved[0]}",
        hint="\n".join(
            f"git config {add}{setting.key} {quote_word(command)}" for command in commands
        ),
    )


def _read_id(directory: SafeDirectory, name: str = _ID_FILE) -> str:
    """Return the id of the repository with this common dir. Raise Damaged if it is not valid."""
    text = directory.read(name, limit=_ID_LIMIT).decode("ascii", "replace").strip()
    if not _ID.fullmatch(text):
        raise Damaged(f"'{directory.path}/{name}' does not contain an id")
    return text
