"""A post of the message board as text and as JSON."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.util.clock import format_age_since
from git_hub_session.util.text import escape_control

if TYPE_CHECKING:
    from git_hub_session._typing import Any
    from git_hub_session.board.posts import Post


def post_summary(post: Post, now: float) -> str:
    """Return a post as one line: its id, its age and its first line."""
    age = f"  {format_age_since(post.timestamp, now)}" if post.timestamp else ""
    first_line = post.reason or post.text.partition("\n")[0]
    return f"{escape_control(post.id)}{age}: {escape_control(first_line)}"


def post_fields(post: Post) -> dict[str, Any]:
    """Return the fields of a post. A missing value is None."""
    return {
        "post": post.id,
        "channel": post.channel,
        "sequence": post.sequence or None,
        "author": post.author or None,
        "timestamp": post.timestamp or None,
        "parent": post.parent or None,
        "session": post.session or None,
        "reason": post.reason or None,
        "text": post.text,
    }
