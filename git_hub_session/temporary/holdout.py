"""Find and store the holdout files: files that only measured worktrees get.

They are copied from a directory before the first command runs. A measured worktree gets them before
each run of the eval command, in the place of any file of the attempt.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import NoSuchPath, Refused
from git_hub_session.session.guarded import Holdout, holdout_directory
from git_hub_session.system.stored_files import StoredFiles
from git_hub_session.util.paths import is_inside
from git_hub_session.worktree.setup import find_included_files

if TYPE_CHECKING:
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project

_MAX_FILES = 10_000
_GIT = b".git"


def store_holdout(holdout: Holdout, scratch: str) -> StoredFiles:
    """Return copies of the files. Raise Refused if a file cannot be read.

    Args:
        scratch: a directory on the file system for the copies.
    """
    stored = StoredFiles.create_in(scratch)
    try:
        stored.add(holdout.directory, holdout.paths)
    except OSError as error:
        stored.close()
        raise Refused(f"cannot read '{holdout.directory}': {error.strerror}") from None
    return stored


def choose_holdout(session: Session, project: Project, given: str | None) -> Holdout:
    """Return the holdout files of the option, the session or the setting.

    Args:
        given: the directory of the option --holdout, or None without the option.

    Raises:
        Refused: the directory is missing, has no files, or the agents would see its files.
    """
    if given is not None:
        return read_holdout(given, project)
    directory = holdout_directory(session, project)
    if not directory:
        return Holdout()
    top = project.paths.main_worktree or project.paths.common_dir
    return read_holdout(os.path.join(top, os.path.expanduser(directory)), project)


def read_holdout(directory: str, project: Project) -> Holdout:
    """Return the holdout files in a directory. Raise HubError, as choose_holdout.

    Args:
        directory: a path, relative to the current directory.
    """
    real = os.path.realpath(os.path.join(project.cwd, directory))
    if not os.path.isdir(real):
        raise NoSuchPath(
            f"no such directory: '{directory}'", hint="name another one with --holdout"
        )
    _refuse_visible(real, project)
    paths = []
    for path in _files_below(real, b""):
        paths.append(path)
        if len(paths) > _MAX_FILES:
            raise Refused(f"'{directory}' has more than {_MAX_FILES:,} files")
    if not paths:
        raise Refused(f"'{directory}' has no files", hint="name another one with --holdout")
    return Holdout(real, tuple(sorted(paths)))


def _refuse_visible(directory: str, project: Project) -> None:
    """Raise Refused if the agents would see one of the files, or if the repository is in it."""
    paths = project.paths
    for inner in filter(None, (paths.main_worktree, paths.common_dir)):
        if is_inside(os.path.realpath(inner), directory):
            raise Refused(f"the repository is in '{directory}'", hint="name another directory")
    top = os.path.realpath(paths.main_worktree) if paths.main_worktree else ""
    if not is_inside(directory, top):
        return
    git = project.git.at(paths.common_dir, paths.main_worktree)
    tracked = git.run(
        ["--literal-pathspecs", "ls-files", "-z", "--", os.path.relpath(directory, top)]
    )
    if tracked:
        name = os.fsdecode(tracked.split(b"\0")[0])
        raise Refused(
            f"git tracks '{name}': the agents would see it",
            hint="move the directory out of the repository, and commit its removal",
        )
    for included in find_included_files(project):
        if is_inside(os.path.join(top, os.fsdecode(included)), directory):
            raise Refused(
                f".worktreeinclude copies '{os.fsdecode(included)}': the agents would see it",
                hint="leave it out of .worktreeinclude",
            )


def _files_below(top: str, prefix: bytes) -> Iterator[bytes]:
    """Yield the files and links below a directory, relative to it. Skip repositories' git dirs.

    Raise Refused for a link that leads out of the directory, and for a directory that cannot be read.
    """
    directory = os.path.join(os.fsencode(top), prefix)
    try:
        with os.scandir(directory) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise Refused(f"cannot read '{os.fsdecode(directory)}': {error.strerror}") from None
    for entry in found:
        path = os.path.join(prefix, entry.name)
        if entry.name.lower() == _GIT:
            continue
        if entry.is_symlink():
            _refuse_link_out(top, path)
            yield path
        elif entry.is_dir(follow_symlinks=False):
            yield from _files_below(top, path)
        elif entry.is_file(follow_symlinks=False):
            yield path


def _refuse_link_out(top: str, path: bytes) -> None:
    link = os.path.join(os.fsencode(top), path)
    is_absolute = os.readlink(link).startswith(b"/")
    if is_absolute or not is_inside(os.fsdecode(os.path.realpath(link)), top):
        name = os.fsdecode(link)
        raise Refused(
            f"'{name}' points outside the holdout directory", hint="replace it with a file"
        )
