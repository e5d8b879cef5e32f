"""The facts about sessions and agents that the live view shows."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.session.baseline import Evaluation

if TYPE_CHECKING:
    from git_hub_session.board.posts import Post
    from git_hub_session.worktree.agent_progress import AgentProgress

BROKEN = "broken"
"""The state of a session that cannot be read."""


class WatchedAgent(NamedTuple):
    """An agent at one moment. An unknown value is None or ''."""

    progress: AgentProgress
    commit_time: int = 0
    """The time of the last commit of the agent's own, in seconds since the epoch, or 0."""
    subject: str = ""
    """The first line of the message of that commit. It is not escaped."""
    worktree: str = ""
    """The path of the worktree of the last attempt."""
    pids: tuple[int, ...] = ()
    """The processes whose current directory is in the worktree."""
    output: tuple[str, ...] = ()
    """The last lines of the log of the last run, safe for a terminal."""
    output_time: float | None = None
    """The time when the log was written last, in seconds since the epoch."""
    post: Post | None = None
    """The last post of the agent in the session."""


class WatchedSession(NamedTuple):
    """A session with its agents at one moment."""

    session_id: str
    state: str
    """A State, or BROKEN."""
    title: str = ""
    """The first line of the task, with escaped control characters."""
    agents: tuple[WatchedAgent, ...] = ()
    evaluation: Evaluation = Evaluation()
    error: str = ""
    """The reason that the session cannot be read, or ''. It is not escaped."""


class Snapshot(NamedTuple):
    """All sessions of the live view at one moment."""

    now: float
    """The time in seconds since the epoch."""
    sessions: tuple[WatchedSession, ...] = ()
    error: str = ""
    """The reason that nothing can be read, or ''. It is not escaped."""
