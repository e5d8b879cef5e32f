"""What became of a session's worktrees and branches, in the three forms of an answer."""

from __future__ import annotations

from shlex import quote

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.cli.view import Record, TerminalStyle, make_record
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
    """A report as JSON."""
    return {
        "session_id": report.session,
        "removed": [_removed_fields(removed) for removed in report.removed],
        "saved": [
            {
                "ref": saved.ref,
                "kind": saved.kind,
                "path": outcome.path,
                "branch": short_name(outcome.branch),
            }
            for outcome in report.outcomes
            for saved in outcome.saved
        ],
        "kept": [_kept_fields(kept) for kept in report.kept],
        "archived": [
            {"branch": short_name(step.branch), "tag": short_name(step.tag), "oid": step.oid}
            for step in report.branches.archived
        ],
        "branches_kept": [
            {"branch": short_name(left.branch), "reason": left.reason}
            for left in report.branches.skipped
        ],
        "notes": list(report.notes),
    }


def report_records(report: CleanupReport) -> list[Record]:
    """A report as porcelain: a record for each outcome."""
    document = report_fields(report)
    return [
        [("session", report.session), ("outcome", kind), *make_record(entry)]
        for kind in ("removed", "saved", "kept", "archived", "branches_kept")
        for entry in document[kind]
    ]


def report_warnings(report: CleanupReport) -> list[str]:
    """What a report has to say besides, for standard error."""
    return [f"warning: {escape_control(note)}" for note in report.notes]


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
    """A report as text."""
    out = []
    saved_word = "Would save" if dry_run else "Saved"
    # A branch can be checked out once; those that were deleted cannot.
    taken = {step.branch for step in report.branches.archived}
    for outcome in report.outcomes:
        for saved in outcome.saved:
            what = "uncommitted work" if saved.kind == "work" else "unreferenced commits"
            out.append(
                f"{saved_word} {what} of {escape_control(short_name(outcome.branch))} in {escape_control(saved.ref)}"
            )
            if not dry_run and outcome in report.removed:
                branch = "" if outcome.branch in taken else outcome.branch
                out.append(f"  bring it back: {_restore_command(saved, outcome.path, branch)}")
                taken |= {outcome.branch} if saved.kind == "work" else set()
    for removed in report.removed:
        gone = " (its directory was missing)" if removed.missing else ""
        out.append(
            f"{'Would remove' if dry_run else 'Removed'} worktree: {escape_control(removed.path)}{gone}"
        )
    out += _kept_worktrees(report, style)
    for step in report.branches.archived:
        word = "Would archive" if dry_run else "Archived"
        out.append(
            f"{word} branch: {escape_control(short_name(step.branch))} as tag {escape_control(short_name(step.tag))}"
        )
    out += _kept_branches(report, style)
    count = len(report.removed)
    done = "Would clean up" if dry_run else "Cleaned up"
    out.append(f"{done} {count} worktree{'' if count == 1 else 's'} for session {report.session}")
    return out


def kept_lines(report: CleanupReport, style: TerminalStyle) -> list[str]:
    """What had to stay, and why: that is told even with -q."""
    return _kept_worktrees(report, style) + _kept_branches(report, style)


def _kept_worktrees(report: CleanupReport, style: TerminalStyle) -> list[str]:
    out = []
    for kept in report.kept:
        out.append(f"{style.paint('Kept worktree:', 'red')} {escape_control(kept.path)}")
        out.append(f"  {escape_control(kept.reason.message)}")
        if kept.reason.hint:
            out += [
                f"  hint: {escape_control(line)}" for line in kept.reason.hint.strip().splitlines()
            ]
    return out


def _kept_branches(report: CleanupReport, style: TerminalStyle) -> list[str]:
    return [
        f"{style.paint('Kept branch:', 'red')} {escape_control(short_name(left.branch))}: {escape_control(left.reason)}"
        for left in report.branches.skipped
    ]


def _restore_command(saved: SavedWork, path: str, branch: str) -> str:
    """What to type to get saved work back, in a shell; `branch` is '' where it was deleted."""
    if saved.kind == "commits":
        return f"git branch <name> {saved.ref}"
    where = quote(path) if escape_control(path) == path else quote_ansi_c(path)
    if saved.on_branch and branch:
        add = f"git worktree add {where} {quote(short_name(branch))}"
    else:
        add = f"git worktree add --detach {where} {saved.ref}^"
    return f"{add} && git -C {where} stash apply --index {saved.ref}"
