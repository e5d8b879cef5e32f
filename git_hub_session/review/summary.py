"""Everything that is known about one attempt, for `show`."""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.board.recent import read_recent_posts
from git_hub_session.git.ref_names import agent_name
from git_hub_session.git.worktrees import Worktree, linked_worktrees
from git_hub_session.review.attempt import EMPTY_TREE, Attempt, find_start
from git_hub_session.review.commits import Commit, list_commits
from git_hub_session.review.log_end import read_log_end
from git_hub_session.session import runs
from git_hub_session.session.assignment_values import parse_strategies
from git_hub_session.worktree.agent_progress import AgentProgress, run_progress
from git_hub_session.worktree.off_branch import off_branch_reason
from git_hub_session.worktree.owner import attempt_worktrees
from git_hub_session.worktree.uncommitted import uncommitted_files

if TYPE_CHECKING:
    from git_hub_session.board.posts import Post
    from git_hub_session.git.diff import DiffStat
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project

_LOG_LINES = 10
_MAX_POSTS = 5
_SEARCHED_POSTS = 200


class AttemptSummary(NamedTuple):
    """One attempt with its commits, its files, its last run, its result and its posts."""

    session: Session
    attempt: Attempt
    progress: AgentProgress
    start: str
    """The commit that the attempt is compared with, or the empty tree."""
    commits: tuple[Commit, ...]
    """The newest commits."""
    commit_count: int
    diff: DiffStat | None
    worktree: str
    """The path of the worktree, or ''."""
    uncommitted: tuple[str, ...] | None
    """The uncommitted files, or None if they are unknown."""
    log_lines: tuple[bytes, ...]
    """The last lines of the log."""
    posts: tuple[Post, ...]
    """The newest posts of the agent in the session."""
    strategy: str = ""


def summarize_attempt(attempt: Attempt, session: Session, project: Project) -> AttemptSummary:
    """Read everything about the attempt. Change nothing."""
    [summary] = summarize_attempts([attempt], session, project)
    return summary


def summarize_attempts(
    attempts: Sequence[Attempt], session: Session, project: Project
) -> list[AttemptSummary]:
    """Read everything about each attempt. Read the worktrees and the board only once."""
    worktrees = linked_worktrees(project.paths.common_dir)
    owned = attempt_worktrees(session.id, project, worktrees)
    posts = read_recent_posts(session, project.store, _SEARCHED_POSTS)[0]
    return [
        _summarize(attempt, session, project, owned.get(attempt.branch), posts)
        for attempt in attempts
    ]


def _summarize(
    attempt: Attempt,
    session: Session,
    project: Project,
    worktree: Worktree | None,
    posts: Sequence[Post],
) -> AttemptSummary:
    author = agent_name(attempt.branch.agent)
    start = find_start(attempt, session, project)
    commits, count = list_commits(attempt.commit, start, project.repo)
    uncommitted = uncommitted_files(worktree, project) if worktree else None
    progress = _read_progress(attempt, session, project, worktree)
    number = len(uncommitted) if uncommitted is not None else None
    return AttemptSummary(
        session,
        attempt,
        progress._replace(uncommitted=number, has_own_commit=count > 0),
        start,
        tuple(commits),
        count,
        None if start == EMPTY_TREE else project.repo.diff_stat(attempt.commit, start),
        worktree.path if worktree else "",
        uncommitted,
        read_log_end(progress.log, session.id, project)[-_LOG_LINES:],
        tuple(post for post in posts if post.author == author)[:_MAX_POSTS],
        parse_strategies(session.config.get("strategies")).get(author, ""),
    )


def _read_progress(
    attempt: Attempt, session: Session, project: Project, worktree: Worktree | None
) -> AgentProgress:
    """Return the last run and the result of the attempt."""
    branch = attempt.branch
    name = agent_name(branch.agent)
    with project.store.open_directory(session.id) as directory:
        active = runs.active_runs(directory, runs.EXEC)
        path = directory.path
    run = runs.read_last_run(session, name, active, attempt=branch.attempt)
    result = session.result(branch.agent)
    if result is not None and result.attempt != branch.attempt:
        result = None
    return run_progress(branch, run, session, path)._replace(
        result=result,
        is_outdated=result is not None and result.commit != attempt.commit,
        off_branch=off_branch_reason(worktree, branch.ref) if worktree else "",
        guarded=session.agent_record(name).guarded if result else (),
    )
