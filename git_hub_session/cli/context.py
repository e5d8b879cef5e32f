"""What a command is given: where it was called, the time, who calls, and the doors to the outside.

The doors open when they are first used, and each heavy library is loaded behind one of
them: a command that does not look at the repository never loads libgit2.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from functools import cached_property

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import Damaged, HubError, UsageError
from git_hub_session.git.discovery import RepositoryPaths, find_foreign_path, find_repository
from git_hub_session.git.ref_names import (
    AgentBranch,
    SessionId,
    parse_agent_branch,
    session_of_branch,
)
from git_hub_session.git.safe_open import find_special
from git_hub_session.session.state import FINISHED
from git_hub_session.session.store import NoSuchSession, Store, UnreadableSession
from git_hub_session.util.clock import MAX_TIME, parse_iso
from git_hub_session.util.numbers import parse_int

if TYPE_CHECKING:
    from git_hub_session.cli.reporter import Reporter
    from git_hub_session.git.command import Git
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.session.approvals import CommandApprovals
    from git_hub_session.system.processes import RunAll, Shell


class DubiousOwnership(HubError):
    """The repository belongs to somebody else, and safe.directory does not allow it."""

    code = "dubious-ownership"


class BareRepositoryRefused(HubError):
    """A bare repository that one stands in, and safe.bareRepository wants it named."""

    code = "bare-repository"


class AmbiguousId(HubError):
    """More than one session's id starts so."""

    code = "ambiguous-id"


