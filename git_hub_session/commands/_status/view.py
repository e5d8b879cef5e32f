"""A session with its branches, its worktrees and its newest posts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.board.recent import read_recent_posts
from git_hub_session.claims.known import known_claims
from git_hub_session.cli.agent_table import agent_lines, agent_progress_fields
from git_hub_session.cli.post import post_fields, post_summary
from git_hub_session.cli.table import lines_below
from git_hub_session.cli.view import (
    STATE_COLORS,
    Record,
    TerminalStyle,
    TextOutput,
    View,
    make_record,
    metric_lines,
    task_lines,
    warning_lines,
)
from git_hub_session.commands._share.conflict import (
    conflict_fields,
    describe_conflict,
    unpushed_line,
)
from git_hub_session.commands._status.claims import claim_fields, claim_lines
from git_hub_session.commands._status.guarded import with_guarded_paths
from git_hub_session.commands._status.jobs import SessionJobs, read_session_jobs
from git_hub_session.commands._status.worktrees import describe_worktree, worktree_fields
from git_hub_session.git.ref_names import short_name
from git_hub_session.session.baseline import last_evaluation
from git_hub_session.session.history import session_conflict
from git_hub_session.session.model import CONFIG_KEYS
from git_hub_session.session.state import FINISHED
from git_hub_session.sharing.unpushed import unpushed_remotes
from git_hub_session.system import procfs
from git_hub_session.util.clock import format_age, format_age_since
from git_hub_session.util.text import display_width, escape_control, pad
from git_hub_session.worktree.agent_progress import read_agent_progress
from git_hub_session.worktree.status import read_session_status

if TYPE_CHECKING:
    from git_hub_session.board.posts import Post
    from git_hub_session.claims.known import KnownClaim
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.project import Project
    from git_hub_session.worktree.agent_progress import AgentProgress
    from git_hub_session.worktree.status import BranchStatus, SessionStatus


_MAX_POSTS = 3


def read_status(sid: SessionId, project: Project) -> StatusView:
    """Return the status of one session."""
    session = project.store.read(sid)
    status = read_session_status(session, project, procfs.processes(open_files=False))
    status = with_guarded_paths(status, project)
    agents = read_agent_progress(status, project)
    posts, error = read_recent_posts(session, project.store, _MAX_POSTS)
    view = StatusView(status, agents, posts, project.cwd, project.now())
    view.board_error = error
    view.unpushed = unpushed_remotes(sid, project)
    view.claims = known_claims(sid, project)
    view.jobs = read_session_jobs(session, project)
    return view


_MIN_COMMIT_WIDTH = 30  # enough for the age and the start of the subject

_HEADER = ("", "BRANCH", "AHEAD", "BEHIND", "FILES", "+/-", "WORKTREE", "LAST COMMIT")

# The parts of a row are the name, the counts, the worktrees and the last commit. Each layout lists
# the parts on the first line. The first layout that has enough room is used. No name is truncated:
# the user copies it into a git command.
_COMMIT = 3
_LAYOUTS = ((0, 1, 2, _COMMIT), (0, 1, _COMMIT), (0, 1), (0,))


class StatusView(View):
    """A session with its branches, its worktrees and its newest posts."""

    def __init__(
        self,
        status: SessionStatus,
        agents: Sequence[AgentProgress],
        posts: Sequence[Post],
        cwd: str,
        now: float,
    ) -> None:
        self.status = status
        self.agents = agents
        self.evaluation = last_evaluation(status.session)
        self.conflict = session_conflict(status.session)
        self.posts = posts
        self.cwd = cwd
        self.now = now
        self.board_error = ""
        self.unpushed: Sequence[str] = ()
        """The remotes that do not have the present state."""
        self.claims: Mapping[int, KnownClaim] = {}
        """The claims by agent, as last fetched."""
        self.jobs = SessionJobs()

    @property
    def diagnostics(self) -> list[str]:
        return warning_lines(filter(None, (*self.status.settings_warnings, self.board_error)))

    @property
    def is_paged(self) -> bool:
        return True

    def document(self) -> dict[str, Any]:
        session = self.status.session
        return {
            "config": dict(session.config.values),
            "state": dict(session.document),
            "branches": [_branch_fields(branch) for branch in self.status.branches],
            "worktrees": [worktree_fields(worktree) for worktree in self.status.worktrees],
            "posts": [post_fields(post) for post in self.posts],
            "agents": self._agent_fields(),
            "conflict": self.conflict is not None,
            "unpushed": list(self.unpushed),
            **conflict_fields(self.conflict),
            "claims": [claim_fields(*claim) for claim in self.claims.items()],
            **self.jobs.document(),
        }

    def _agent_fields(self) -> list[dict[str, Any]]:
        return [agent_progress_fields(agent, self.evaluation, self.now) for agent in self.agents]

    def records(self) -> list[Record]:
        from git_hub_session.lineage.parent import parent_fields, read_parent

        session = self.status.session
        head = {"session": session.id, "state": str(session.state)}
        head |= {key: session.config.get(key) for key in CONFIG_KEYS[1:] if session.config.get(key)}
        head |= {"updated": session.updated, **parent_fields(read_parent(session))}
        return [
            make_record(head),
            *(make_record(_branch_fields(branch)) for branch in self.status.branches),
            *(make_record(worktree_fields(worktree)) for worktree in self.status.worktrees),
            *(make_record(post_fields(post)) for post in self.posts),
            *map(make_record, self._agent_fields()),
            *(make_record(claim_fields(*claim)) for claim in self.claims.items()),
            *map(make_record, self.jobs.fields()),
        ]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        session = self.status.session
        config = session.config
        out = [f"Session: {session.id}"]
        out.append(f"  State: {style.paint(str(session.state), STATE_COLORS[str(session.state)])}")
        out += [f"  Conflict: {text}" for text in describe_conflict(session.id, self.conflict)]
        out += task_lines(config.task)
        out.append(f"  Agents: {config.agent_count or '?'}")
        out.append(f"  Base branch: {escape_control(config.base_branch) or '?'}")
        if session.continues_session:
            from git_hub_session.lineage.parent import read_parent

            parent = read_parent(session)
            out += [f"  After: {parent.text} ({style.abbreviate(parent.commit)})"] if parent else []
        out += metric_lines(config)
        out.append(f"  Created: {_format_moment(session.created, self.now)}")
        out.append(f"  Updated: {_format_moment(session.updated, self.now)}")
        out += [unpushed_line(remote, session.id) for remote in self.unpushed]
        out += claim_lines(self.claims, self.now) + self.jobs.lines()
        # An agent of a finished session without a result has nothing to report.
        if session.state not in FINISHED or any(agent.has_progress for agent in self.agents):
            out += agent_lines(self.agents, self.evaluation, style, cwd=self.cwd, now=self.now)
        hints = [worktree.hint for worktree in self.status.worktrees if worktree.hint]
        return TextOutput(
            out + _branches(self, style) + _posts(self, style),
            [f"hint: {escape_control(hint)}" for hint in hints],
        )


def _branch_fields(status: BranchStatus) -> dict[str, Any]:
    branch = status.branch
    diff = status.diff
    return {
        "branch": short_name(branch.ref),
        "agent": status.agent.agent if status.agent else None,
        "attempt": status.agent.attempt if status.agent else None,
        "oid": branch.oid or None,
        "ahead": status.ahead,
        "behind": status.behind,
        "files": diff.files if diff else None,
        "insertions": diff.insertions if diff else None,
        "deletions": diff.deletions if diff else None,
        "time": branch.time if branch.oid else None,
        "subject": branch.subject,
        "frontier": status.frontier,
        "guarded": list(status.guarded),
    }


def _format_moment(text: str, now: float) -> str:
    return f"{escape_control(text)} ({format_age_since(text, now)})" if text else "?"


def _branch_rows(view: StatusView) -> list[tuple[str, ...]]:
    """Return the cells of each branch, in the order of _HEADER."""
    worktrees: dict[str, list[str]] = {}
    for worktree in view.status.worktrees:
        description = describe_worktree(worktree, view.cwd)
        worktrees.setdefault(worktree.branch, []).append(description)
    rows: list[tuple[str, ...]] = []
    for branch in view.status.branches:
        ref = branch.branch.ref
        rows.append(
            (
                "*" if branch.frontier else "",
                escape_control(short_name(ref)),
                *_counts(branch),
                "; ".join(worktrees.pop(ref, [])) or "-",
                _last_commit(branch, view.now),
            )
        )
    # The remaining worktrees are on a branch that is unborn or was deleted.
    for ref, descriptions in worktrees.items():
        name = escape_control(short_name(ref))
        rows.append(("", name, "?", "?", "?", "?", "; ".join(descriptions), "no commit"))
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
    parts = (widths[1], counts, widths[6], _MIN_COMMIT_WIDTH)
    fitting = (
        layout
        for layout in _LAYOUTS
        if columns is None or 2 + sum(2 + parts[part] for part in layout) <= columns
    )
    return next(fitting, _LAYOUTS[-1])


def _row_lines(
    row: Sequence[str], widths: Sequence[int], layout: Sequence[int], style: TerminalStyle
) -> list[str]:
    """Return the lines of a branch: one line for the parts in `layout`, one for each other part."""
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
    skipped_parts = (*layout, 2, _COMMIT) if row is _HEADER else layout
    for part, text in enumerate(parts):
        if part not in skipped_parts and text != "-":
            fitting = style.fit(text, 6) if part == _COMMIT else text
            lines += lines_below(fitting, style, " " * 6)
    return lines


def _posts(view: StatusView, style: TerminalStyle) -> list[str]:
    if not view.posts:
        return []
    summaries = [
        f"{escape_control(post.channel)}/{post_summary(post, view.now)}" for post in view.posts
    ]
    return ["", "  Posts:", *(f"    {style.fit(summary, 4)}" for summary in summaries)]


def _counts(status: BranchStatus) -> tuple[str, str, str, str]:
    diff = status.diff
    return (
        "?" if status.ahead is None else str(status.ahead),
        "?" if status.behind is None else str(status.behind),
        str(diff.files) if diff else "?",
        f"+{diff.insertions}/-{diff.deletions}" if diff else "?",
    )


def _last_commit(status: BranchStatus, now: float) -> str:
    branch = status.branch
    if not branch.oid:
        return "broken ref"
    return f"{format_age(now - branch.time)}: {escape_control(branch.subject)}"
