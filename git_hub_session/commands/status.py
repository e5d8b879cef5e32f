"""git hub-session status: what a session is for, and where it stands."""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.board.board import Board
from git_hub_session.board.posts import Post
from git_hub_session.cli.context import Context
from git_hub_session.cli.options import FORMAT, QUIET, Arguments, Usage
from git_hub_session.cli.view import (
    STATE_COLORS,
    Record,
    TerminalStyle,
    TextOutput,
    make_record,
    metric_lines,
    relative_path,
    task_lines,
)
from git_hub_session.commands._post import post_fields, post_summary
from git_hub_session.errors import Damaged
from git_hub_session.git.ref_names import SessionId, short_name
from git_hub_session.session.model import CONFIG_KEYS
from git_hub_session.system import procfs
from git_hub_session.util.clock import format_age, format_age_since
from git_hub_session.util.text import display_width, escape_control, pad
from git_hub_session.worktree.status import read_session_status

if TYPE_CHECKING:
    from git_hub_session.worktree.status import BranchStatus, SessionStatus, WorktreeStatus


_POSTS = 3

USAGE = Usage(("status [<options>] [<id>]",), (QUIET, *FORMAT), max_arguments=1)


def run(context: Context, args: Arguments) -> StatusView:
    """The session that was named, else the current one, else the newest that is not finished."""
    sid = context.find_session(args.argument)
    session = context.project.store.read(sid)
    found = read_session_status(session, context.project, procfs.processes())
    posts, faults = _read_posts(context, sid)
    return StatusView(found, posts, context.project.cwd, context.project.now(), faults)


def _read_posts(context: Context, sid: SessionId) -> tuple[list[Post], tuple[str, ...]]:
    """The session's last posts; a damaged board is a warning, and hides nothing of the session."""
    try:
        return Board(context.project.paths.hub).recent_posts(sid, _POSTS), ()
    except Damaged as fault:
        reason = fault.message
    except OSError as fault:
        reason = f"the board cannot be read: {fault.strerror}"
    return [], (f"warning: {reason}",)


_LEAST_OF_A_COMMIT = 30  # columns: its age and the start of its subject

_HEADER = ("", "BRANCH", "AHEAD", "BEHIND", "FILES", "+/-", "WORKTREE", "LAST COMMIT")

# The parts of a row are the name, the counts, the worktrees and the last commit. Each layout lists
# the parts on the first line. The first layout that has enough room is used. No name is truncated:
# the user copies it into a git command.
_COMMIT = 3
_LAYOUTS = ((0, 1, 2, _COMMIT), (0, 1, _COMMIT), (0, 1), (0,))


class StatusView(NamedTuple):
    """One session whole, and its last posts; `here` is the directory that paths are shown from."""

    survey: SessionStatus
    posts: Sequence[Post]
    here: str
    now: float
    diagnostics: Sequence[str] = ()
    changed: bool = False
    exit_code: int = 0

    def document(self) -> dict[str, Any]:
        session = self.survey.session
        return {
            "config": dict(session.config.values),
            "state": dict(session.document),
            "branches": [_branch_fields(facts) for facts in self.survey.branches],
            "worktrees": [_worktree_fields(facts) for facts in self.survey.worktrees],
            "posts": [post_fields(post) for post in self.posts],
        }

    def records(self) -> list[Record]:
        session = self.survey.session
        head = {"session": session.id, "state": str(session.state)}
        head |= {key: session.config.get(key) for key in CONFIG_KEYS[1:] if session.config.get(key)}
        return [
            make_record({**head, "updated": session.updated}),
            *(make_record(_branch_fields(facts)) for facts in self.survey.branches),
            *(make_record(_worktree_fields(facts)) for facts in self.survey.worktrees),
            *(make_record(post_fields(post)) for post in self.posts),
        ]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        session = self.survey.session
        config = session.config
        out = [f"Session: {session.id}"]
        out.append(f"  State: {style.paint(str(session.state), STATE_COLORS[str(session.state)])}")
        out += task_lines(config.task)
        out.append(f"  Agents: {config.agent_count or '?'}")
        out.append(f"  Base branch: {escape_control(config.base_branch) or '?'}")
        out += metric_lines(config)
        out.append(f"  Created: {_format_moment(session.created, self.now)}")
        out.append(f"  Updated: {_format_moment(session.updated, self.now)}")
        return TextOutput(out + _branches(self, style) + _posts(self, style))


def _branch_fields(facts: BranchStatus) -> dict[str, Any]:
    branch, diff = facts.branch, facts.diff
    return {
        "branch": short_name(branch.ref),
        "agent": facts.agent.agent if facts.agent else None,
        "attempt": facts.agent.attempt if facts.agent else None,
        "oid": branch.oid or None,
        "ahead": facts.ahead,
        "behind": facts.behind,
        "files": diff.files if diff else None,
        "insertions": diff.insertions if diff else None,
        "deletions": diff.deletions if diff else None,
        "time": branch.time if branch.oid else None,
        "subject": branch.subject,
        "frontier": facts.frontier,
    }


def _worktree_fields(facts: WorktreeStatus) -> dict[str, Any]:
    worktree = facts.worktree
    return {
        "worktree": worktree.path,
        "branch": short_name(facts.branch),
        "changed": facts.changed,
        "untracked": facts.untracked,
        "locked": worktree.lock_reason,
        "missing": worktree.is_missing,
        "detached": not worktree.branches,
        "fault": worktree.link_error or None,
        "operation": worktree.operation or None,
        "processes": list(facts.pids),
    }


