"""What a cleanup did, or would do, as a value."""

from __future__ import annotations

from git_hub_session._typing import NamedTuple
from git_hub_session.cleanup.archive_branches import ArchivePlan
from git_hub_session.git.ref_names import SessionId, parse_agent_branch
from git_hub_session.worktree.reason import Reason


class SavedWork(NamedTuple):
    """Work that a rescue ref keeps: 'work' is a stash, 'commits' a commit nobody else led to."""

    ref: str
    kind: str
    on_branch: bool = True
    """Whether it was made on the tip of the worktree's branch, not on a detached HEAD."""

    def __str__(self) -> str:
        return f"{self.kind} {'on-branch' if self.on_branch else 'detached'} {self.ref}"

    @classmethod
    def parse(cls, text: str) -> SavedWork:
        """What str() made of it."""
        kind, where, ref = text.split(" ", 2)
        return cls(ref, kind, where == "on-branch")


class RemovedWorktree(NamedTuple):
    """A worktree that is gone (or would be), and what was saved of it."""

    path: str
    branch: str
    saved: tuple[SavedWork, ...]
    missing: bool
    """Whether its directory was missing already, and only the entry was left."""


class KeptWorktree(NamedTuple):
    """A worktree that stays, and why; what was saved before that showed is named too."""

    path: str
    branch: str
    reason: Reason
    saved: tuple[SavedWork, ...] = ()


class CleanupReport(NamedTuple):
    """What a cleanup did, or would do."""

    session: SessionId
    removed: tuple[RemovedWorktree, ...]
    kept: tuple[KeptWorktree, ...]
    branches: ArchivePlan
    notes: tuple[str, ...] = ()
    failed: bool = False
    """Whether something could not be done at all; a note says what and why."""

    @property
    def outcomes(self) -> tuple[RemovedWorktree | KeptWorktree, ...]:
        """What became of each worktree."""
        outcomes: list[RemovedWorktree | KeptWorktree] = [*self.removed, *self.kept]
        return tuple(outcomes)

    @property
    def is_finished(self) -> bool:
        """Whether no worktree and no agent's branch had to stay; other branches are nobody's to end."""
        left = [one for one in self.branches.skipped if parse_agent_branch(one.branch) is not None]
        return not (self.failed or self.kept or left)

    @property
    def is_complete(self) -> bool:
        """Whether nothing that was asked for was left undone."""
        return not self.failed and not self.kept and not self.branches.skipped


def empty_report(sid: SessionId) -> CleanupReport:
    """Of a session of which nothing was removed, saved, kept or archived."""
    return CleanupReport(sid, (), (), ArchivePlan((), ()))
