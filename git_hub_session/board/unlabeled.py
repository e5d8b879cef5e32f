"""Posts of AgentHub's script, which do not name their session.

Such a post belongs to the session that was created last before the post.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.ref_names import agent_number
from git_hub_session.session.read import UnreadableSession
from git_hub_session.util.clock import parse_iso

if TYPE_CHECKING:
    from git_hub_session.board.posts import Post
    from git_hub_session.session.model import Session
    from git_hub_session.session.store import Store

_INFINITE = float("inf")


def select_posts(posts: Sequence[Post], limit: int) -> list[Post]:
    """Return the first posts. If a post names no session, add the last post of each other agent.

    AgentHub's agents also write files without a time in their names. So if a post names no session,
    sort by the time in the post.
    """
    if all(post.session for post in posts):
        return list(posts[:limit])
    newest = sorted(posts, key=_post_time, reverse=True)
    selected = newest[:limit]
    authors = {post.author for post in selected}
    for post in newest[limit:]:
        if agent_number(post.author) and post.author not in authors:
            authors.add(post.author)
            selected.append(post)
    return selected


def _post_time(post: Post) -> float:
    return parse_iso(post.timestamp) or 0.0


class UnlabeledPosts:
    """The posts without a session that belong to one session."""

    def __init__(self, session: Session, store: Store) -> None:
        self._session = session
        self._store = store

    def includes(self, post: Post) -> bool:
        """Return True if the post names no session, and this one was the newest at its time."""
        time = None if post.session else parse_iso(post.timestamp)
        if time is None:
            return False
        start, end = self._time_span
        return start <= time < end

    @cached_property
    def _time_span(self) -> tuple[float, float]:
        """The times at which this session and the next one were created.

        They are whole seconds, as in posts. The other sessions are read only if a post needs them.
        """
        start = parse_iso(self._session.created)
        if start is None:
            return _INFINITE, _INFINITE
        others = [
            parse_iso(session.created)
            for session in self._store.read_all()
            if not isinstance(session, UnreadableSession)
        ]
        later = [time // 1 for time in others if time is not None and time > start]
        return start // 1, min(later, default=_INFINITE)
