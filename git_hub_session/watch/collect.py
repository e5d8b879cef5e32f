"""Collect the facts for the live view, and read again only what has changed.

A refresh takes the stamps of the files of the hub and of git, and reads the files whose stamp
differs. It reads the list of processes each time. Nothing is written and no lock is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import HubError, describe_read_error
from git_hub_session.git.ref_names import (
    ALL_BRANCHES,
    AgentBranch,
    SessionId,
    branch_prefix,
    parse_agent_branch,
)
from git_hub_session.git.refs import list_files_below
from git_hub_session.session import runs
from git_hub_session.session.agents import comparison_base
from git_hub_session.session.baseline import last_evaluation
from git_hub_session.session.model import Session
from git_hub_session.session.project import Project
from git_hub_session.session.read import CONFIG_FILE, STATE_FILE
from git_hub_session.session.state import FINISHED
from git_hub_session.system import procfs
from git_hub_session.watch.activity import OutputReader, PostReader
from git_hub_session.watch.cache import Cache, Stamp, read_stamp
from git_hub_session.watch.facts import BROKEN, Snapshot, WatchedAgent, WatchedSession
from git_hub_session.watch.worktrees import ChangeScanner, OwnedWorktree, WorktreeReader
from git_hub_session.worktree.agent_progress import read_agent_progress
from git_hub_session.worktree.owner import WorktreeIndex, reported_worktrees
from git_hub_session.worktree.status import SessionStatus, read_branch_statuses

if TYPE_CHECKING:
    from git_hub_session.board.posts import Post
    from git_hub_session.git.worktrees import Worktree
    from git_hub_session.session.read import UnreadableSession
    from git_hub_session.worktree.agent_progress import AgentProgress
    from git_hub_session.worktree.status import BranchStatus, WorktreeStatus

# The opened repository remembers trees and diffs. Open it again before they take much memory.
_SCANS_PER_REPOSITORY = 2000

_Pairs = Sequence[tuple["Worktree", str]]


class _Moment(NamedTuple):
    """The facts of one refresh that all sessions share."""

    worktrees: list[Worktree]
    worktree_index: WorktreeIndex
    """The same object as long as no worktree has changed."""
    ref_stamps: Mapping[str, Stamp]
    """The stamp of each loose ref of a session, and of packed-refs."""
    board_stamp: object


class _SessionParts(NamedTuple):
    """A session with its branches and its worktrees, without their uncommitted files."""

    session: Session
    branches: tuple[BranchStatus, ...]
    pairs: _Pairs


class Collector:
    """The sessions of a project, read at each refresh."""

    def __init__(self, project: Project, sid: SessionId | None) -> None:
        """Show one session. If `sid` is None, show the unfinished and the broken sessions."""
        self._project = project
        self._sid = sid
        self._worktree_reader = WorktreeReader(project.paths.common_dir)
        self._scanner = ChangeScanner()
        self._scans_before = 0
        self._outputs = OutputReader()
        self._posts = PostReader(project.paths.hub)
        self._sessions: Cache[Session | UnreadableSession | None] = Cache()
        self._branches: Cache[tuple[BranchStatus, ...]] = Cache()
        self._worktree_index: Cache[WorktreeIndex] = Cache()
        self._pairs: Cache[_Pairs] = Cache()
        self._progress: Cache[tuple[AgentProgress, ...]] = Cache()

    def collect(self) -> Snapshot:
        """Return the sessions as they are now. A damaged session does not hide the others."""
        now = self._project.now()
        self._renew_repository()
        try:
            return Snapshot(now, tuple(self._read_all()))
        except (HubError, OSError) as error:
            return Snapshot(now, error=describe_read_error(error))

    def _renew_repository(self) -> None:
        if self._scanner.scan_count - self._scans_before > _SCANS_PER_REPOSITORY:
            self._scans_before = self._scanner.scan_count
            self._project = Project(self._project.environ)

    def _read_all(self) -> list[WatchedSession]:
        sessions = self._read_sessions()
        worktrees = self._worktree_reader.read()
        # git rewrites an index often. The owner of a worktree does not depend on it.
        stable = [worktree._replace(index_mtime_ns=0) for worktree in worktrees]
        index = self._worktree_index.get("", stable, lambda: WorktreeIndex(stable))
        moment = _Moment(worktrees, index, self._read_ref_stamps(), self._posts.read_stamp())
        processes = procfs.processes(open_files=False)
        users = {tree.path: procfs.processes_in(tree.path, processes) for tree in worktrees}
        facts: list[WatchedSession] = []
        parts: list[_SessionParts] = []
        for session in sessions:
            if not isinstance(session, Session):
                facts.append(_broken(session.id, session.reason))
                continue
            try:
                parts.append(self._read_parts(session, moment))
            except (HubError, OSError) as error:
                facts.append(_broken(session.id, describe_read_error(error)))
        statuses = self._scan(parts, users, moment)
        for part in parts:
            try:
                facts.append(self._read_facts(part, statuses, users, moment))
            except (HubError, OSError) as error:
                facts.append(_broken(part.session.id, describe_read_error(error)))
        self._outputs.keep_only(agent.progress.log for one in facts for agent in one.agents)
        return facts

    def _read_sessions(self) -> list[Session | UnreadableSession]:
        """Return the sessions to show."""
        ids = self._project.store.ids() if self._sid is None else [self._sid]
        for cache in (self._sessions, self._branches, self._pairs, self._progress, self._posts):
            cache.keep_only(ids)
        sessions = [
            self._sessions.get(sid, self._session_stamp(sid), self._session_reader(sid))
            for sid in ids
        ]
        return [session for session in sessions if session is not None]

    def _session_stamp(self, sid: SessionId) -> tuple[Stamp, ...]:
        directory = f"{self._project.paths.hub}/sessions/{sid}"
        return tuple(read_stamp(f"{directory}/{name}") for name in (STATE_FILE, CONFIG_FILE))

    def _session_reader(self, sid: SessionId) -> Callable[[], Session | UnreadableSession | None]:
        def read() -> Session | UnreadableSession | None:
            session = self._project.store.find(sid)
            is_finished = isinstance(session, Session) and session.state in FINISHED
            return None if is_finished and self._sid is None else session

        return read

    def _read_ref_stamps(self) -> dict[str, Stamp]:
        common_dir = self._project.paths.common_dir
        refs = list_files_below(common_dir, ALL_BRANCHES.rstrip("/"))
        return {ref: read_stamp(f"{common_dir}/{ref}") for ref in (*refs, "packed-refs")}

    def _read_parts(self, session: Session, moment: _Moment) -> _SessionParts:
        repo = self._project.repo
        prefix = branch_prefix(session.id)
        stamps = moment.ref_stamps
        own = [(ref, stamps[ref]) for ref in stamps if ref.startswith((prefix, "packed-refs"))]
        base = comparison_base(session, repo)
        branches = self._branches.get(
            session.id,
            (own, base, session),
            lambda: read_branch_statuses(session, base, repo),
        )
        pairs = self._pairs.get(
            session.id,
            (moment.worktree_index, session),
            lambda: reported_worktrees(session.id, self._project, moment.worktree_index),
        )
        return _SessionParts(session, branches, pairs)

    def _scan(
        self,
        parts: Sequence[_SessionParts],
        users: Mapping[str, Sequence[int]],
        moment: _Moment,
    ) -> dict[str, WorktreeStatus]:
        """Return the status of the worktrees of all sessions, without their processes."""
        tips = {one.branch.ref: one.branch.oid for part in parts for one in part.branches}
        current = {tree.git_dir: tree for tree in moment.worktrees}
        owned = [
            OwnedWorktree(current[tree.git_dir], ref, tips.get(ref, ""))
            for part in parts
            for tree, ref in part.pairs
        ]
        active = {one.worktree.git_dir for one in owned if users.get(one.worktree.path)}
        return self._scanner.scan(owned, active, self._project)

    def _read_facts(
        self,
        parts: _SessionParts,
        statuses: Mapping[str, WorktreeStatus],
        users: Mapping[str, Sequence[int]],
        moment: _Moment,
    ) -> WatchedSession:
        session = parts.session
        worktrees = tuple(
            statuses[tree.git_dir]._replace(worktree=tree, pids=tuple(users.get(tree.path, ())))
            for tree, _ in parts.pairs
        )
        status = SessionStatus(session, parts.branches, worktrees)
        with self._project.store.open_directory(session.id) as directory:
            active = runs.active_runs(directory, runs.EXEC)
        progress = self._progress.get(
            session.id, (status, active), lambda: read_agent_progress(status, self._project)
        )
        posts = self._posts.read(session, moment.board_stamp, self._project)
        by_branch = {parse_agent_branch(one.branch): one for one in worktrees}
        tips = {one.agent: one for one in parts.branches}
        agents = []
        for one in progress:
            branch = AgentBranch(session.id, one.agent, one.attempt)
            facts = _agent_facts(one, tips.get(branch), by_branch.get(branch), posts)
            output = self._outputs.read(one.log, session.id, self._project)
            agents.append(facts._replace(output=output.lines, output_time=output.time))
        evaluation = last_evaluation(session)
        title = session.config.title
        return WatchedSession(session.id, str(session.state), title, tuple(agents), evaluation)


def _agent_facts(
    progress: AgentProgress,
    branch: BranchStatus | None,
    worktree: WorktreeStatus | None,
    posts: Mapping[str, Post],
) -> WatchedAgent:
    tip = branch.branch if branch and branch.has_own_commit else None
    return WatchedAgent(
        progress,
        tip.time if tip else 0,
        tip.subject if tip else "",
        worktree.worktree.path if worktree else "",
        worktree.pids if worktree else (),
        post=posts.get(progress.name),
    )


def _broken(sid: str, reason: str) -> WatchedSession:
    return WatchedSession(sid, BROKEN, error=reason)
