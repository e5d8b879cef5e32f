"""Context: the project, the reporter and the session ids of a command."""

from __future__ import annotations

import os
from functools import cached_property

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import HubError, UsageError
from git_hub_session.git.ref_names import (
    AgentBranch,
    SessionId,
    parse_agent_branch,
    session_of_branch,
)
from git_hub_session.session.project import Project
from git_hub_session.session.read import UnreadableSession
from git_hub_session.session.state import FINISHED, NEW_SESSION_HINT
from git_hub_session.session.store import NoSuchSession
from git_hub_session.util.clock import parse_iso

if TYPE_CHECKING:
    from collections.abc import Callable

    from git_hub_session._typing import Any
    from git_hub_session.cli.options import Arguments, ArgumentValue
    from git_hub_session.cli.reporter import Reporter
    from git_hub_session.events.send import SentEvent
    from git_hub_session.settings.settings import Settings
    from git_hub_session.settings.table import Setting


class AmbiguousId(HubError):
    """An abbreviated session id that fits more than one session."""

    code = "ambiguous-id"


class Context:
    """The project that a command works on, and the reporter for its messages.

    It also finds the session that the user means.
    """

    def __init__(self, project: Project, reporter: Reporter) -> None:
        self.project = project
        self.project.progress = reporter.progress
        self.reporter = reporter
        self._sent_events: list[SentEvent] = []

    @cached_property
    def settings(self) -> Settings:
        """The settings. Print the warnings about the file .hubsession once."""
        for warning in self.project.settings.warnings:
            self.reporter.note(f"warning: {warning}")
        return self.project.settings

    def with_defaults(self, args: Arguments, command: str) -> Arguments:
        """Return the arguments of a command, with the settings for the options that are not given.

        Raise HubError if a setting has a wrong value.
        """
        from git_hub_session.settings.table import options_with_defaults

        defaults: dict[str, ArgumentValue] = {}
        for setting in options_with_defaults(command):
            if not any(args.has(option) for option in (setting.option, *setting.unless)):
                values = self.settings.checked_values(setting)
                if values:
                    defaults[setting.option] = values if setting.is_list else values[-1]
        return args.with_values(**defaults)

    def start_event(self, event: Setting, make_document: Callable[[], dict[str, Any]]) -> None:
        """Start the command of an event, if the user has configured one. Hold no lock.

        Args:
            make_document: returns the JSON of the event. It has the key `session_id`.
        """
        try:
            command = self.project.settings.value(event)
        except HubError as error:  # the command has already made its change
            self.reporter.warn(error.message)
            return
        if command:
            from git_hub_session.events.send import SentEvent

            self._sent_events.append(SentEvent(event, command, make_document(), self.project))

    def finish_events(self) -> None:
        """Wait for the commands of events. Warn about each one that failed, also with `-q`."""
        while self._sent_events:
            warning = self._sent_events.pop(0).wait()
            if warning:
                self.reporter.warn(warning)

    def send_event(self, event: Setting, make_document: Callable[[], dict[str, Any]]) -> None:
        """Run the command of an event, and wait for its end. See `start_event`."""
        self.start_event(event, make_document)
        self.finish_events()

    def find_session(self, text: str | None) -> SessionId:
        """Return the session for an id or an abbreviated id.

        Without an id, return the session of the current worktree or branch, or the newest
        unfinished session, or the newest session if all are finished.

        Raises:
            NoSuchSession: no id starts with `text`.
            AmbiguousId: several ids start with `text`.
        """
        if text is not None:
            return self._resolve_abbreviation(text)
        current = self.current_session()
        if current is not None:
            return current
        for kind, newest in (
            ("unfinished session", self.newest_unfinished()),
            ("session", self._newest_session(finished=True)),
        ):
            if newest is not None:
                self.reporter.note(f"the newest {kind} is '{newest}'")
                return newest
        if not self.project.store.ids():
            raise HubError("no sessions", hint=NEW_SESSION_HINT)
        raise HubError("no session can be read", hint="git hub-session doctor")

    def require_session(self, text: str | None, command: str) -> SessionId:
        """Return the session with exactly this id.

        Without an id, return the session of the current worktree or branch.

        Raises:
            NoSuchSession: the hub has no such session.
            UsageError: no id was given, and the current worktree belongs to no session.
        """
        if text is None:
            current = self.current_session()
            if current is None:
                raise UsageError(
                    "no session given",
                    hint=f"give an id from 'git hub-session list': git hub-session {command} <id>",
                )
            return current
        if text not in self.project.store.ids():
            raise NoSuchSession(text)
        return SessionId(text)

    def current_session(self) -> SessionId | None:
        """Return the session of the current worktree or branch, or None."""
        for ref in self._current_branches():
            sid = session_of_branch(ref)
            if sid is not None and self.project.store.has_session(sid):
                return sid
        return None

    def current_agent(self) -> AgentBranch | None:
        """Return the agent branch of the current worktree, or None."""
        for ref in self._current_branches():
            agent = parse_agent_branch(ref)
            if agent is not None:
                return agent
        return None

    def _current_branches(self) -> tuple[str, ...]:
        """Return the refs that the current worktree uses: HEAD, and those of a rebase or bisect."""
        from git_hub_session.git.head import read_head, read_operation

        git_dir = self.project.paths.git_dir
        head, _ = read_head(git_dir)
        return (head, *read_operation(git_dir).branches)

    def newest_unfinished(self) -> SessionId | None:
        """Return the newest session that is not finished, or None."""
        return self._newest_session(finished=False)

    def _newest_session(self, *, finished: bool) -> SessionId | None:
        """Return the newest session that is, or is not, finished, or None."""
        found = [
            (parse_iso(session.created) or 0.0, session.id)
            for session in self.project.store.read_all()
            if not isinstance(session, UnreadableSession)
            and (session.state in FINISHED) == finished
        ]
        return max(found)[1] if found else None

    def _resolve_abbreviation(self, text: str) -> SessionId:
        ids = self.project.store.ids()
        if text in ids:
            return SessionId(text)
        candidates = [sid for sid in ids if text and sid.startswith(text)]
        if not candidates:
            raise NoSuchSession(text)
        if len(candidates) > 1:
            raise AmbiguousId(
                f"'{text}' is the start of {len(candidates)} session ids",
                hint="the candidates are\n" + "\n".join(f"  {sid}" for sid in candidates),
            )
        return candidates[0]


def read_text_file(file: str, content: str, *, max_bytes: int) -> str:
    """Return the text of a file that the user named; '-' is standard input.

    Return at most one byte more than `max_bytes`, so that the caller can reject a larger file.

    Args:
        content: the noun for the content in the error message, such as "task".
    """
    is_standard_input = file == "-"
    try:
        with open(0 if is_standard_input else file, "rb", closefd=not is_standard_input) as source:
            return os.fsdecode(source.read(max_bytes + 1))
    except OSError as error:
        raise HubError(f"cannot read the {content} from '{file}': {error.strerror}") from None


def process_project(directory: str = "") -> Project:
    """Return the project of an absolute directory, with the environment of this process.

    Without a directory, return the project of the current one.
    """
    return Project(os.environ, directory=directory)
