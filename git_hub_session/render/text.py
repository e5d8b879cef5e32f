"""Answers for people: one function a view."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from git_hub_session.clock import age, age_of
from git_hub_session.gitconfig import is_true
from git_hub_session.refnames import short, within_session
from git_hub_session.render.escape import fitted, padded, visible, width
from git_hub_session.views import (
    CleanupView,
    DemoView,
    InitView,
    ListView,
    LogView,
    StatusView,
    UpdateView,
    bring_back,
    relative,
)

if TYPE_CHECKING:
    from git_hub_session.operations.cleanup import Report
    from git_hub_session.operations.survey import BranchFacts, WorktreeFacts
    from git_hub_session.views import View

_COLORS = {"bold": "1", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}
_STATE_COLORS = {
    "init": "cyan",
    "running": "yellow",
    "evaluating": "blue",
    "merged": "green",
    "archived": "bold",
    "broken": "red",
}


_LEAST_OF_A_COMMIT = 30  # columns: its age and the start of its subject


class Style(NamedTuple):
    """What the place that we write to can do; `columns` is None where lines need not fit."""

    columns: int | None
    color: bool
    arrow: str
    ellipsis: str

    def paint(self, text: str, color: str) -> str:
        return f"\x1b[{_COLORS[color]}m{text}\x1b[m" if self.color else text

    def fit(self, text: str, used: int) -> str:
        """`text` cut to what is left of a line after `used` columns; never to less than ten."""
        return (
            text
            if self.columns is None
            else fitted(text, max(self.columns - used, 10), self.ellipsis)
        )


class Answer(NamedTuple):
    """Lines for standard output, and lines for standard error."""

    out: Sequence[str]
    err: Sequence[str] = ()


def style_of(color: str, stream: TextIO | None, environ: Mapping[str, str]) -> Style:
    """The style for `stream`; git's rules for colour, and NO_COLOR."""
    terminal = stream is not None and not stream.closed and stream.isatty()
    paged = is_true(environ.get("GIT_PAGER_IN_USE"))
    wanted = color in ("always", "") or (
        color == "auto"
        and (terminal or paged)
        and not environ.get("NO_COLOR")
        and environ.get("TERM", "dumb") != "dumb"
    )
    columns = _columns(stream, environ) if terminal and stream is not None else None
    arrow, ellipsis = ("→", "…") if _is_unicode(stream, environ) else ("->", "...")
    return Style(columns, wanted, arrow, ellipsis)


def _columns(stream: TextIO, environ: Mapping[str, str]) -> int | None:
    named = environ.get("COLUMNS", "")
    if named.isascii() and named.isdigit() and 0 < int(named) < 10000:
        return int(named)
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None


def _is_unicode(stream: TextIO | None, environ: Mapping[str, str]) -> bool:
    """Whether the locale is one of Unicode.

    The stream does not tell: under LC_ALL=C Python writes UTF-8 all the same, and says
    LC_CTYPE=C.UTF-8 where nothing was said (PEP 538, PEP 540).
    """
    spoken = environ.get("LC_CTYPE", "")
    if sys.flags.utf8_mode and spoken.startswith("C."):
        spoken = ""
    locale = environ.get("LC_ALL") or spoken or environ.get("LANG", "")
    encoding = (stream.encoding if stream else None) or "ascii"
    return all("utf8" in name.lower().replace("-", "") for name in (locale, encoding))


def as_text(view: View, style: Style, *, quiet: bool) -> tuple[str, str]:
    """What goes to standard output and to standard error."""
    answer = _SHOWN[type(view)](view, style, quiet)
    return _lines(answer.out), _lines(answer.err)


def _lines(lines: Sequence[str]) -> str:
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _list(view: ListView, style: Style, quiet: bool) -> Answer:
    err = [
        f"error: session '{visible(session.session_id)}': {visible(session.reason)}"
        for session in view.sessions
        if session.reason is not None
    ]
    if not view.sessions:
        return Answer(
            [], [] if quiet else ["no sessions; 'git hub-session init --task <text>' makes one"]
        )
    rows = [("SESSION ID", "STATE", "AGENTS", "UPDATED", "TASK")]
    rows += [
        (
            visible(session.session_id),
            session.state,
            str(session.agents or "?"),
            age_of(session.updated, view.now),
            visible(session.task),
        )
        for session in view.sessions
    ]
    widths = [max(width(row[at]) for row in rows) for at in range(4)]
    out = []
    for number, row in enumerate(rows):
        cells = [padded(cell, columns) for cell, columns in zip(row, widths, strict=False)]
        if number:
            cells[1] = style.paint(cells[1], _STATE_COLORS[row[1]])
        out.append("  ".join([*cells, style.fit(row[4], sum(widths) + 8)]))
    return Answer(out, err)


