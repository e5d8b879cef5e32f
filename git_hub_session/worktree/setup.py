"""Prepare a new worktree: copy ignored files into it and run the user's setup command.

.worktreeinclude lists the ignored files, and hubsession.setup is the command.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import GitFailed
from git_hub_session.system.copy import copy_files
from git_hub_session.system.processes import Task, TaskCallbacks, TaskResult
from git_hub_session.system.tree import path_and_parents
from git_hub_session.util.paths import is_inside

if TYPE_CHECKING:
    from git_hub_session.git.command import GitAt
    from git_hub_session.session.project import Project

_INCLUDE_FILE = ".worktreeinclude"
_NONE_IS_IGNORED = 1  # the exit status of `git check-ignore`
_MAX_OUTPUT = 4096  # bytes of the setup command's output; the last ones are kept


class WorktreeSetup:
    """The preparation of new worktrees that are created at one commit."""

    def __init__(self, project: Project, base: str) -> None:
        """Find the files to copy and the setup command for the commit `base`.

        Raises GitFailed.
        """
        self._copies = _plan_copies(project, base)
        self._command = ["", *project.config_values("hubsession.setup")][-1]
        self._project = project

    def apply(self, path: str, environ: Mapping[str, str]) -> str:
        """Prepare the worktree at `path`. Return an error message, or ''.

        `environ` is the environment of the setup command.
        """
        try:
            copy_files(self._copies.top, path, self._copies.paths)
        except OSError as error:
            return f"cannot copy '{error.filename}': {error.strerror}"
        if not self._command:
            return ""
        task = Task(("/bin/sh", "-c", self._command), path, environ)
        return _run_setup_command(task, self._project)


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
    return f"hubsession.setup failed with exit code {status}: {last_lines}"


class _Copies(NamedTuple):
    """Files to copy into each new worktree."""

    top: str
    """The main worktree."""
    paths: list[bytes]
    """Relative to `top`."""


def _plan_copies(project: Project, base: str) -> _Copies:
    """Find the files of the main worktree that .worktreeinclude selects. Raises GitFailed.

    The patterns have the syntax of .gitignore. Select only ignored files. Skip the files
    of the hub and of other repositories, and the files that the commit `base` tracks.
    """
    paths = project.paths
    top = paths.main_worktree
    include_file = os.path.join(top, _INCLUDE_FILE)
    if not top or os.path.islink(include_file) or not os.path.isfile(include_file):
        return _Copies(top, [])
    git = project.git.at(paths.common_dir, top)
    command = ["ls-files", "-z", "--others", "--ignored", f"--exclude-from={include_file}"]
    listed = git.run(command).split(b"\0")[:-1]
    selected = [
        path
        for path in listed
        if not path.endswith(b"/")  # another repository
        and not is_inside(os.path.join(top, os.fsdecode(path)), paths.hub)
    ]
    ignored = _filter_ignored(selected, git)
    if not ignored:
        return _Copies(top, [])
    # A sparse checkout leaves out tracked files, so compare with the commit, not with the disk.
    tracked = project.repo.tree_entries(base).keys()
    return _Copies(top, [path for path in ignored if tracked.isdisjoint(path_and_parents(path))])


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
