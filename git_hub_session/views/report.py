"""What became of a session's worktrees and branches, in the three forms of an answer."""

from __future__ import annotations

from shlex import quote

from git_hub_session.escape import ansi_c, visible
from git_hub_session.refnames import short
from git_hub_session.typed import TYPE_CHECKING, Any
from git_hub_session.views.view import Record, Style, record

if TYPE_CHECKING:
    from git_hub_session.operations.report import Kept, Removed, Report, Saved


def report_document(report: Report) -> dict[str, Any]:
    """A report as JSON."""
    return {
        "session_id": report.session,
        "removed": [_removed(removed) for removed in report.removed],
        "saved": [
            {
                "ref": saved.ref,
                "kind": saved.kind,
                "path": outcome.path,
                "branch": short(outcome.branch),
            }
            for outcome in report.outcomes
            for saved in outcome.saved
        ],
        "kept": [_kept(kept) for kept in report.kept],
        "archived": [
            {"branch": short(step.branch), "tag": short(step.tag), "oid": step.oid}
            for step in report.branches.archived
        ],
        "branches_kept": [
            {"branch": short(left.branch), "reason": left.reason} for left in report.branches.left
        ],
        "notes": list(report.notes),
    }


def report_records(report: Report) -> list[Record]:
    """A report as porcelain: a record for each outcome."""
    document = report_document(report)
    return [
        [("session", report.session), ("outcome", kind), *record(entry)]
        for kind in ("removed", "saved", "kept", "archived", "branches_kept")
        for entry in document[kind]
    ]


def report_faults(report: Report) -> list[str]:
    """What a report has to say besides, for standard error."""
    return [f"warning: {visible(note)}" for note in report.notes]


def _removed(removed: Removed) -> dict[str, Any]:
    return {"path": removed.path, "branch": short(removed.branch), "missing": removed.missing}


def _kept(kept: Kept) -> dict[str, Any]:
    reason = kept.reason
    return {
        "path": kept.path,
        "branch": short(kept.branch),
        "code": reason.code,
        "reason": reason.message,
        "hint": reason.hint,
    }


def report_lines(report: Report, style: Style, *, dry_run: bool) -> list[str]:
    """A report as text."""
    out = []
    saved_word = "Would save" if dry_run else "Saved"
    # A branch can be checked out once; those that were deleted cannot.
    taken = {step.branch for step in report.branches.archived}
    for outcome in report.outcomes:
        for saved in outcome.saved:
            what = "uncommitted work" if saved.kind == "work" else "unreferenced commits"
            out.append(
                f"{saved_word} {what} of {visible(short(outcome.branch))} in {visible(saved.ref)}"
            )
            if not dry_run and outcome in report.removed:
                branch = "" if outcome.branch in taken else outcome.branch
                out.append(f"  bring it back: {_bring_back(saved, outcome.path, branch)}")
                taken |= {outcome.branch} if saved.kind == "work" else set()
    for removed in report.removed:
        gone = " (its directory was missing)" if removed.missing else ""
        out.append(
            f"{'Would remove' if dry_run else 'Removed'} worktree: {visible(removed.path)}{gone}"
        )
    out += _kept_worktrees(report, style)
    for step in report.branches.archived:
        word = "Would archive" if dry_run else "Archived"
        out.append(
            f"{word} branch: {visible(short(step.branch))} as tag {visible(short(step.tag))}"
        )
    out += _kept_branches(report, style)
    count = len(report.removed)
    done = "Would clean up" if dry_run else "Cleaned up"
    out.append(f"{done} {count} worktree{'' if count == 1 else 's'} for session {report.session}")
    return out


def kept_lines(report: Report, style: Style) -> list[str]:
    """What had to stay, and why: that is told even with -q."""
    return _kept_worktrees(report, style) + _kept_branches(report, style)


def _kept_worktrees(report: Report, style: Style) -> list[str]:
    out = []
    for kept in report.kept:
        out.append(f"{style.paint('Kept worktree:', 'red')} {visible(kept.path)}")
        out.append(f"  {visible(kept.reason.message)}")
        if kept.reason.hint:
            out += [f"  hint: {visible(line)}" for line in kept.reason.hint.strip().splitlines()]
    return out


def _kept_branches(report: Report, style: Style) -> list[str]:
    return [
        f"{style.paint('Kept branch:', 'red')} {visible(short(left.branch))}: {visible(left.reason)}"
        for left in report.branches.left
    ]


def _bring_back(saved: Saved, path: str, branch: str) -> str:
    """What to type to get saved work back, in a shell; `branch` is '' where it was deleted."""
    if saved.kind == "commits":
        return f"git branch <name> {saved.ref}"
    where = quote(path) if visible(path) == path else ansi_c(path)
    if saved.on_branch and branch:
        add = f"git worktree add {where} {quote(short(branch))}"
    else:
        add = f"git worktree add --detach {where} {saved.ref}^"
    return f"{add} && git -C {where} stash apply --index {saved.ref}"
