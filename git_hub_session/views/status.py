"""The answer of `git hub-session status`."""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session.clock import age, age_of
from git_hub_session.escape import padded, visible, width
from git_hub_session.posts import Post
from git_hub_session.refnames import short
from git_hub_session.session import CONFIG_KEYS
from git_hub_session.typed import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.views.post import post_document, summary
from git_hub_session.views.view import (
    STATE_COLORS,
    Answer,
    Record,
    Style,
    described,
    measured,
    record,
    relative,
)

if TYPE_CHECKING:
    from git_hub_session.operations.survey import BranchFacts, Survey, WorktreeFacts

_LEAST_OF_A_COMMIT = 30  # columns: its age and the start of its subject

_HEADER = ("", "BRANCH", "AHEAD", "BEHIND", "FILES", "+/-", "WORKTREE", "LAST COMMIT")

# The parts of a row are the name, the counts, the worktrees and the last commit. Each layout lists
# the parts on the first line. The first layout that has enough room is used. No name is truncated:
# the user copies it into a git command.
_COMMIT = 3
_LAYOUTS = ((0, 1, 2, _COMMIT), (0, 1, _COMMIT), (0, 1), (0,))


class StatusView(NamedTuple):
    """One session whole, and its last posts; `here` is the directory that paths are shown from."""

    survey: Survey
    posts: Sequence[Post]
    here: str
    now: float
    faults: Sequence[str] = ()
    changed: bool = False
    exit_code: int = 0

    def document(self) -> dict[str, Any]:
        session = self.survey.session
        return {
            "config": dict(session.config.values),
            "state": dict(session.document),
            "branches": [_branch(facts) for facts in self.survey.branches],
            "worktrees": [_worktree(facts) for facts in self.survey.worktrees],
            "posts": [post_document(post) for post in self.posts],
        }

    def records(self) -> list[Record]:
        session = self.survey.session
        head = {"session": session.id, "state": str(session.state)}
        head |= {key: session.config.get(key) for key in CONFIG_KEYS[1:] if session.config.get(key)}
        return [
            record({**head, "updated": session.updated}),
            *(record(_branch(facts)) for facts in self.survey.branches),
            *(record(_worktree(facts)) for facts in self.survey.worktrees),
            *(record(post_document(post)) for post in self.posts),
        ]

    def lines(self, style: Style, *, quiet: bool) -> Answer:
        session = self.survey.session
        config = session.config
        out = [f"Session: {session.id}"]
        out.append(f"  State: {style.paint(str(session.state), STATE_COLORS[str(session.state)])}")
        out += described(config.task)
        out.append(f"  Agents: {config.agent_count or '?'}")
        out.append(f"  Base branch: {visible(config.base_branch) or '?'}")
        out += measured(config)
        out.append(f"  Created: {_moment(session.created, self.now)}")
        out.append(f"  Updated: {_moment(session.updated, self.now)}")
        return Answer(out + _branches(self, style) + _posts(self, style))


def _branch(facts: BranchFacts) -> dict[str, Any]:
    branch, diff = facts.branch, facts.diff
    return {
        "branch": short(branch.ref),
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


def _worktree(facts: WorktreeFacts) -> dict[str, Any]:
    worktree = facts.worktree
    return {
        "worktree": worktree.path,
        "branch": short(facts.branch),
        "changed": facts.changed,
        "untracked": facts.untracked,
        "locked": worktree.lock,
        "missing": worktree.missing,
        "detached": not worktree.branches,
        "fault": worktree.fault or None,
        "operation": worktree.operation or None,
        "processes": list(facts.users),
    }


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
                visible(short(ref)),
                *_counts(facts),
                "; ".join(own) or "-",
                _last_commit(facts, view.now),
            )
        )
    for ref, left in worktrees.items():  # on a branch that is not there: unborn, or deleted
        own = [_describe(found, view.here) for found in left]
        rows.append(("", visible(short(ref)), "?", "?", "?", "?", "; ".join(own), "no commit"))
    return rows


def _branches(view: StatusView, style: Style) -> list[str]:
    rows = [_HEADER, *_branch_rows(view)]
    if len(rows) == 1:
        return []
    widths = [max(width(row[column]) for row in rows) for column in range(7)]
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
    row: Sequence[str], widths: Sequence[int], layout: Sequence[int], style: Style
) -> list[str]:
    """Format a branch: the parts in `layout` on one line, and each other part on a separate line."""
    counts = [" " * (widths[column] - width(row[column])) + row[column] for column in (2, 3, 4)]
    parts = (row[1], "  ".join([*counts, row[5]]), row[6], row[7])
    padding = (widths[1], sum(widths[2:6]) + 2 * 3, widths[6])
    cells = [padded(parts[part], padding[part]) for part in layout if part != _COMMIT]
    first = "  ".join(cells)
    if _COMMIT in layout:
        first += "  " + style.fit(row[7], 4 + width(first) + 2)
    mark = style.paint("*", "green") if row[0] else " "
    lines = [f"  {mark} {first.rstrip()}"]
    left_out = (*layout, 2, _COMMIT) if row is _HEADER else layout
    for part, text in enumerate(parts):
        if part not in left_out and text != "-":
            lines.append(f"      {style.fit(text, 6) if part == _COMMIT else text}")
    return lines


def _posts(view: StatusView, style: Style) -> list[str]:
    shown = [f"{visible(post.channel)}/{summary(post, view.now)}" for post in view.posts]
    return ["", "  Posts:", *(f"    {style.fit(line, 4)}" for line in shown)] if shown else []


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
    if not worktree.branches:
        flags.append("detached" if worktree.detached else "no HEAD")
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
    "am": "applying patches",
    "bisect": "bisecting",
    "cherry-pick": "cherry-picking",
    "revert": "reverting",
}