class Context:
    """Where a command was called."""

    def __init__(self, environ: Mapping[str, str], voice: Reporter) -> None:
        self.environ = environ
        self.note, self.show, self.say, self.progress, self.ask = voice

    @cached_property
    def cwd(self) -> str:
        """The current directory; raises HubError where it was deleted."""
        try:
            return os.getcwd()
        except OSError:
            raise HubError(
                "the current directory does not exist", hint="cd to another one"
            ) from None

    def now(self) -> float:
        """Seconds since the epoch; GIT_TEST_DATE_NOW sets it, as for git itself."""
        fixed = parse_int(self.environ.get("GIT_TEST_DATE_NOW", ""), MAX_TIME)
        return time.time() if fixed is None else float(fixed)

    @cached_property
    def paths(self) -> RepositoryPaths:
        """The repository and its hub; raises NotARepository, NoMainWorktree, NotOurs, BareRefused."""
        place = find_repository(self.cwd, self.environ)
        owned = find_foreign_path(place, self.environ)
        if owned or place.is_inside_git_dir:
            from git_hub_session.git.command import is_safe_directory

            # git's own answer: it knows every way in which safe.* can be set.
            if not is_safe_directory(self.cwd, self.environ):
                raise _not_trusted_error(place.owners[0], owned)
        return place

    @property
    def store(self) -> Store:
        """The sessions."""
        return Store(self.paths.hub)

    @cached_property
    def repo(self) -> GitRepo:
        """The repository, to look at; loads libgit2 (70 ms)."""
        from git_hub_session.git.repository import GitRepo

        return GitRepo(self._checked_common_dir, self.environ)

    @cached_property
    def git(self) -> Git:
        """git, to change something; loads subprocess (12 ms)."""
        from git_hub_session.git.command import Git

        return Git(self._checked_common_dir, self.environ)

    @cached_property
    def _checked_common_dir(self) -> str:
        """The repository's directory, where git does not wait for ever; raises Damaged."""
        special = find_special(self.paths.common_dir)
        if special:
            raise Damaged(
                f"'{special}' is not a file", hint="git itself would wait for it: remove it"
            )
        return self.paths.common_dir

    def read_text(self, file: str, what: str, *, most: int) -> str:
        """What is in a file that the user named ('-': standard input), cut off behind `most` bytes; raises HubError."""
        try:
            standard_input = file == "-"
            with open(0 if standard_input else file, "rb", closefd=not standard_input) as source:
                return os.fsdecode(source.read(most + 1))
        except OSError as fault:
            raise HubError(f"cannot read the {what} from '{file}': {fault.strerror}") from None

    def config_values(self, name: str) -> list[str]:
        """Every value that git's configuration has for `name`, the one that counts last.

        git is asked only where it reads what libgit2 does not (`git -c`, GIT_CONFIG_GLOBAL, …).
        """
        known = self.repo.reads_all_config
        return self.repo.config_values(name) if known else self.git.config_values(name)

    def shell(self, directory: str, environ: Mapping[str, str]) -> Shell:
        """A shell in `directory`; loads subprocess."""
        from git_hub_session.system.processes import Shell

        return Shell(directory, environ)

    @property
    def approvals(self) -> CommandApprovals:
        """The commands of sessions that the user has allowed."""
        from git_hub_session.session.approvals import CommandApprovals

        return CommandApprovals(self.environ)

    @property
    def run_all(self) -> RunAll:
        """Runs commands side by side; loads subprocess."""
        from git_hub_session.system.processes import run_tasks

        return run_tasks

    @property
    def identity(self) -> str:
        """Who calls: "Name <email>"."""
        from git_hub_session.git.identity import read_identity

        return read_identity(self.paths.common_dir, self.environ)

    def _branches(self) -> tuple[str, ...]:
        """The full refs of what is worked on in the worktree we are in: HEAD's, a rebase's, a bisect's."""
        from git_hub_session.git.head import read_head, read_operation

        head, _ = read_head(self.paths.git_dir)
        return (head, *read_operation(self.paths.git_dir).branches)

    def current_session(self) -> SessionId | None:
        """The session of the worktree or branch we are in, if there is one."""
        for ref in self._branches():
            sid = session_of_branch(ref)
            if sid is not None and self.store.has_session(sid):
                return sid
        return None

    def current_agent(self) -> AgentBranch | None:
        """The agent whose worktree or branch we are in, if we are in one's."""
        agents = (parse_agent_branch(ref) for ref in self._branches())
        return next((agent for agent in agents if agent is not None), None)

    def find_session(self, text: str | None) -> SessionId:
        """The session that an id, or the start of one, means; without one, the current or the newest.

        Raises NoSuchSession, AmbiguousId.
        """
        if text is not None:
            return self._resolve_abbreviation(text)
        current = self.current_session()
        if current is not None:
            return current
        unfinished = [
            session
            for session in self.store.read_all()
            if not isinstance(session, UnreadableSession) and session.state not in FINISHED
        ]
        if not unfinished:
            raise HubError(
                "no unfinished session here", hint="name one: 'git hub-session list' shows all"
            )
        newest = max(unfinished, key=lambda one: (parse_iso(one.created) or 0.0, one.id)).id
        self.note(f"the newest unfinished session is '{newest}'")
        return newest

    def _resolve_abbreviation(self, text: str) -> SessionId:
        ids = self.store.ids()
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

    def require_session(self, text: str | None, command: str) -> SessionId:
        """The session of exactly that id; without one, that of the worktree or branch we are in.

        Raises NoSuchSession, UsageError.
        """
        if text is None:
            current = self.current_session()
            if current is None:
                raise UsageError(
                    "which session?",
                    hint=f"git hub-session {command} <id>; 'git hub-session list' shows the ids",
                )
            return current
        if text not in self.store.ids():
            raise NoSuchSession(text)
        return SessionId(text)


def _not_trusted_error(top: str, owned: str) -> HubError:
    from shlex import quote

    if not owned:
        return BareRepositoryRefused(
            f"git does not work in the bare repository '{top}' (safe.bareRepository)",
            hint=f"GIT_DIR={quote(top)} names it",
        )
    return DubiousOwnership(
        f"detected dubious ownership in repository at '{top}': '{owned}' is somebody else's",
        hint=f"git config --global --add safe.directory {quote(top)}",
    )


def process_context(voice: Reporter) -> Context:
    """The context of this very process."""
    return Context(os.environ, voice)
