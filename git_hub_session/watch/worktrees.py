"""Read the linked worktrees and count their uncommitted files, with little processor time.

git's files tell if HEAD, the index or the branch of a worktree has changed. Nothing tells that a
file of the worktree has changed: only a scan of the directory finds that. The scans share a budget
of processor time. The worktrees that have changed, and those with running processes, come first.
"""

from __future__ import annotations

import os
from collections.abc import Container, Sequence
from time import monotonic

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.git.worktrees import (
    Worktree,
    read_worktree,
    without_copies,
    worktree_git_dir,
    worktree_names,
)
from git_hub_session.system.procfs import NO_PROCESSES
from git_hub_session.watch.cache import Cache, Stamp, read_stamp
from git_hub_session.worktree.status import WorktreeStatus, read_worktree_status

if TYPE_CHECKING:
    from git_hub_session.session.project import Project

_SHARE = 0.05
"""The part of one processor that the scans may use."""
_FIRST_SHARE = 0.5
"""The same part until each worktree has been scanned once."""
_MAX_CREDIT = 0.5  # seconds
_ACTIVE_AGE = 2.0  # seconds after which a worktree with running processes is scanned again
_IDLE_AGE = 30.0  # the same for other worktrees
_STAMPED_FILES = ("", "HEAD", "index", "gitdir", "locked")
"""The files in the git dir of a worktree whose stamps count. '' is the git dir itself."""


class WorktreeReader:
    """The linked worktrees of a repository, of which only the changed ones are read again."""

    def __init__(self, common_dir: str) -> None:
        self._common_dir = common_dir
        self._worktrees: Cache[Worktree] = Cache()
        self._paths: dict[str, str] = {}

    def read(self) -> list[Worktree]:
        """Return all linked worktrees as they are now."""
        names = worktree_names(self._common_dir)
        self._worktrees.keep_only(names)
        worktrees = [self._read_one(name) for name in names]
        self._paths = {worktree.git_dir: worktree.path for worktree in worktrees}
        return without_copies(worktrees)

    def _read_one(self, name: str) -> Worktree:
        git_dir = worktree_git_dir(self._common_dir, name)
        stamp = self._stamp(git_dir)
        return self._worktrees.get(name, stamp, lambda: read_worktree(name, git_dir))

    def _stamp(self, git_dir: str) -> tuple[Stamp, ...]:
        path = self._paths.get(git_dir, "")
        # The modification time of the directory changes with each new file. Only its inode counts.
        directory = read_stamp(path)[:1] if path else ()
        stamps = (read_stamp(os.path.join(git_dir, name)) for name in _STAMPED_FILES)
        return (directory, read_stamp(os.path.join(path, ".git")) if path else (), *stamps)


class OwnedWorktree(NamedTuple):
    """A worktree of a session."""

    worktree: Worktree
    branch: str
    """The full ref of the branch that it belongs to."""
    tip: str
    """The commit of the branch, or ''."""


class _Scan(NamedTuple):
    key: OwnedWorktree
    time: float
    status: WorktreeStatus


class ChangeScanner:
    """The uncommitted files of worktrees, scanned again within a budget."""

    def __init__(self) -> None:
        self._scans: dict[str, _Scan] = {}
        self._credit = 1.0
        self._last = monotonic()
        self.scan_count = 0
        """The number of scans."""

    def scan(
        self, worktrees: Sequence[OwnedWorktree], active: Container[str], project: Project
    ) -> dict[str, WorktreeStatus]:
        """Return the status of each worktree by its git dir, without its processes.

        A worktree that was never scanned has unknown numbers of files.

        Args:
            active: the git dirs of the worktrees in which processes run.
        """
        known = {owned.worktree.git_dir for owned in worktrees}
        self._scans = {key: scan for key, scan in self._scans.items() if key in known}
        self._add_credit(is_complete=len(self._scans) == len(known))
        for owned in sorted(worktrees, key=lambda owned: self._priority(owned, active)):
            if self._credit <= 0:
                break
            if self._is_due(owned, active):
                self._scan_one(owned, project)
        return {owned.worktree.git_dir: self._status(owned) for owned in worktrees}

    def _add_credit(self, *, is_complete: bool) -> None:
        now = monotonic()
        share = _SHARE if is_complete else _FIRST_SHARE
        self._credit = min(self._credit + share * (now - self._last), _MAX_CREDIT)
        self._last = now

    def _priority(self, owned: OwnedWorktree, active: Container[str]) -> tuple[bool, bool, float]:
        scan = self._scans.get(owned.worktree.git_dir)
        is_unchanged = scan is not None and scan.key == owned
        return is_unchanged, owned.worktree.git_dir not in active, scan.time if scan else 0.0

    def _is_due(self, owned: OwnedWorktree, active: Container[str]) -> bool:
        scan = self._scans.get(owned.worktree.git_dir)
        if scan is None or scan.key != owned:
            return True
        age = _ACTIVE_AGE if owned.worktree.git_dir in active else _IDLE_AGE
        return monotonic() - scan.time >= age

    def _scan_one(self, owned: OwnedWorktree, project: Project) -> None:
        start = monotonic()
        status = read_worktree_status(owned.worktree, owned.branch, project, NO_PROCESSES)
        end = monotonic()
        self._credit -= end - start
        self.scan_count += 1
        self._scans[owned.worktree.git_dir] = _Scan(owned, end, status)

    def _status(self, owned: OwnedWorktree) -> WorktreeStatus:
        scan = self._scans.get(owned.worktree.git_dir)
        if scan is None or scan.key.branch != owned.branch:
            return WorktreeStatus(owned.worktree, owned.branch, None, None, ())
        return scan.status._replace(worktree=owned.worktree)
