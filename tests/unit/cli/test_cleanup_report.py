"""The error about worktrees that a command kept."""

from __future__ import annotations

from git_hub_session.cleanup.archive_branches import ArchivePlan
from git_hub_session.cleanup.report import CleanupReport, KeptWorktree
from git_hub_session.cli.cleanup_report import ReportOutput
from git_hub_session.git.ref_names import parse_session_id
from git_hub_session.worktree.reason import Reason


def test_two_kept_worktrees_of_one_branch_are_both_named() -> None:
    """`git worktree add --force` checks a branch out twice."""
    branch = "refs/heads/hub/s1/agent-1/attempt-1"
    kept = (
        KeptWorktree("/a", branch, Reason("locked", "it is locked", "git worktree unlock /a")),
        KeptWorktree("/b", branch, Reason("in-use", "in use by process 5", "kill 5")),
    )
    report = CleanupReport(parse_session_id("s1"), (), kept, ArchivePlan((), ()))
    error = ReportOutput(report, "/", {}, dry_run=False).kept_error("agent-1 is merged")
    assert error.message == (
        "agent-1 is merged, but agent-1 was kept in a: it is locked;"
        " agent-1 was kept in b: in use by process 5"
    )
    assert error.hint == "git worktree unlock /a\nkill 5"
