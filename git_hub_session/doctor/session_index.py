"""The refs and the worktrees of a snapshot by session.

A check of one session reads only the refs and the worktrees of that session. If each check read all
of them, the time would grow with the square of the number of sessions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.git.ref_names import ALL_TAGS, SessionId
from git_hub_session.session.attempts import group_by_session

if TYPE_CHECKING:
    from git_hub_session.git.repository import Branch
    from git_hub_session.git.worktrees import Worktree


class ListedRefs(NamedTuple):
    """The refs of all sessions, as in the snapshot."""

    branches: Sequence[Branch] = ()
    tags: Mapping[str, str] = {}
    archives: Mapping[str, str] = {}
    rescues: Sequence[str] = ()


class SessionIndex:
    """The refs and the worktrees of each session. They are grouped at the first call."""

    def __init__(
        self,
        refs: ListedRefs,
        ref_files: Sequence[str],
        worktrees: Sequence[Worktree],
        owners: Mapping[str, SessionId],
    ) -> None:
        """Index what a snapshot has read.

        Args:
            ref_files: the files of refs and of their locks.
            owners: the session of each worktree, by git dir.
        """
        self._refs = refs
        self._ref_files = ref_files
        self._all_worktrees = worktrees
        self._owners = owners

    def branches(self, sid: SessionId) -> list[Branch]:
        """Return the branches of a session."""
        return [self._branches[ref] for ref in self._names.get(sid, ()) if ref in self._branches]

    def archive_tags(self, sid: SessionId) -> dict[str, str]:
        """Return the archive tags of a session with the commits that they point to, or ''."""
        return {ref: oid for ref, oid in self.archived(sid).items() if ref.startswith(ALL_TAGS)}

    def archived(self, sid: SessionId) -> dict[str, str]:
        """Return the archive tags and the archive refs of a session with their commits, or ''."""
        return {
            ref: self._archived[ref] for ref in self._names.get(sid, ()) if ref in self._archived
        }

    def refs(self, sid: SessionId) -> list[str]:
        """Return all listed refs of a session."""
        return self._names.get(sid, [])

    def ref_files(self, sid: SessionId) -> list[str]:
        """Return the files of the refs of a session and of their locks."""
        return self._files.get(sid, [])

    def worktrees(self, sid: SessionId) -> list[Worktree]:
        """Return the worktrees of a session."""
        return self._worktrees.get(sid, [])

    @cached_property
    def recorded_paths(self) -> frozenset[str]:
        """The paths of all worktrees."""
        return frozenset(worktree.path for worktree in self._all_worktrees)

    @cached_property
    def _branches(self) -> dict[str, Branch]:
        return {branch.ref: branch for branch in self._refs.branches}

    @cached_property
    def _archived(self) -> dict[str, str]:
        return {**self._refs.tags, **self._refs.archives}

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        return group_by_session([*self._branches, *self._archived, *self._refs.rescues])

    @cached_property
    def _files(self) -> dict[str, list[str]]:
        return group_by_session(self._ref_files)

    @cached_property
    def _worktrees(self) -> dict[SessionId, list[Worktree]]:
        groups: dict[SessionId, list[Worktree]] = {}
        for worktree in self._all_worktrees:
            owner = self._owners.get(worktree.git_dir)
            if owner is not None:
                groups.setdefault(owner, []).append(worktree)
        return groups
