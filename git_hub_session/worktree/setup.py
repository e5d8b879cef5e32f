"""Prepare a new worktree: copy ignored files into it and run the user's setup command.

.worktreeinclude lists the ignored files, and hubsession.setup is the command.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from fnmatch import fnmatchcase

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import GitFailed
from git_hub_session.session.approvals import refuse_unapproved
from git_hub_session.settings.table import KEEP_IGNORED, SETUP
from git_hub_session.system.copy import copy_files
from git_hub_session.system.io import own_permissions
from git_hub_session.system.tasks import Task, TaskCallbacks, TaskResult
from git_hub_session.system.tree import path_and_parents, read_file_or_link
from git_hub_session.util.databases import companions_of
from git_hub_session.util.paths import is_inside

if TYPE_CHECKING:
    from git_hub_session.git.command import GitAt
    from git_hub_session.session.project import Project

_INCLUDE_FILE = ".worktreeinclude"
_NONE_IS_IGNORED = 1  # the exit status of `git check-ignore`
_MAX_OUTPUT = 4096  # bytes of the setup command's output; the last ones are kept


class WorktreeSetup:
    """The preparation of new worktrees."""

    def __init__(
        self,
        project: Project,
        command: str = "",
        on_wait: Callable[[], float | None] = lambda: None,
    ) -> None:
        """Find the files to copy. Raise GitFailed if git cannot list the ignored files.

        Args:
            command: the setup command (read_setup_command), or ''.
            on_wait: called while the command runs. It returns the seconds until the next call.
        """
        self.command = command
        self.on_wait = on_wait
        self._project = project
        self._ignored = find_included_files(project)

    def apply(self, path: str, commit: str, environ: Mapping[str, str]) -> str:
        """Prepare the worktree of `commit` at `path`. Return an error message, or ''.

        `environ` is the environment of the setup command.
        """
        failure = self.copy(path, commit)
        if failure or not self.command:
            return failure
        task = Task(("/bin/sh", "-c", self.command), path, environ)
        return _run_setup_command(task, self._project, self.on_wait)

    def copy(self, path: str, commit: str, patterns: Sequence[str] = ("*",)) -> str:
        """Copy the files that the worktree at `path` does not have. Return an error, or ''.

        Args:
            patterns: copy only the files that match one of these patterns.
        """
        source = self._project.paths.main_worktree
        files = self._files_to_copy(commit)
        selected = select_paths(files, patterns, source)
        try:
            copy_files(source, path, [file for file in files if file in selected])
        except OSError as error:
            return f"cannot copy '{error.filename}': {error.strerror}"
        return ""

    def _files_to_copy(self, commit: str) -> list[bytes]:
        """Return the paths without those that the commit tracks."""
        if not self._ignored:
            return []
        # A sparse checkout leaves out tracked files, so compare with the commit, not with the disk.
        tracked = self._project.repo.tree_entries(commit).keys()
        return [path for path in self._ignored if tracked.isdisjoint(path_and_parents(path))]


def _run_setup_command(task: Task, project: Project, on_wait: Callable[[], float | None]) -> str:
    """Run the setup command, and end the rest of its process group. Return an error, or ''.

    A server in another session goes on: the command may start one for the worktree.
    """
    output = bytearray()
    results = []

    def on_output(_index: int, data: bytes, _is_error: bool) -> None:
        output.extend(data)
        del output[:-_MAX_OUTPUT]

    def on_end(_index: int, result: TaskResult) -> None:
        results.append(result)

    callbacks = TaskCallbacks(lambda _index: None, on_output, on_end, on_wait=on_wait)
    project.run_tasks([task], callbacks, jobs=1)
    status = results[0].status
    if not status:
        return ""
    last_lines = "; ".join(os.fsdecode(bytes(output)).strip().splitlines()[-3:])
    error = f"hubsession.setup failed with exit code {status}"
    return f"{error}: {last_lines}" if last_lines else error


class IncludedFiles(NamedTuple):
    """The files of the main worktree that .worktreeinclude selects."""

    top: str = ""
    paths: frozenset[bytes] = frozenset()

    def has_copy(self, directory: str, path: bytes, file: os.stat_result) -> bool:
        """Return True if the file at `path` in the directory equals that of the main worktree."""
        if path not in self.paths:
            return False
        try:
            source = os.path.join(os.fsencode(self.top), path)
            original = os.lstat(source)
            mode = own_permissions(source, original.st_mode)
            if (mode, original.st_size) != (file.st_mode, file.st_size):
                return False
            contents = [read_file_or_link(top, path, file.st_mode) for top in (self.top, directory)]
        except OSError:
            return False
        return contents[0] == contents[1]


def read_setup_command(project: Project) -> str:
    """Return the command in hubsession.setup, or ''. Raise Refused if it is not approved."""
    refuse_unapproved(SETUP, project)
    return project.settings.value(SETUP)


def read_keep_ignored(project: Project) -> tuple[str, ...]:
    """Return the patterns of ignored files that are saved, from hubsession.keepIgnored."""
    return tuple(" ".join(project.settings.values(KEEP_IGNORED)).split())


def select_paths(paths: Collection[bytes], patterns: Sequence[str], top: str) -> set[bytes]:
    """Return the paths below `top` that match a pattern, and those that such links lead to."""
    matching = {path for path in paths if _matches_pattern(path, patterns)}
    for path in sorted(matching):
        matching.update(_follow_link(path, os.fsencode(top)))
    return matching.intersection(paths)


def _follow_link(path: bytes, top: bytes) -> list[bytes]:
    """Return the links below `top` that the path consists of, and the path that they lead to.

    Ignore the part of the way that is outside of `top`.
    """
    found: list[bytes] = []
    current, names = b"", path.split(b"/")
    while names:
        name = names.pop(0)
        current = os.path.normpath(os.path.join(current, name))
        full = os.path.join(top, current)
        if current == b".." or os.path.isabs(current):
            return found
        if not os.path.islink(full):
            continue
        if current in found:
            return found  # a loop
        found.append(current)
        target = os.readlink(full)
        current = os.path.dirname(current)
        if os.path.isabs(target):
            current, target = b"", os.path.relpath(target, os.path.realpath(top))
        names = [*target.split(b"/"), *names]
    return [*found, current]


def _matches_pattern(path: bytes, patterns: Sequence[str]) -> bool:
    """Return True if the path matches a pattern with a slash, or its name one without a slash.

    Ignore the case: DATA.DB is a database too.
    """
    text = os.fsdecode(path).lower()
    name = text.rpartition("/")[2]
    return any(
        fnmatchcase(text if "/" in pattern else name, pattern.lower()) for pattern in patterns
    )


def find_included_files(project: Project) -> list[bytes]:
    """Return the files of the main worktree that .worktreeinclude selects. Raise GitFailed.

    The patterns have the syntax of .gitignore. Select only ignored files, and the ignored logs of
    selected databases. Skip the files of the hub and of other repositories.
    """
    paths = project.paths
    top = paths.main_worktree
    include_file = os.path.join(top, _INCLUDE_FILE)
    if not top or os.path.islink(include_file) or not os.path.isfile(include_file):
        return []
    git = project.git.at(paths.common_dir, top)
    command = ["ls-files", "-z", "--others", "--ignored", f"--exclude-from={include_file}"]
    listed = git.run(command).split(b"\0")[:-1]
    selected = [
        path
        for path in listed
        if not path.endswith(b"/")  # another repository
        and not is_inside(os.path.join(top, os.fsdecode(path)), paths.hub)
    ]
    known = set(selected)
    companions = [
        companion
        for path in selected
        for companion in companions_of(path)
        if companion not in known and os.path.isfile(os.path.join(os.fsencode(top), companion))
    ]
    return _filter_ignored([*selected, *companions], git)


def _filter_ignored(paths: list[bytes], git: GitAt) -> list[bytes]:
    """Return the paths that git ignores in the main worktree."""
    if not paths:
        return []
    command = ["check-ignore", "-z", "--stdin"]
    stdin = b"\0".join(paths) + b"\0"
    try:
        output = git.run(command, stdin=stdin)
    except GitFailed as error:
        if error.status != _NONE_IS_IGNORED:
            raise
        return []
    return output.split(b"\0")[:-1]
