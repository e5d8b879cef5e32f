"""Start the command that the user has configured for an event.

The command gets the event as JSON on standard input. It runs after the change, without a lock.
"""

from __future__ import annotations

import json
import os

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.git.environment import strip_local_variables
from git_hub_session.programs.background import BackgroundCommand
from git_hub_session.schemas.schema import ANSWER_VERSION
from git_hub_session.util.clock import format_iso

if TYPE_CHECKING:
    from git_hub_session.session.project import Project
    from git_hub_session.settings.table import Setting

TIME_LIMIT = 10.0
"""The seconds after which a command is ended."""


class SentEvent:
    """An event whose command was started."""

    def __init__(
        self, setting: Setting, command: str, document: dict[str, Any], project: Project
    ) -> None:
        """Start the command at the top of the main worktree, or in a bare repository.

        Args:
            document: the JSON of the event. It has the key `session_id`.
        """
        self._key = setting.key
        self._command: BackgroundCommand | None = None
        self._error = ""
        name = setting.name.rpartition(".")[2]
        paths = project.paths
        directory = paths.main_worktree or paths.common_dir
        head = {"event": name, "time": format_iso(project.now()), "repository": directory}
        variables = {"HUB_EVENT": name, "HUB_SESSION_ID": document["session_id"]}
        environ = {**strip_local_variables(project.environ), **variables}
        text = json.dumps({**head, "version": ANSWER_VERSION, **document}) + "\n"
        try:
            self._command = BackgroundCommand(command, directory, environ, os.fsencode(text))
        except OSError as error:
            self._error = error.strerror or str(error)

    def wait(self) -> str:
        """Wait for the end of the command. Return a warning if it failed, or ''."""
        if self._command is None:
            return f"cannot run the command of {self._key}: {self._error}"
        status = self._command.wait(TIME_LIMIT)
        if status is None:
            return f"the command of {self._key} was ended after {TIME_LIMIT:g} seconds"
        return f"the command of {self._key} failed (exit {status})" if status else ""
