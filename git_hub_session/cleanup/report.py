"""The result of a cleanup or of its dry run."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.cleanup.archive_branches import ArchivePlan
from git_hub_session.git.ref_names import SessionId, parse_agent_branch

if TYPE_CHECKING:
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.worktree.reason import Reason


class SavedWork(NamedTuple):
    """Saved work and its rescue ref."""

    ref: str
    kind: str
    """'work' for a stash, 'commits' for a commit that no other ref contained."""
    on_branch: bool = True
    """True if HEAD was on the worktree's branch, False if it was detached."""

    def __str__(self) -> str:
        return f"{self.kind} {'on-branch' if self.on_branch else 'detached'} {self.ref}"

    @classmethod
    def parse(cls, text: str) -> SavedWork:
        """Parse the result of str()."""
        kind, head, ref = text.split(" ", 2)
        return cls(ref, kind, head == "on-branch")


class RemovedWorktree(NamedTuple):
    """A removed worktree and its saved work."""

    path: str
    branch: str
    saved: tuple[SavedWork, ...]
    missing: bool
    """True if its directory was missing before the cleanup."""


class KeptWorktree(NamedTuple):
    """A kept worktree, the reason, and the work that was saved before the reason was found."""

    path: str
    branch: str
    reason: Reason
    saved: tuple[SavedWork, ...] = ()


class CleanupReport(NamedTuple):
    """The removed and kept worktrees and the archived branches of one session."""

    session: SessionId
    removed: tuple[RemovedWorktree, ...]
    kept: tuple[KeptWorktree, ...]
    branches: ArchivePlan
    notes: tuple[str, ...] = ()
    """Warnings."""
    failed: bool = False
    """True if a step failed as a whole. A warning in `notes` names it."""
    unchanged_branches: tuple[str, ...] = ()
    """The branches (full refs) that with_unchanged_branches() has added."""

    @property
    def outcomes(self) -> tuple[RemovedWorktree | KeptWorktree, ...]:
        """The removed worktrees, then the kept ones."""
        return (*self.removed, *self.kept)

    def with_unchanged_branches(self, repo: GitRepo, *others: str) -> CleanupReport:
        """Return the report with the unchanged branches of removed worktrees, and `others`."""
        changed = {archived.branch for archived in self.branches.archived}
        changed |= {skipped.branch for skipped in self.branches.skipped}
        refs = dict.fromkeys((*(removed.branch for removed in self.removed), *others))
        unchanged = (ref for ref in refs if ref not in changed and repo.find_ref_target(ref))
        return self._replace(unchanged_branches=tuple(unchanged))

    @property
    def is_finished(self) -> bool:
        """True if no worktree and no agent's branch was kept. Other branches do not count."""
        skipped = [skip for skip in self.branches.skipped if parse_agent_branch(skip.branch)]
        return not (self.failed or self.kept or skipped)

    @property
    def is_complete(self) -> bool:
        """True if everything that the user asked for was done."""
        return not self.failed and not self.kept and not self.branches.skipped


def empty_report(sid: SessionId) -> CleanupReport:
    """Return the report of a session without changes."""
    return CleanupReport(sid, (), (), ArchivePlan((), ()))
