"""What a new worktree gets besides what is committed.

Those are the ignored files that .worktreeinclude lists, and what the user's own command
(hubsession.setup) makes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from git_hub_session.errors import GitFailed
from git_hub_session.session.project import Project
from git_hub_session.system.copy import copy_files
from git_hub_session.system.processes import Task, TaskCallbacks, TaskResult
from git_hub_session.system.tree import path_and_parents
from git_hub_session.util.paths import is_inside

_INCLUDE_FILE = ".worktreeinclude"
_NONE_IS_IGNORED = 1  # what `git check-ignore` then exits with
_MOST_SAID = 4096  # bytes: of what the command printed, the last ones


class WorktreeSetup:
    """What worktrees of one commit get."""

    def __init__(self, project: Project, base: str) -> None:
        """Settle now what it is, for the commit `base`; raises GitFailed."""
        self._copy = _plan_copies(project, base)
        self._setup = ["", *project.config_values("hubsession.setup")][-1]
        self._scene = project

    def apply(self, path: str, environ: Mapping[str, str]) -> str:
        """Give it to the worktree at `path`; why that cannot be, or ''. `environ` is what the command is told."""
        try:
            self._copy(path)
        except OSError as fault:
            return f"cannot copy '{fault.filename}': {fault.strerror}"
        if not self._setup:
            return ""
        task = Task(("/bin/sh", "-c", self._setup), path, environ)
        return _run_setup_command(task, self._scene)


def _run_setup_command(task: Task, project: Project) -> str:
    """Run the user's command, to its last process; what it says if it fails, or ''."""
    said, ended = bytearray(), []

    def heard(_at: int, data: bytes, _is_error: bool) -> None:
        said.extend(data)
        del said[:-_MOST_SAID]

    def ending(_at: int, how: TaskResult) -> None:
        ended.append(how)

    callbacks = TaskCallbacks(lambda _at: None, heard, ending, lambda _at: ())
    project.run_tasks([task], callbacks, jobs=1)
    if not ended[0].status:
        return ""
    last = "; ".join(os.fsdecode(bytes(said)).strip().splitlines()[-3:])
    return f"hubsession.setup failed with exit code {ended[0].status}: {last}"


def _plan_copies(project: Project, base: str) -> Callable[[str], None]:
    """A function that copies the files into the worktree at a path; git says now which they are.

    They are the files of the main worktree that git ignores and whose paths a pattern in its
    .worktreeinclude matches (the syntax of .gitignore); never what lies in the hub or in
    another repository, or what the commit `base` tracks. Raises GitFailed.
    """
    place, git = project.paths, project.git
    top = place.main_worktree
    listing = os.path.join(top, _INCLUDE_FILE)
    if not top or os.path.islink(listing) or not os.path.isfile(listing):
        return lambda _path: None
    where = {"GIT_DIR": place.common_dir, "GIT_WORK_TREE": top}
    named = ["ls-files", "-z", "--others", "--ignored", f"--exclude-from={listing}"]
    listed = git.run(named, environ=where, cwd=top).split(b"\0")[:-1]
    wanted = [
        path
        for path in listed
        if not path.endswith(b"/")  # another repository
        and not is_inside(os.path.join(top, os.fsdecode(path)), place.hub)
    ]
    paths: list[bytes] = []
    if wanted:
        try:
            question = b"\0".join(wanted) + b"\0"
            command = ["check-ignore", "-z", "--stdin"]
            paths = git.run(command, stdin=question, environ=where, cwd=top).split(b"\0")[:-1]
        except GitFailed as fault:
            if fault.status != _NONE_IS_IGNORED:
                raise
    if paths:
        # Not all of what is tracked is there to be in the way: a sparse checkout leaves it out.
        tracked = project.repo.tree_entries(base)
        paths = [path for path in paths if tracked.keys().isdisjoint(path_and_parents(path))]
    return lambda path: copy_files(top, path, paths)
