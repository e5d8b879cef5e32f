"""Guarded paths as text, and the directory of the holdout files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import NoSuchPath, UsageError
from git_hub_session.settings.table import HOLDOUT
from git_hub_session.system.tree import path_and_parents
from git_hub_session.util.paths import normalize_relative

if TYPE_CHECKING:
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project


def parse_guards(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the paths in their shortest spelling, or raise UsageError."""
    paths = []
    for text in texts:
        path = normalize_relative(text)
        if not path or "\n" in path:
            raise UsageError(
                f"not a path in the repository: '{text}'",
                hint="give a path relative to the top of the repository",
            )
        paths.append(path)
    return tuple(dict.fromkeys(paths))


def find_missing_guard(paths: Iterable[str], commit: str, repo: GitRepo) -> str:
    """Return the first path that is neither a file nor a directory of a commit, or ''."""
    files = repo.tree_entries(commit) if commit else {}
    known = {parent for file in files for parent in path_and_parents(file)}
    return next((path for path in paths if os.fsencode(path) not in known), "")


def missing_guard_error(path: str) -> NoSuchPath:
    """Return the error for a guarded path that the base branch does not have."""
    return NoSuchPath(
        f"no such path in the base branch: '{path}'",
        hint="name a tracked file or directory with --guard <path>",
    )


def describe_guarded(paths: Sequence[str]) -> str:
    """Return the remark about guarded paths that an agent changed, or ''."""
    names = ", ".join(f"'{path}'" for path in paths)
    return f"changed guarded path{'' if len(paths) == 1 else 's'} {names}" if paths else ""


class Holdout(NamedTuple):
    """The directory with the holdout files, and their paths."""

    directory: str = ""
    """An absolute path, or '' without holdout files."""
    paths: tuple[bytes, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The paths as text."""
        return tuple(os.fsdecode(path) for path in self.paths)


def holdout_directory(session: Session, project: Project) -> str:
    """Return the directory of the session or the setting, or ''."""
    return session.config.holdout or project.settings.value(HOLDOUT)
