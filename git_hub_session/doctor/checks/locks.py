"""Checks of git's lock files.

A git that was killed leaves its lock file behind. The file does not name the process, so a lock
file counts as stale if it is old and no git process is running.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.doctor.finding import Finding, Problem, check
from git_hub_session.system import procfs
from git_hub_session.util.shell import quote_word

if TYPE_CHECKING:
    from git_hub_session.doctor.snapshot import HubSnapshot

STALE_SECONDS = 600
"""The age of a stale lock file. A git command that does not wait holds no lock for so long."""

_LOCK_FILES = (
    *("index.lock", "HEAD.lock", "ORIG_HEAD.lock"),
    *("packed-refs.lock", "packed-refs.new", "config.lock"),
)


def lock_findings(hub: HubSnapshot) -> Iterator[Finding]:
    """Check the lock files of the repository and of the sessions' refs, unless git is running."""
    paths = hub.project.paths
    directories = [
        paths.main_worktree or paths.common_dir,
        *(worktree.path for worktree in hub.worktrees),
    ]
    pids = [
        pid
        for directory in directories
        for pid in procfs.processes_in(directory, hub.read_processes())
    ]
    # git may hold a lock for hours while it waits for an editor.
    if hub.locked_sessions or any(procfs.process_name(pid).startswith("git") for pid in pids):
        return
    yield from check_lock_files(paths.common_dir, hub)
    ref_locks = [path for path in hub.ref_files if path.endswith(".lock")]
    yield from check_lock_files(paths.common_dir, hub, ref_locks)


@check("git-lock-left", "a git process that was killed left a lock file")
def check_lock_files(
    directory: str, hub: HubSnapshot, names: Sequence[str] = _LOCK_FILES
) -> Iterator[Problem]:
    """Check the lock files `names` in a git dir."""
    for name in names:
        path = os.path.join(directory, name)
        try:
            age = hub.now - os.lstat(path).st_mtime
        except OSError:
            continue
        if age > STALE_SECONDS:
            evidence = "git created it, and no git process is running there"
            yield Problem(path, evidence, advice=f"rm {quote_word(path)}")
