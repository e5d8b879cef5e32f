"""Checks of worktrees on a branch of a missing session or of another session."""

from __future__ import annotations

from collections.abc import Iterator

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.doctor.finding import Finding, Problem, check
from git_hub_session.git.ref_names import AgentBranch, SessionId, parse_agent_branch
from git_hub_session.session.create import bring_back_command
from git_hub_session.worktree.off_branch import off_branch_command, off_branch_reason
from git_hub_session.worktree.owner import WorktreeIndex, foreign_worktrees

if TYPE_CHECKING:
    from git_hub_session.doctor.snapshot import HubSnapshot
    from git_hub_session.git.worktrees import Worktree

off_branch = check("worktree-off-branch", "commits in the worktree are on no branch of its agent")


@check("worktree-of-no-session", "a worktree of a session that does not exist")
def check_orphan_worktree(
    worktree: Worktree, sid: SessionId, hub: HubSnapshot
) -> Iterator[Problem]:
    evidence = f"session '{sid}' does not exist"
    yield Problem(worktree.path, evidence, advice=bring_back_command(sid, hub.project))


def foreign_attempts(hub: HubSnapshot) -> dict[str, AgentBranch]:
    """Return the recorded attempts whose worktree has a branch of another session, by git dir."""
    index = WorktreeIndex(hub.worktrees)
    found = {}
    for session in hub.readable_sessions():
        for worktree, ref in foreign_worktrees(session, hub.project, index):
            attempt = parse_agent_branch(ref)
            if attempt is not None:
                found[worktree.git_dir] = attempt
    return found


def foreign_findings(worktree: Worktree, attempt: AgentBranch) -> Iterator[Finding]:
    """Yield that the worktree of the attempt has a branch of another session checked out."""
    for finding in _check_foreign_branch(worktree, attempt):
        yield finding._replace(session=attempt.session, git_dir=worktree.git_dir)


@off_branch
def _check_foreign_branch(worktree: Worktree, attempt: AgentBranch) -> Iterator[Problem]:
    reason = off_branch_reason(worktree, attempt.ref)
    yield Problem(worktree.path, reason, advice=off_branch_command(worktree, attempt))
