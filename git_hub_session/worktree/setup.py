"""Prepare a new worktree: copy ignored files into it and run the user's setup command.

.worktreeinclude lists the ignored files, and hubsession.setup is the command.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import GitFailed
from git_hub_session.system.copy import copy_files
from git_hub_session.system.tasks import Task, TaskCallbacks, TaskResult
from git_hub_session.system.tree import path_and_parents
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

    def __init__(self, project: Project) -> None:
        """Find the files to copy and the setup command.

        Raise GitFailed if git cannot list the ignored files.
        """
        self.command = ["", *project.config_values("hubsession.setup")][-1]
        """The setup command, or ''."""
        self._project = project
        self._ignored = find_included_files(project)

    def apply(self, path: str, commit: str, environ: Mapping[str, str]) -> str:
        """Prepare the worktree of `commit` at `path`. Return an error message, or ''.

        `environ` is the environment of the setup command.
        """
        top = self._project.paths.main_worktree
        try:
            copy_files(top, path, self._files_to_copy(commit))
        except OSError as error:
            return f"cannot copy '{error.filename}': {error.strerror}"
        if not self.command:
            return ""
        task = Task(("/bin/sh", "-c", self.command), path, environ)
        return _run_setup_command(task, self._project)

    def _files_to_copy(self, commit: str) -> list[bytes]:
        """Return the paths without those that the commit tracks."""
        if not self._ignored:
            return []
        # A sparse checkout leaves out tracked files, so compare with the commit, not with the disk.
        tracked = self._project.repo.tree_entries(commit).keys()
        return [path for path in self._ignored if tracked.isdisjoint(path_and_parents(path))]


def _run_setup_command(task: Task, project: Project) -> str:
    """Run the setup command, and end the processes that it leaves. Return an error, or ''."""
    output = bytearray()
    results = []

    def on_output(_index: int, data: bytes, _is_error: bool) -> None:
        output.extend(data)
        del output[:-_MAX_OUTPUT]

    def on_end(_index: int, result: TaskResult) -> None:
        results.append(result)

    callbacks = TaskCallbacks(lambda _index: None, on_output, on_end, lambda _index: ())
    project.run_tasks([task], callbacks, jobs=1)
    status = results[0].status
    if not status:
        return ""
    last_lines = "; ".join(os.fsdecode(bytes(output)).strip().splitlines()[-3:])
    error = f"hubsession.setup failed with exit code {status}"
    return f"{error}: {last_lines}" if last_lines else error


def find_included_files(project: Project) -> list[bytes]:
    """Return the files of the main worktree that .worktreeinclude selects. Raises GitFailed.

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
