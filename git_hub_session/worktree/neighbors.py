"""The other worktrees, the processes and the mounts.

They decide if a worktree can be removed. A dry run reads them once for all sessions. Reading 1,000
worktrees takes 60 ms, and resolving the symbolic links in their paths takes another 60 ms.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Container, Iterable, Iterator, Sequence
from functools import cached_property

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.worktrees import Worktree, linked_worktrees
from git_hub_session.system import procfs
from git_hub_session.worktree.branches_in_use import branches_by_worktree

if TYPE_CHECKING:
    from git_hub_session.session.project import Project


class Neighbors:
    """The other worktrees, the processes and the mounts; each is read on first use."""

    def __init__(self, project: Project, worktrees: Sequence[Worktree] | None = None) -> None:
        """Use `worktrees`, a list of all linked worktrees, or read it on first use."""
        self._project = project
        self._worktrees = worktrees

    def read(self) -> None:
        """Read all of them now, once for all forked processes."""
        _ = self.worktrees, self.processes, self.mounts, self._protected_paths

    @cached_property
    def worktrees(self) -> Sequence[Worktree]:
        """All linked worktrees of the repository."""
        if self._worktrees is not None:
            return self._worktrees
        return linked_worktrees(self._project.paths.common_dir)

    @cached_property
    def processes(self) -> procfs.ProcessList:
        """The processes whose current directory is known."""
        return procfs.processes(mapped_files=True)

    @cached_property
    def mounts(self) -> Sequence[str]:
        """The mount points of the system."""
        return procfs.mount_points()

    @cached_property
    def caller_directory(self) -> str:
        """The real path of the directory in which this command was called."""
        return os.path.realpath(self._project.cwd)

    @cached_property
    def _branches(self) -> dict[str, set[str]]:
        return branches_by_worktree(self._project.paths, self.worktrees)

    def branches_in_use(self, removed: Container[str]) -> set[str]:
        """Return the full refs that worktrees have in use. Skip the git dirs in `removed`."""
        kept = (refs for git_dir, refs in self._branches.items() if git_dir not in removed)
        return set().union(*kept)

    @cached_property
    def _protected_paths(self) -> list[tuple[str, int, str]]:
        """The sorted paths that a removal must keep, each with its rank and its git dir.

        A path is a real path with a final '/', so that the paths in a directory follow each other.
        The rank is the order in which `inside` returns the paths. The git dir is '' for the main
        worktree, the repository and the hub.
        """
        repository = self._project.paths
        sound = {worktree.path for worktree in self.worktrees if not worktree.link_error}
        # A damaged git dir can record the directory of a sound worktree. It protects nothing then.
        paths = [
            (worktree.git_dir, worktree.path)
            for worktree in self.worktrees
            if not (worktree.link_error and worktree.path in sound)
        ]
        paths += [
            ("", path) for path in (repository.main_worktree, repository.common_dir, repository.hub)
        ]
        named = [(git_dir, path) for git_dir, path in paths if path]
        real = _real_paths(path for _, path in named)
        ranked = enumerate(zip(named, real, strict=True))
        return sorted(
            (f"{path.rstrip('/')}/", rank, git_dir) for rank, ((git_dir, _), path) in ranked
        )

    def inside(self, top: str, git_dir: str) -> tuple[str, ...]:
        """Return the paths in the directory `top` that a removal must keep.

        The linked worktrees come first, then the main worktree, the repository and the hub.

        Args:
            top: a real path.
            git_dir: the git dir of the worktree at `top`, which is not returned.
        """
        prefix = f"{top.rstrip('/')}/"
        inside = []
        for index in range(
            bisect_left(self._protected_paths, (prefix,)), len(self._protected_paths)
        ):
            path, rank, other = self._protected_paths[index]
            if not path.startswith(prefix):
                break
            if other != git_dir:
                inside.append((rank, path.rstrip("/")))
        return tuple(path for _, path in sorted(inside))


def _real_paths(paths: Iterable[str]) -> Iterator[str]:
    """Yield the paths without symbolic links. Each parent directory is resolved once."""
    parents: dict[str, str] = {}
    for path in paths:
        parent, name = os.path.split(path)
        if name in ("", ".", "..") or os.path.islink(path):
            yield os.path.realpath(path)
            continue
        if parent not in parents:
            parents[parent] = os.path.realpath(parent)
        yield os.path.join(parents[parent], name)
