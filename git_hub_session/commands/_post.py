"""A post of the message board, for the answers that show one."""

from __future__ import annotations

from git_hub_session._typing import Any
from git_hub_session.board.posts import Post
from git_hub_session.util.clock import format_age_since
from git_hub_session.util.text import escape_control


def post_summary(post: Post, now: float) -> str:
    """A post on one line: its id, its age and how it begins."""
    age = f"  {format_age_since(post.timestamp, now)}" if post.timestamp else ""
    begins = post.reason or post.text.partition("\n")[0]
    return f"{escape_control(post.id)}{age}: {escape_control(begins)}"


def post_fields(post: Post) -> dict[str, Any]:
    """The post as the one object that it is everywhere; what it does not say is null."""
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