def _format_moment(text: str, now: float) -> str:
    return f"{escape_control(text)} ({format_age_since(text, now)})" if text else "?"


def _branch_rows(view: StatusView) -> list[tuple[str, ...]]:
    """The cells of each branch: mark, name, ahead, behind, files, lines, worktrees, last commit."""
    survey = view.survey
    worktrees: dict[str, list[WorktreeStatus]] = {}
    for found in survey.worktrees:
        worktrees.setdefault(found.branch, []).append(found)
    rows: list[tuple[str, ...]] = []
    for facts in survey.branches:
        ref = facts.branch.ref
        own = [_describe(found, view.here) for found in worktrees.pop(ref, [])]
        rows.append(
            (
                "*" if facts.frontier else "",
                escape_control(short_name(ref)),
                *_counts(facts),
                "; ".join(own) or "-",
                _last_commit(facts, view.now),
            )
        )
    for ref, left in worktrees.items():  # on a branch that is not there: unborn, or deleted
        own = [_describe(found, view.here) for found in left]
        rows.append(
            ("", escape_control(short_name(ref)), "?", "?", "?", "?", "; ".join(own), "no commit")
        )
    return rows


def _branches(view: StatusView, style: TerminalStyle) -> list[str]:
    rows = [_HEADER, *_branch_rows(view)]
    if len(rows) == 1:
        return []
    widths = [max(display_width(row[column]) for row in rows) for column in range(7)]
    layout = _choose_layout(widths, style.columns)
    lines = [line for row in rows for line in _row_lines(row, widths, layout, style)]
    return ["", "  Branches:", *lines]


def _choose_layout(widths: Sequence[int], columns: int | None) -> Sequence[int]:
    """Return the parts of a row that have room on its first line."""
    counts = sum(widths[2:6]) + 2 * 3
    parts = (widths[1], counts, widths[6], _LEAST_OF_A_COMMIT)
    fitting = (
        layout
        for layout in _LAYOUTS
        if columns is None or 2 + sum(2 + parts[part] for part in layout) <= columns
    )
    return next(fitting, _LAYOUTS[-1])


def _row_lines(
    row: Sequence[str], widths: Sequence[int], layout: Sequence[int], style: TerminalStyle
) -> list[str]:
    """Format a branch: the parts in `layout` on one line, and each other part on a separate line."""
    counts = [
        " " * (widths[column] - display_width(row[column])) + row[column] for column in (2, 3, 4)
    ]
    parts = (row[1], "  ".join([*counts, row[5]]), row[6], row[7])
    padding = (widths[1], sum(widths[2:6]) + 2 * 3, widths[6])
    cells = [pad(parts[part], padding[part]) for part in layout if part != _COMMIT]
    first = "  ".join(cells)
    if _COMMIT in layout:
        first += "  " + style.fit(row[7], 4 + display_width(first) + 2)
    mark = style.paint("*", "green") if row[0] else " "
    lines = [f"  {mark} {first.rstrip()}"]
    left_out = (*layout, 2, _COMMIT) if row is _HEADER else layout
    for part, text in enumerate(parts):
        if part not in left_out and text != "-":
            lines.append(f"      {style.fit(text, 6) if part == _COMMIT else text}")
    return lines


def _posts(view: StatusView, style: TerminalStyle) -> list[str]:
    shown = [
        f"{escape_control(post.channel)}/{post_summary(post, view.now)}" for post in view.posts
    ]
    return ["", "  Posts:", *(f"    {style.fit(line, 4)}" for line in shown)] if shown else []


def _counts(facts: BranchStatus) -> tuple[str, str, str, str]:
    diff = facts.diff
    return (
        "?" if facts.ahead is None else str(facts.ahead),
        "?" if facts.behind is None else str(facts.behind),
        str(diff.files) if diff else "?",
        f"+{diff.insertions}/-{diff.deletions}" if diff else "?",
    )


def _last_commit(facts: BranchStatus, now: float) -> str:
    if not facts.branch.oid:
        return "broken ref"
    return f"{format_age(now - facts.branch.time)}: {escape_control(facts.branch.subject)}"


def _describe(found: WorktreeStatus, here: str) -> str:
    """A worktree's path, and in brackets what one has to know before one touches it."""
    worktree = found.worktree
    flags = []
    if found.changed:
        flags.append(f"{found.changed} changed")
    if found.untracked:
        flags.append(f"{found.untracked} untracked")
    if worktree.is_missing:
        flags.append("missing")
    if worktree.link_error:
        flags.append(escape_control(worktree.link_error))
    if not worktree.branches:
        flags.append("detached" if worktree.detached else "no HEAD")
    if worktree.operation:
        flags.append(_OPERATION_WORDS[worktree.operation])
    if worktree.lock_reason is not None:
        flags.append(
            f"locked: {escape_control(worktree.lock_reason)}" if worktree.lock_reason else "locked"
        )
    if found.pids:
        flags.append(f"in use by process {', '.join(map(str, found.pids))}")
    path = escape_control(relative_path(worktree.path, here)) or "?"
    return f"{path} ({', '.join(flags)})" if flags else path


_OPERATION_WORDS = {
    "rebase": "rebasing",
    "merge": "merging",
    "am": "applying patches",
    "bisect": "bisecting",
    "cherry-pick": "cherry-picking",
    "revert": "reverting",
}
