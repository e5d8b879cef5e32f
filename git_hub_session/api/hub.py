"""Read the sessions of a repository from Python, and run the commands."""

from __future__ import annotations

import json
import os
from functools import partial

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.cli.context import process_project
from git_hub_session.errors import HubError, NoSuchPath
from git_hub_session.git.ref_names import parse_session_id
from git_hub_session.programs.capture import run_captured
from git_hub_session.programs.own_program import own_program
from git_hub_session.session.record import with_transition
from git_hub_session.session.state import State, parse_state
from git_hub_session.system import procfs
from git_hub_session.util.clock import format_iso
from git_hub_session.worktree.agent_progress import read_agent_progress
from git_hub_session.worktree.status import read_session_status

if TYPE_CHECKING:
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project
    from git_hub_session.session.read import UnreadableSession
    from git_hub_session.worktree.agent_progress import AgentProgress
    from git_hub_session.worktree.status import SessionStatus


class Answer(NamedTuple):
    """The answer of a command that was run."""

    document: dict[str, Any]
    """The JSON object that the command prints with --format=json."""
    exit_code: int
    """0, or 1 if the answer is no, something was kept, or something is broken."""
    messages: str
    """The warnings, notes and hints of the command."""


class CommandFailed(HubError):
    """A command that ended without an answer. `code` is the stable code of its error."""

    def __init__(self, code: str, message: str, hint: str, exit_code: int) -> None:
        super().__init__(message, hint)
        self.code = code
        self.exit_code = exit_code


class Hub:
    """The sessions of one repository.

    Each call finds the repository and reads its files again. Methods raise HubError. With thousands of sessions, or with twelve or
    more worktrees of one session, they read in forked processes. A program with several threads
    calls `run` instead.
    """

    def __init__(self, directory: str | os.PathLike[str] = ".") -> None:
        """Open the repository of a directory, which git finds as it does for a command there.

        Raises:
            NoSuchPath: there is no such directory.
            NotARepository: git finds no repository.
        """
        path = os.path.realpath(directory)
        if not os.path.isdir(path):
            raise NoSuchPath(f"no such directory: '{os.fspath(directory)}'")
        self._directory = path
        self.path: str = self._open_project().paths.hub
        """The path of `.agenthub`. It exists only after the first session was created."""

    def _open_project(self) -> Project:
        """Return a project that remembers nothing from an earlier call."""
        return process_project(self._directory)

    def sessions(self) -> list[Session | UnreadableSession]:
        """Return all sessions, sorted by id. A damaged one is an UnreadableSession."""
        return self._open_project().store.read_all()

    def session(self, session_id: str) -> Session:
        """Return the session with exactly this id.

        Raises:
            InvalidId: the text cannot be the id of a session.
            NoSuchSession: the hub has no such session.
            Damaged: a file of the session is missing or cannot be parsed.
        """
        return self._open_project().store.read(parse_session_id(session_id))

    def status(self, session_id: str) -> SessionStatus:
        """Return the branches of a session compared with the base branch, and its worktrees.

        Raises:
            HubError: as for `session`.
        """
        processes = procfs.processes(open_files=False)
        return read_session_status(self.session(session_id), self._open_project(), processes)

    def progress(self, status: SessionStatus) -> list[AgentProgress]:
        """Return the last run and the last result of each agent in the answer of `status`."""
        return list(read_agent_progress(status, self._open_project()))

    def update(self, session_id: str, state: State | str, *, reason: str = "") -> Session:
        """Move a session to a state under its lock, and return the changed session.

        Args:
            reason: the reason to record in the history.

        Raises:
            UsageError: there is no such state.
            IllegalTransition: the state machine has no step to this state.
            LockHeld: another process has locked the session for longer than the time-out.
            HubError: as for `session`.
        """
        target = parse_state(str(state))
        self.session(session_id)
        project = self._open_project()
        change = partial(_move, target=target, project=project, reason=reason)
        project.store.update(parse_session_id(session_id), change)
        return self.session(session_id)

    def run(self, command: str, *arguments: str, stdin: str = "") -> Answer:
        """Run a command with --format=json in the directory of the repository.

        The command is a process of its own. Relative paths among the arguments start from the
        directory with which the Hub was created.

        Raises:
            CommandFailed: the command ended with an error.
            OSError: Python cannot be started.
        """
        words = [*own_program(), command, "--format=json", *arguments]
        project = self._open_project()
        run = run_captured(words, project.cwd, project.environ, os.fsencode(stdin))
        stderr = os.fsdecode(run.stderr)
        document = _parse_object(run.stdout)
        if document is None:
            raise _command_error(command, run.status, stderr)
        return Answer(document, run.status, stderr)


def _move(session: Session, *, target: State, project: Project, reason: str) -> Session:
    return with_transition(
        session,
        target,
        at=format_iso(project.now()),
        by=project.identity,
        verb="update",
        reason=reason,
    )


def _parse_object(data: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(data)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _command_error(command: str, status: int, stderr: str) -> CommandFailed:
    """Return the error that a command printed as the last JSON object, after its messages."""
    # Only the first line of the object is a brace alone, without indentation.
    start = f"\n{stderr}".rfind("\n{\n")
    document = _parse_object(stderr[start:].encode()) if start >= 0 else None
    if document is None:
        lines = stderr.strip().splitlines()
        message = lines[-1] if lines else f"'{command}' ended with status {status}"
        return CommandFailed("error", message, "", status)
    error = document["error"]
    return CommandFailed(error["code"], error["message"], error["hint"], status)