def _status(view: StatusView, style: Style, _quiet: bool) -> Answer:
    session = view.survey.session
    config = session.config
    out = [f"Session: {session.id}"]
    out.append(f"  State: {style.paint(str(session.state), _STATE_COLORS[str(session.state)])}")
    first, *more = config.task.split("\n")
    out.append(f"  Task: {visible(first)}")
    out += [f"        {visible(line)}" for line in more]
    out.append(f"  Agents: {config.agent_count or '?'}")
    out.append(f"  Base branch: {visible(config.base_branch) or '?'}")
    if config.get("eval_cmd"):
        out.append(f"  Eval: {visible(config.get('eval_cmd'))}")
    if config.get("metric"):
        out.append(
            f"  Metric: {visible(config.get('metric'))} ({visible(config.get('direction')) or '?'})"
        )
    if config.get("baseline"):
        out.append(f"  Baseline: {visible(config.get('baseline'))}")
    out.append(f"  Created: {_moment(session.created, view.now)}")
    out.append(f"  Updated: {_moment(session.updated, view.now)}")
    return Answer(out + _branches(view, style))


def _moment(text: str, now: float) -> str:
    return f"{visible(text)} ({age_of(text, now)})" if text else "?"


def _branch_rows(view: StatusView) -> list[tuple[str, ...]]:
    """The cells of each branch: mark, name, ahead, behind, files, lines, worktrees, last commit."""
    survey = view.survey
    worktrees: dict[str, list[WorktreeFacts]] = {}
    for found in survey.worktrees:
        worktrees.setdefault(found.branch, []).append(found)
    rows: list[tuple[str, ...]] = []
    for facts in survey.branches:
        ref = facts.branch.ref
        own = [_describe(found, view.here) for found in worktrees.pop(ref, [])]
        rows.append(
            (
                "*" if facts.frontier else "",
                visible(within_session(survey.session.id, ref)),
                *_counts(facts),
                "; ".join(own) or "-",
                _last_commit(facts, view.now),
            )
        )
    for ref, left in worktrees.items():  # on a branch that is not there: unborn, or deleted
        own = [_describe(found, view.here) for found in left]
        name = visible(within_session(survey.session.id, ref))
        rows.append(("", name, "?", "?", "?", "?", "; ".join(own), "no commit"))
    return rows


def _branches(view: StatusView, style: Style) -> list[str]:
    rows = _branch_rows(view)
    if not rows:
        return []
    rows.insert(0, ("", "BRANCH", "AHEAD", "BEHIND", "FILES", "+/-", "WORKTREE", "LAST COMMIT"))
    widths = [max(width(row[at]) for row in rows) for at in range(7)]
    used = 4 + sum(widths[1:]) + 2 * 6
    # Where a line has no room for all, the worktrees get lines of their own.
    folded = style.columns is not None and style.columns < used + _LEAST_OF_A_COMMIT
    if folded:
        used -= widths[6] + 2
    out = ["", "  Branches:"]
    for row in rows:
        mark = style.paint("*", "green") if row[0] else " "
        cells = [padded(row[1], widths[1])]
        cells += [" " * (widths[at] - width(row[at])) + row[at] for at in (2, 3, 4)]
        cells.append(padded(row[5], widths[5]))
        if not folded:
            cells.append(padded(row[6], widths[6]))
        out.append(f"  {mark} {'  '.join(cells)}  {style.fit(row[7], used)}")
        if folded and row[6] not in ("-", "WORKTREE"):
            out.append(f"      {row[6]}")
    return out


def _counts(facts: BranchFacts) -> tuple[str, str, str, str]:
    diff = facts.diff
    return (
        "?" if facts.ahead is None else str(facts.ahead),
        "?" if facts.behind is None else str(facts.behind),
        str(diff.files) if diff else "?",
        f"+{diff.insertions}/-{diff.deletions}" if diff else "?",
    )


def _last_commit(facts: BranchFacts, now: float) -> str:
    if not facts.branch.oid:
        return "broken ref"
    return f"{age(now - facts.branch.time)}: {visible(facts.branch.subject)}"


def _describe(found: WorktreeFacts, here: str) -> str:
    """A worktree's path, and in brackets what one has to know before one touches it."""
    worktree = found.worktree
    flags = []
    if found.changed:
        flags.append(f"{found.changed} changed")
    if found.untracked:
        flags.append(f"{found.untracked} untracked")
    if worktree.missing:
        flags.append("missing")
    if worktree.fault:
        flags.append(visible(worktree.fault))
    if worktree.operation:
        flags.append(_ING[worktree.operation])
    if worktree.lock is not None:
        flags.append(f"locked: {visible(worktree.lock)}" if worktree.lock else "locked")
    if found.users:
        flags.append(f"in use by process {', '.join(map(str, found.users))}")
    path = visible(relative(worktree.path, here)) or "?"
    return f"{path} ({', '.join(flags)})" if flags else path


