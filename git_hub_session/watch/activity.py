"""The last output and the last post of each agent, read again only if they have changed."""

from __future__ import annotations

import os

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.board.recent import read_recent_posts
from git_hub_session.review.log_end import read_log_end
from git_hub_session.util.text import decode_terminal_line
from git_hub_session.watch.cache import Cache, Stamp, read_stamp

if TYPE_CHECKING:
    from collections.abc import Iterable

    from git_hub_session.board.posts import Post
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project

_OUTPUT_LINES = 8
_OUTPUT_BYTES = 1 << 12
_SEARCHED_POSTS = 200
_NANOSECONDS = 1_000_000_000


class Output(NamedTuple):
    """The last lines of a log."""

    lines: tuple[str, ...] = ()
    """The lines, safe for a terminal. Empty lines are left out."""
    time: float | None = None
    """The time of the last write in seconds since the epoch, or None without a log."""


class OutputReader:
    """The ends of logs."""

    def __init__(self) -> None:
        self._outputs: Cache[Output] = Cache()

    def read(self, log: str, sid: SessionId, project: Project) -> Output:
        """Return the end of a log as it is now. '' has no lines."""
        if not log:
            return Output()
        stamp = read_stamp(log)
        return self._outputs.get(log, stamp, lambda: _read_output(log, stamp, sid, project))

    def keep_only(self, logs: Iterable[str]) -> None:
        """Forget all other logs."""
        self._outputs.keep_only(logs)


def _read_output(log: str, stamp: Stamp, sid: SessionId, project: Project) -> Output:
    lines = read_log_end(log, sid, project, limit=_OUTPUT_BYTES)
    texts = [text for text in map(decode_terminal_line, lines) if text.strip()]
    return Output(tuple(texts[-_OUTPUT_LINES:]), stamp[-1] / _NANOSECONDS if stamp else None)


class PostReader:
    """The last post of each agent."""

    def __init__(self, hub: str) -> None:
        self._board = f"{hub}/board"
        self._posts: Cache[dict[str, Post]] = Cache()

    def read_stamp(self) -> tuple[object, ...]:
        """Return a value that differs after a new post."""
        try:
            with os.scandir(self._board) as entries:
                names = sorted(entry.name for entry in entries)
        except OSError:
            return ()
        return tuple((name, read_stamp(f"{self._board}/{name}")) for name in names)

    def read(self, session: Session, stamp: object, project: Project) -> dict[str, Post]:
        """Return the last post of each author in a session. A damaged board has no posts."""
        key = stamp, session.updated
        return self._posts.get(session.id, key, lambda: _read_posts(session, project))

    def keep_only(self, sids: Iterable[str]) -> None:
        """Forget all other sessions."""
        self._posts.keep_only(sids)


def _read_posts(session: Session, project: Project) -> dict[str, Post]:
    posts, _ = read_recent_posts(session, project.store, _SEARCHED_POSTS)
    return {post.author: post for post in reversed(posts)}
