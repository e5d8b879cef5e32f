"""The eval commands that the user has approved: <state home>/git-hub-session/allowed.

A config.yaml can be part of a cloned repository. Therefore its eval command runs only if it is in
this file. Each line is a JSON list of the repository's path and the exact text of the command.
The file is in the user's home directory, outside of every repository.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from git_hub_session.errors import HubError
from git_hub_session.system.io import write_all


class CannotSaveApproval(HubError):
    """The file with the approved commands cannot be written."""

    code = "cannot-write"


class CommandApprovals:
    """The approved commands of one user."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        home = environ.get("XDG_STATE_HOME", "")
        if not os.path.isabs(home):  # the XDG specification ignores a relative path
            home = os.path.join(environ.get("HOME", ""), ".local", "state")
        self._path = os.path.join(home, "git-hub-session", "allowed")

    def is_approved(self, common_dir: str, command: str) -> bool:
        """Return True if the user has approved exactly this command in this repository."""
        try:
            if not os.path.isabs(self._path):
                return False  # the file would be in the working tree, and a clone could contain it
            with open(self._path, encoding="ascii", errors="replace") as file:
                return _format_entry(common_dir, command) in file
        except OSError:
            return False

    def approve(self, common_dir: str, command: str) -> None:
        """Add the command to the approved ones, or raise CannotSaveApproval."""
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
        except OSError as error:
            raise CannotSaveApproval(f"cannot write '{self._path}': {error.strerror}") from None


def _format_entry(common_dir: str, command: str) -> str:
    return f"{json.dumps([common_dir, command])}\n"