_ING = {
    "rebase": "rebasing",
    "merge": "merging",
    "bisect": "bisecting",
    "cherry-pick": "cherry-picking",
    "revert": "reverting",
}


def _init(view: InitView, _style: Style, quiet: bool) -> Answer:
    if quiet:
        return Answer([view.session])
    config = view.config
    would = "Would initialize" if view.dry_run else "Initialized"
    out = [f"{would} session {view.session} in {visible(view.directory)}"]
    first, *more = config.task.split("\n")
    out.append(f"  Task: {visible(first)}")
    out += [f"        {visible(line)}" for line in more]
    out.append(f"  Agents: {config.agent_count}")
    out.append(f"  Base branch: {visible(config.base_branch)}")
    if config.get("eval_cmd"):
        out.append(f"  Eval: {visible(config.get('eval_cmd'))}")
    if config.get("metric"):
        out.append(f"  Metric: {visible(config.get('metric'))} ({config.get('direction')})")
    if config.get("baseline"):
        out.append(f"  Baseline: {config.get('baseline')}")
    out.append("  State: init")
    return Answer(out)


def _update(view: UpdateView, style: Style, quiet: bool) -> Answer:
    would = "Would update session" if view.dry_run else "Session"
    line = f"{would} {view.session}: {view.source} {style.arrow} {view.target}"
    return Answer([] if quiet else [line])


def _log(view: LogView, style: Style, quiet: bool) -> Answer:
    out = []
    for step in view.history:
        change = f"{visible(step.source)} {style.arrow} {visible(step.target)}"
        out.append(f"{visible(step.at)}  {change}  ({age_of(step.at, view.now)})")
        out.append(f"    by {visible(step.by)}, {visible(step.verb)}")
        out += [f"    {visible(line)}" for line in step.reason.splitlines()]
    err = [] if out or quiet else [f"no history is recorded for session '{view.session}'"]
    return Answer(out, err)


def _cleanup(view: CleanupView, style: Style, quiet: bool) -> Answer:
    out: list[str] = []
    err: list[str] = []
    for report in view.reports:
        out += _report(report, style, dry_run=view.dry_run)
        err += [f"warning: {visible(note)}" for note in report.notes]
    if not view.reports and not quiet:
        err.append("no session to clean up")
    return Answer([] if quiet else out, err)


def _report(report: Report, style: Style, *, dry_run: bool) -> list[str]:
    out = []
    saved_word = "Would save" if dry_run else "Saved"
    deleted = {step.branch for step in report.branches.archived}
    for outcome in report.outcomes:
        for saved in outcome.saved:
            what = "uncommitted work" if saved.kind == "work" else "unreferenced commits"
            out.append(
                f"{saved_word} {what} of {visible(short(outcome.branch))} in {visible(saved.ref)}"
            )
            if not dry_run and outcome in report.removed:
                branch = "" if outcome.branch in deleted else outcome.branch
                out.append(f"  bring it back: {visible(bring_back(saved, outcome.path, branch))}")
    for removed in report.removed:
        gone = " (its directory was missing)" if removed.missing else ""
        out.append(
            f"{'Would remove' if dry_run else 'Removed'} worktree: {visible(removed.path)}{gone}"
        )
    for kept in report.kept:
        out.append(f"{style.paint('Kept worktree:', 'red')} {visible(kept.path)}")
        out.append(f"  {visible(kept.reason.message)}")
        if kept.reason.hint:
            out += [f"  hint: {visible(line)}" for line in kept.reason.hint.strip().splitlines()]
    for step in report.branches.archived:
        word = "Would archive" if dry_run else "Archived"
        out.append(
            f"{word} branch: {visible(short(step.branch))} as tag {visible(short(step.tag))}"
        )
    for left in report.branches.left:
        out.append(
            f"{style.paint('Kept branch:', 'red')} {visible(short(left.branch))}: {visible(left.reason)}"
        )
    count = len(report.removed)
    done = "Would clean up" if dry_run else "Cleaned up"
    out.append(f"{done} {count} worktree{'' if count == 1 else 's'} for session {report.session}")
    return out


def _demo(_view: DemoView, _style: Style, _quiet: bool) -> Answer:
    return Answer([])


_SHOWN: dict[type, Callable[[Any, Style, bool], Answer]] = {
    ListView: _list,
    StatusView: _status,
    InitView: _init,
    UpdateView: _update,
    LogView: _log,
    CleanupView: _cleanup,
    DemoView: _demo,
}
