"""A CleanupReport as text, as JSON and as porcelain."""

from __future__ import annotations

from shlex import quote

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.cli.view import Record, TerminalStyle, make_record, warning_lines
from git_hub_session.git.ref_names import short_name
from git_hub_session.util.text import escape_control, quote_ansi_c

if TYPE_CHECKING:
    from git_hub_session.cleanup.report import (
        CleanupReport,
        KeptWorktree,
        RemovedWorktree,
        SavedWork,
    )


def report_fields(report: CleanupReport) -> dict[str, Any]:
    """Return the fields of a report."""
    return {
        "session_id": report.session,
        "removed": [_removed_fields(removed) for removed in report.removed],
        "saved": [
            {
                "ref": saved.ref,
                "kind": saved.kind,
                "path": worktree.path,
                "branch": short_name(worktree.branch),
            }
            for worktree in report.outcomes
            for saved in worktree.saved
        ],
        "kept": [_kept_fields(kept) for kept in report.kept],
        "archived": [
            {
                "branch": short_name(archived.branch),
                "tag": short_name(archived.tag),
                "oid": archived.oid,
            }
            for archived in report.branches.archived
        ],
        "branches_kept": [
            {"branch": short_name(skipped.branch), "reason": skipped.reason}
            for skipped in report.branches.skipped
        ],
        "notes": list(report.notes),
    }


def report_records(report: CleanupReport) -> list[Record]:
    """Return the porcelain records of a report: one for each worktree, rescue ref and branch."""
    fields = report_fields(report)
    return [
        [("session", report.session), ("outcome", outcome), *make_record(record)]
        for outcome in ("removed", "saved", "kept", "archived", "branches_kept")
        for record in fields[outcome]
    ]


def report_warnings(report: CleanupReport) -> list[str]:
    """Return the warnings of a report, for standard error."""
    return warning_lines(report.notes)


def _removed_fields(removed: RemovedWorktree) -> dict[str, Any]:
    return {"path": removed.path, "branch": short_name(removed.branch), "missing": removed.missing}


def _kept_fields(kept: KeptWorktree) -> dict[str, Any]:
    reason = kept.reason
    return {
        "path": kept.path,
        "branch": short_name(kept.branch),
        "code": reason.code,
        "reason": reason.message,
        "hint": reason.hint,
    }


def report_lines(report: CleanupReport, style: TerminalStyle, *, dry_run: bool) -> list[str]:
    """Return a report as lines of text."""
    count = len(report.removed)
    cleaned_up = "Would clean up" if dry_run else "Cleaned up"
    return [
        *_saved_lines(report, dry_run=dry_run),
        *_removed_lines(report, dry_run=dry_run),
        *_kept_worktrees(report, style),
        *_archived_lines(report, dry_run=dry_run),
        *_kept_branches(report, style),
        f"{cleaned_up} {count} worktree{'' if count == 1 else 's'} for session {report.session}",
    ]


def kept_lines(report: CleanupReport, style: TerminalStyle) -> list[str]:
    """Return the lines of kept worktrees and branches. Print them even with -q."""
    return _kept_worktrees(report, style) + _kept_branches(report, style)


def _saved_lines(report: CleanupReport, *, dry_run: bool) -> list[str]:
    out = []
    verb = "Would save" if dry_run else "Saved"
    # The branches that a printed command cannot check out. An archived branch was deleted, and git
    # checks a branch out only once.
    unavailable = {archived.branch for archived in report.branches.archived}
    for worktree in report.outcomes:
        branch_name = escape_control(short_name(worktree.branch))
        for saved in worktree.saved:
            work = "uncommitted work" if saved.kind == "work" else "unreferenced commits"
            out.append(f"{verb} {work} of {branch_name} in {escape_control(saved.ref)}")
            if not dry_run and worktree in report.removed:
                branch = "" if worktree.branch in unavailable else worktree.branch
                out.append(f"  bring it back: {_restore_command(saved, worktree.path, branch)}")
                unavailable |= {worktree.branch} if saved.kind == "work" else set()
    return out


def _removed_lines(report: CleanupReport, *, dry_run: bool) -> list[str]:
    verb = "Would remove" if dry_run else "Removed"
    out = []
    for removed in report.removed:
        remark = " (its directory was missing)" if removed.missing else ""
        out.append(f"{verb} worktree: {escape_control(removed.path)}{remark}")
    return out


def _archived_lines(report: CleanupReport, *, dry_run: bool) -> list[str]:
    verb = "Would archive" if dry_run else "Archived"
    out = []
    for archived in report.branches.archived:
        branch = escape_control(short_name(archived.branch))
        tag = escape_control(short_name(archived.tag))
        out.append(f"{verb} branch: {branch} as tag {tag}")
    return out


def _kept_worktrees(report: CleanupReport, style: TerminalStyle) -> list[str]:
    out = []
    for kept in report.kept:
        hints = kept.reason.hint.strip().splitlines()
        out.append(f"{style.paint('Kept worktree:', 'red')} {escape_control(kept.path)}")
        out.append(f"  {escape_control(kept.reason.message)}")
        out += [f"  hint: {escape_control(line)}" for line in hints]
    return out


def _kept_branches(report: CleanupReport, style: TerminalStyle) -> list[str]:
    out = []
    for skipped in report.branches.skipped:
        branch = escape_control(short_name(skipped.branch))
        label = style.paint("Kept branch:", "red")
        out.append(f"{label} {branch}: {escape_control(skipped.reason)}")
    return out


def _restore_command(saved: SavedWork, path: str, branch: str) -> str:
    """Return the shell command that restores saved work.

    Args:
        branch: the full ref of the branch to check out, or '' if it cannot be checked out.
    """
    if saved.kind == "commits":
        return f"git branch <name> {saved.ref}"
    directory = quote_path(path)
    if saved.on_branch and branch:
        add = f"git worktree add {directory} {quote(short_name(branch))}"
    else:
        add = f"git worktree add --detach {directory} {saved.ref}^"
    return f"{add} && git -C {directory} stash apply --index {saved.ref}"


def quote_path(path: str) -> str:
    """Quote a path for a shell. Use ANSI C quotes if it contains control characters."""
    return quote(path) if escape_control(path) == path else quote_ansi_c(path)
