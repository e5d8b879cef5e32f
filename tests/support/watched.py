"""A snapshot for the live view, without a repository."""

from __future__ import annotations

from typing import Any

from git_hub_session.board.posts import Post
from git_hub_session.cli.view import TerminalStyle
from git_hub_session.session.model import AgentResult
from git_hub_session.watch.facts import Snapshot, WatchedAgent, WatchedSession
from git_hub_session.worktree.agent_progress import AgentProgress

HOSTILE = "\x1b[2J\x1b]0;title\x07\x9b\u202e[bold]\r\nx"
"""A text that would clear the screen, set its title and reverse the text of a terminal."""
NOW = 1_773_757_822.0  # 2026-03-17T14:30:22Z


def style(columns: int | None, *, color: bool = False) -> TerminalStyle:
    """Return a UTF-8 terminal of this width."""
    return TerminalStyle(columns, color, "→", "…", "−")


def agent(
    number: int = 1, state: str = "done", *, rank: int | None = None, **facts: Any
) -> WatchedAgent:
    """Return an agent. Facts are fields of WatchedAgent or of AgentProgress.

    Args:
        rank: the rank in the last evaluation, 0 for an agent without a rank, or None without an
            evaluation.
    """
    own = {name: facts.pop(name) for name in WatchedAgent._fields if name in facts}
    result = None if rank is None else AgentResult(number, 1, "a" * 40, rank, 140.0 + rank)
    return WatchedAgent(AgentProgress(number, 1, state, result=result, **facts), **own)


POST = Post("results", "001", 1, "agent-1", "2026-03-17T14:29:22Z", "", "s1", "p50 is 141\nmore")
SNAPSHOT = Snapshot(
    NOW,
    (
        WatchedSession(
            "20260317-143022",
            "running",
            "Make the 世界 fast",
            (
                agent(
                    1,
                    "done",
                    rank=1,
                    uncommitted=3,
                    commit_time=int(NOW) - 300,
                    subject="Use a cache",
                    output=("first", "tests passed"),
                    post=POST,
                ),
                agent(2, "running", started=NOW - 75, pids=(5, 6), output=("compiling 世界",)),
                agent(3, "failed", failure="failed with exit code 3", output=("error: no",)),
            ),
        ),
    ),
)
