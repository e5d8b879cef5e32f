"""The commands of sessions that this user has allowed to run: <state home>/git-hub-session/allowed.

A config.yaml may have come with the repository, so its eval command runs only if it is known
here. One line each, in JSON: the repository's path, and the command's exact text. The file lies
in the user's own directory, where no repository can write.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from git_hub_session.errors import HubError
from git_hub_session.system.io import write_all


class CannotSaveApproval(HubError):
    """The list of allowed commands cannot be written."""

    code = "cannot-write"


class CommandApprovals:
    """The list of one user."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        home = environ.get("XDG_STATE_HOME", "")
        if not os.path.isabs(home):  # as the XDG Base Directory Specification has it
            home = os.path.join(environ.get("HOME", ""), ".local", "state")
        self._path = os.path.join(home, "git-hub-session", "allowed")

    def is_approved(self, common_dir: str, command: str) -> bool:
        """Whether the user has allowed this very command in this repository."""
        try:
            if not os.path.isabs(self._path):
                return False  # where we stand may be the work tree of who wants it allowed
            with open(self._path, encoding="ascii", errors="replace") as file:
                return _format_entry(common_dir, command) in file
        except OSError:
            return False

    def approve(self, common_dir: str, command: str) -> None:
        """Allow it from now on; raises CannotRemember."""
        if self.is_approved(common_dir, command):
            return
        try:
            if not os.path.isabs(self._path):
                raise CannotSaveApproval("there is no home directory", hint="set HOME")
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                write_all(fd, _format_entry(common_dir, command).encode())
            finally:
                os.close(fd)
        except OSError as fault:
            raise CannotSaveApproval(f"cannot write '{self._path}': {fault.strerror}") from None


def _format_entry(common_dir: str, command: str) -> str:
    return f"{json.dumps([common_dir, command])}\n"
