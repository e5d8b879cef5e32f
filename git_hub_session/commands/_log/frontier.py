"""The frontier of one session or of all unfinished sessions, with the lines of descent.

A tip is on the frontier if no other tip of the shown sessions contains it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.cli.table import Column, table_lines
from git_hub_session.cli.view import (
    STATE_COLORS,
    Record,
    TerminalStyle,
    TextOutput,
    View,
    agent_fields,
    make_record,
    warning_lines,
)
from git_hub_session.commands._attempt.off_branch import describe_work
from git_hub_session.git.ref_names import REFS, attempt_name
from git_hub_session.git.worktrees import linked_worktrees
from git_hub_session.lineage.parent import find_ancestors, parent_fields
from git_hub_session.session.attempts import attempt_refs
from git_hub_session.session.read import UnreadableSession
from git_hub_session.session.state import FINISHED
from git_hub_session.util.clock import format_age
from git_hub_session.util.text import escape_control
from git_hub_session.worktree.reattach import find_off_branch

if TYPE_CHECKING:
    from git_hub_session._typing import Any
    from git_hub_session.git.ref_names import AgentBranch, SessionId
    from git_hub_session.git.repository import Branch, GitRepo
    from git_hub_session.lineage.parent import Parent
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project
    from git_hub_session.session.store import Store
    from git_hub_session.worktree.reattach import OffBranchWork


class SessionFrontier(NamedTuple):
    """The attempts of a session that are on the frontier, and the sessions that it continues."""

    session: Session
    ancestors: tuple[Parent, ...]
    """The winners of the earlier sessions, oldest first."""
    tips: tuple[tuple[AgentBranch, Branch], ...]
    """Each attempt on the frontier with the branch or the archive that has its commit."""
    off_branch: tuple[OffBranchWork, ...] = ()
    """The work that is not on the branches of the attempts. The frontier does not have it."""

    def document(self) -> dict[str, Any]:
        """Return the JSON fields."""
        return {
            "session_id": self.session.id,
            "state": str(self.session.state),
            "ancestors": [ancestor._asdict() for ancestor in self.ancestors],
            "frontier": [_tip_fields(attempt, tip) for attempt, tip in self.tips],
            "off_branch": [_work_fields(work) for work in self.off_branch],
        }


def read_frontier(sid: SessionId | None, project: Project) -> FrontierView:
    """Return the frontier of a session, or the common frontier of all unfinished sessions."""
    if sid is None:
        sessions, unreadable = _read_unfinished(project.store)
    else:
        sessions, unreadable = [project.store.read(sid)], []
    refs = project.repo.refs(REFS)
    attempts = {session.id: _read_tips(session, project.repo, refs) for session in sessions}
    commits = {tip.oid for tips in attempts.values() for _, tip in tips}
    frontier = find_frontier(commits, project.repo)
    worktrees = linked_worktrees(project.paths.common_dir)
    read = cache(project.store.read)
    shown = [
        SessionFrontier(
            session,
            tuple(parent for parent, _ in find_ancestors(session, read)),
            tuple(pair for pair in attempts[session.id] if pair[1].oid in frontier),
            tuple(find_off_branch(session, project, worktrees)),
        )
        for session in sessions
    ]
    return FrontierView(shown, unreadable, project.now())


def _read_unfinished(store: Store) -> tuple[list[Session], list[UnreadableSession]]:
    """Return the unfinished sessions, and those that cannot be read."""
    sessions: list[Session] = []
    unreadable = []
    for session in store.read_all():
        if isinstance(session, UnreadableSession):
            unreadable.append(session)
        elif session.state not in FINISHED:
            sessions.append(session)
    return sessions, unreadable


def find_frontier(tips: Collection[str], repo: GitRepo) -> set[str]:
    """Return the commits that no other of the commits contains."""
    # No commit before the common ancestor can be a tip. Do not walk over the whole history.
    common, *others = [*tips] or [""]
    for tip in others:
        common = repo.find_merge_base(common, tip) if common else ""
    new = repo.commit_parents(tips, [common] if common else [])
    return {*tips} - {parent for parents in new.values() for parent in parents}


def _read_tips(
    session: Session, repo: GitRepo, names: Sequence[str]
) -> list[tuple[AgentBranch, Branch]]:
    """Return the attempts of a session that have a commit, sorted.

    Args:
        names: all refs of the repository.
    """
    refs = attempt_refs(session, repo, names)
    tips = [(attempt, repo.branch(ref)) for attempt, ref in sorted(refs.items())]
    return [(attempt, tip) for attempt, tip in tips if tip.oid]


def _tip_fields(attempt: AgentBranch, tip: Branch) -> dict[str, Any]:
    fields = {"ref": tip.ref, "oid": tip.oid, "time": tip.time, "subject": tip.subject}
    return {**agent_fields(attempt), **fields}


def _work_fields(work: OffBranchWork) -> dict[str, Any]:
    return {**agent_fields(work.branch), "reason": work.reason, "hint": work.hint}


class FrontierView(View):
    """The frontier of sessions."""

    def __init__(
        self,
        sessions: Sequence[SessionFrontier],
        unreadable: Sequence[UnreadableSession],
        now: float,
    ) -> None:
        self.sessions = sessions
        self.unreadable = unreadable
        self.now = now

    @property
    def exit_code(self) -> int:
        return 1 if self.unreadable else 0

    @property
    def diagnostics(self) -> list[str]:
        lines = []
        for session, _, _, off_branch in self.sessions:
            for work in off_branch:
                lines += warning_lines([f"{session.id}: {describe_work(session, work)}"])
                lines.append(f"hint: {escape_control(work.hint)}")
        return lines + [
            f"error: session '{escape_control(session.id)}': {escape_control(session.reason)}"
            for session in self.unreadable
        ]

    @property
    def is_paged(self) -> bool:
        return True

    def document(self) -> dict[str, Any]:
        return {"sessions": [session.document() for session in self.sessions]}

    def records(self) -> list[Record]:
        records = []
        for session, ancestors, tips, off_branch in self.sessions:
            parent = parent_fields(ancestors[-1] if ancestors else None)
            records.append(make_record({"session": session.id, "state": session.state, **parent}))
            records += [make_record(_tip_fields(attempt, tip)) for attempt, tip in tips]
            records += [make_record(_work_fields(work)) for work in off_branch]
        return records

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        out: list[str] = []
        for session in self.sessions:
            out += self._session_lines(session, style)
        err = [] if out or quiet else ["no unfinished session"]
        return TextOutput(out, err)

    def _session_lines(self, frontier: SessionFrontier, style: TerminalStyle) -> list[str]:
        state = str(frontier.session.state)
        out = [f"{frontier.session.id}  {style.paint(state, STATE_COLORS[state])}"]
        out += [
            f"    started from {ancestor.text} ({style.abbreviate(ancestor.commit)})"
            for ancestor in reversed(frontier.ancestors)
        ]
        if not frontier.tips:
            return out
        tips = [tip for _, tip in frontier.tips]
        columns = (
            Column("AGENT", [attempt_name(attempt) for attempt, _ in frontier.tips]),
            Column("COMMIT", [style.abbreviate(tip.oid) for tip in tips]),
            Column("AGE", [format_age(self.now - tip.time) for tip in tips]),
            Column("SUBJECT", [escape_control(tip.subject) for tip in tips]),
        )
        return [*out, *table_lines(columns, style, "    ")[1:]]
