"""Read the newest posts of a session, also if the board is damaged."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.board.board import Board
from git_hub_session.board.unlabeled import UnlabeledPosts
from git_hub_session.errors import Damaged

if TYPE_CHECKING:
    from git_hub_session.board.posts import Post
    from git_hub_session.session.model import Session
    from git_hub_session.session.store import Store


def read_recent_posts(session: Session, store: Store, limit: int) -> tuple[list[Post], str]:
    """Return the newest posts of the session, and the error of an unreadable board, or ''.

    A damaged board must not hide the session.
    """
    try:
        unlabeled = UnlabeledPosts(session, store)
        return Board(store.hub).recent_posts(session.id, limit, unlabeled), ""
    except Damaged as error:
        return [], error.message
    except OSError as error:
        return [], f"the board cannot be read: {error.strerror}"
