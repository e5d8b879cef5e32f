"""What an operation sees of the place where it was called, and the doors that it may open.

The context of a command is one. A door opens when it is first used: who looks at nothing
never loads libgit2, who changes nothing never starts git.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from git_hub_session._typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from git_hub_session.git.command import Git
    from git_hub_session.git.discovery import RepositoryPaths
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.session.store import Store
    from git_hub_session.system.processes import RunAll, Shell


class Project(Protocol):
    """Where a command was called."""

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment that it was called in."""

    @property
    def cwd(self) -> str:
        """The directory that it was called in."""

    @property
    def paths(self) -> RepositoryPaths:
        """The repository and its hub."""

    @property
    def store(self) -> Store:
        """The sessions."""

    @property
    def repo(self) -> GitRepo:
        """The repository, to look at."""

    @property
    def git(self) -> Git:
        """git, to change something."""

    @property
    def run_all(self) -> RunAll:
        """Runs commands side by side."""

    @property
    def identity(self) -> str:
        """Who calls: "Name <email>"."""

    @property
    def progress(self) -> Callable[[str, int], Callable[[int], None]]:
        """Of what is done, and of how many; what it returns takes how many are done by now."""

    def now(self) -> float:
        """Seconds since the epoch."""

    def shell(self, directory: str, environ: Mapping[str, str]) -> Shell:
        """A shell in `directory`."""

    def config_values(self, name: str) -> list[str]:
        """Every value that git's configuration has for `name`, the one that counts last."""
