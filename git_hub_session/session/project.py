"""Project: one repository with its hub, its sessions, git and the clock.

Each part is opened when it is first used, and each heavy library is loaded with its part.
A command that does not read the repository never loads libgit2, and a command that changes
nothing never starts git.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import Damaged, HubError
from git_hub_session.git.discovery import (
    NotARepository,
    RepositoryPaths,
    find_foreign_path,
    find_repository,
)
from git_hub_session.git.safe_open import find_special
from git_hub_session.session.store import Store
from git_hub_session.util.clock import MAX_TIME
from git_hub_session.util.numbers import parse_int
from git_hub_session.util.shell import quote_word

if TYPE_CHECKING:
    from git_hub_session.git.command import Git
    from git_hub_session.git.config import ConfigEntry
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.session.approvals import CommandApprovals
    from git_hub_session.settings.settings import Settings
    from git_hub_session.system.tasks import Task, TaskCallbacks

Progress = Callable[[str, int], Callable[[int], None]]
"""A function (title, total) that returns a function (number of finished items)."""


class DubiousOwnership(HubError):
    """The repository belongs to another user, and safe.directory does not allow it."""

    code = "dubious-ownership"


class BareRepositoryRefused(HubError):
    """The current directory is in a bare repository, and safe.bareRepository requires GIT_DIR."""

    code = "bare-repository"


class Project:
    """The repository of a directory, with its hub and its sessions."""

    def __init__(
        self, environ: Mapping[str, str], progress: Progress | None = None, directory: str = ""
    ) -> None:
        """Create the project of an absolute `directory`, or of the current directory for ''."""
        self._environ = environ
        self._directory = directory
        self.progress = progress or (lambda _title, _total: lambda _finished: None)

    @cached_property
    def environ(self) -> Mapping[str, str]:
        """The environment of the user.

        GIT_HUB_SESSION_DIR is absolute: hooks and commands of agents run in other directories.
        """
        hub = self._environ.get("GIT_HUB_SESSION_DIR")
        if not hub or os.path.isabs(hub):
            return self._environ
        return {**self._environ, "GIT_HUB_SESSION_DIR": os.path.join(self.cwd, hub)}

    @cached_property
    def cwd(self) -> str:
        """The directory of the project, from which git searches for the repository.

        Raises:
            HubError: the current directory was deleted.
        """
        try:
            return self._directory or os.getcwd()
        except OSError:
            raise HubError(
                "the current directory does not exist", hint="cd to another directory"
            ) from None

    def now(self) -> float:
        """Return the time in seconds since the epoch; GIT_TEST_DATE_NOW replaces it, as in git."""
        fixed = parse_int(self.environ.get("GIT_TEST_DATE_NOW", ""), MAX_TIME)
        return time.time() if fixed is None else float(fixed)

    @property
    def paths(self) -> RepositoryPaths:
        """The paths of the repository and its hub.

        Raises:
            NotARepository, NoMainWorktree: no usable repository was found.
            DubiousOwnership, BareRepositoryRefused: git does not trust the repository.
        """
        paths, error = self._found_paths
        if error:
            raise error
        return paths

    @cached_property
    def _found_paths(self) -> tuple[RepositoryPaths, HubError | None]:
        """The paths, and the error if git does not trust the repository."""
        paths = find_repository(self.cwd, self.environ)
        foreign_path = find_foreign_path(paths, self.environ)
        if foreign_path or paths.is_inside_git_dir:
            from git_hub_session.git.process import is_safe_directory

            # Ask git itself: it knows all sources of the settings safe.*.
            if not is_safe_directory(self.cwd, self.environ):
                return paths, _not_trusted_error(paths.owners[0], foreign_path)
        return paths, None

    @property
    def store(self) -> Store:
        """The sessions of the hub."""
        return Store(self.paths.hub)

    @cached_property
    def repo(self) -> GitRepo:
        """The repository, opened for reading with libgit2."""
        from git_hub_session.git.repository import GitRepo  # 70 ms

        return GitRepo(self._checked_common_dir, self.environ)

    @cached_property
    def git(self) -> Git:
        """The git program, for changes to the repository."""
        from git_hub_session.git.command import Git  # 12 ms

        common_dir = self._checked_common_dir
        return Git(common_dir, self.environ, cwd=self.cwd, worktree=self.paths.worktree)

    @cached_property
    def _checked_common_dir(self) -> str:
        """The common dir.

        Raises:
            Damaged: it contains a special file. git would wait for a FIFO forever.
        """
        special = find_special(self.paths.common_dir)
        if special:
            raise Damaged(
                f"'{special}' is not a regular file",
                hint="remove it: git would wait for it forever",
            )
        return self.paths.common_dir

    @property
    def identity(self) -> str:
        """The committer as "Name <email>"."""
        from git_hub_session.git.config_files import read_identity

        return read_identity(self.paths.common_dir, self.environ)

    @property
    def approvals(self) -> CommandApprovals:
        """The eval commands that the user has approved in this repository."""
        from git_hub_session.session.approvals import CommandApprovals

        return CommandApprovals(self.paths.common_dir, self.environ)

    def file_setting(self, name: str) -> str | None:
        """Return a setting in git's files, or None. Files of `includeIf` do not count.

        It needs neither libgit2 nor git, and works outside of a repository.

        Args:
            name: the name in lower case, such as "color.ui".
        """
        return self._file_settings.get(name)

    @cached_property
    def _file_settings(self) -> dict[str, str]:
        from git_hub_session.git.config_files import read_settings

        try:
            common_dir, git_dir = self.paths.common_dir, self.paths.git_dir
        except HubError:
            common_dir = git_dir = ""
        return read_settings(common_dir, git_dir, self.environ)

    def settings_at(self, git_dir: str, top: str) -> dict[str, str]:
        """Return the last value of each git setting in the worktree `top`. Raise GitFailed.

        Start git only if the settings have sources that are not read here.

        Args:
            git_dir: the git dir of the worktree.
        """
        from git_hub_session.git.config_files import read_all_settings

        settings = read_all_settings(self.paths.common_dir, git_dir, self.environ)
        return self.git.at(git_dir, top).settings() if settings is None else settings

    @cached_property
    def settings(self) -> Settings:
        """The settings of this program. Outside of a repository, they are those of the user."""
        from git_hub_session.settings.settings import read_settings

        try:
            top = self.paths.main_worktree
        except NotARepository:
            top = ""
        return read_settings(self.config_entries, top)

    @cached_property
    def config_entries(self) -> Sequence[ConfigEntry]:
        """The values of all git settings, in ascending priority. Raise HubError if git fails.

        Start git only if the configuration includes files under conditions, which need the
        repository. Outside of a repository, they are those of the user.
        """
        from git_hub_session.git.config_files import LIST_ENTRIES, parse_entries, read_entries

        try:
            common_dir = self.paths.common_dir
        except NotARepository:
            common_dir = ""
        entries = read_entries(common_dir, self.environ)
        return parse_entries(self.git.run(LIST_ENTRIES)) if entries is None else entries

    def config_values(self, name: str) -> list[str]:
        """Return all values of a git setting; the last one wins.

        Run git only if the settings have sources that libgit2 does not read (`git -c`,
        GIT_CONFIG_GLOBAL and others).
        """
        if self.repo.reads_all_config:
            return self.repo.config_values(name)
        return self.git.config_values(name)

    def run_tasks(
        self,
        tasks: Sequence[Task],
        callbacks: TaskCallbacks,
        *,
        jobs: int,
        timeout: float | None = None,
        separate_stderr: bool = False,
    ) -> None:
        """Run commands in parallel; see `system.processes.run_tasks`."""
        from git_hub_session.system.processes import run_tasks  # 12 ms

        run_tasks(
            tasks,
            callbacks,
            jobs=jobs,
            timeout=timeout,
            separate_stderr=separate_stderr,
        )


def _not_trusted_error(top: str, foreign_path: str) -> HubError:
    if not foreign_path:
        return BareRepositoryRefused(
            f"cannot use the bare repository '{top}' without GIT_DIR (safe.bareRepository)",
            hint=f"set GIT_DIR={quote_word(top)}",
        )
    return DubiousOwnership(
        f"detected dubious ownership in repository at '{top}': '{foreign_path}' belongs to another user",
        hint=f"git config --global --add safe.directory {quote_word(top)}",
    )
