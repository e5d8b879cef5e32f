"""The lines of a cleanup, and the error about worktrees that a command kept."""

from __future__ import annotations

from git_hub_session.cleanup.archive_branches import ArchivePlan, SkippedBranch
from git_hub_session.cleanup.report import CleanupReport, KeptWorktree, RemovedWorktree
from git_hub_session.cli.cleanup_report import ReportOutput
from git_hub_session.cli.view import TerminalStyle
from git_hub_session.git.ref_names import parse_session_id
from git_hub_session.worktree.reason import Reason

STYLE = TerminalStyle(None, False, "->", "...", "-")


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


def test_attempts_of_an_agent_share_a_line() -> None:
    """The line and the reasons name the attempts. Other agents are named without an attempt."""
    branches = [
        f"refs/heads/hub/s1/agent-{name}" for name in ("1/attempt-1", "1/attempt-2", "2/attempt-1")
    ]
    removed = tuple(
        RemovedWorktree(f"/w/{number}", branches[number], (), False) for number in (0, 2)
    )
    kept = (KeptWorktree("/w/1", branches[1], Reason("locked", "locked", "")),)
    plan = ArchivePlan((), (SkippedBranch(branches[1], "checked out in a worktree"),))
    report = CleanupReport(parse_session_id("s1"), removed, kept, plan)
    report = report._replace(unchanged_branches=(branches[0], branches[2]))
    assert ReportOutput(report, "/", {}, dry_run=False).lines(STYLE) == [
        (
            "agent-1: attempt-1 removed w/0, kept its branch, attempt-2 kept w/1,"
            " kept branch: checked out in a worktree"
        ),
        "  attempt-2: locked",
        "agent-2: removed w/2, kept its branch",
        "Cleaned up 2 worktrees for session s1",
    ]
