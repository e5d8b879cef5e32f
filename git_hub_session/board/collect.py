"""Collect the posts that agents wrote into their worktrees, and add them to the board.

AgentHub's prompts name the paths of posts relative to the current directory. So an agent writes
`.agenthub/board/progress/agent-1-iter-2.md` into its worktree, where no command reads the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.board.posts import (
    MAX_POST_BYTES,
    Post,
    is_post_file,
    is_valid_channel,
    is_valid_parent,
    parse_post,
    post_from_name,
)
from git_hub_session.errors import Damaged, HubError, describe_read_error
from git_hub_session.git.discovery import HUB_DIRECTORY
from git_hub_session.system.directory import SafeDirectory

if TYPE_CHECKING:
    from git_hub_session.board.board import Board


class WorktreePost(NamedTuple):
    """The file of a post in a worktree."""

    post: Post
    """The parsed file. Its `reason` is the reason that it cannot be added to the board, or ''."""
    data: bytes
    written: float
    """The time of the last change of the file, in seconds since the epoch."""


def worktree_posts(top: str, board: Board) -> list[WorktreePost]:
    """Return the posts in the worktree at `top`, or none if they cannot be read.

    Raises:
        HubError: the board cannot be read.
    """
    known = {channel.name for channel in board.channels()}
    posts: list[WorktreePost] = []
    try:
        with _open_board(top) as directory:
            for channel in filter(is_valid_channel, directory.child_directories()[0]):
                reason = "" if channel in known else f"the board has no channel '{channel}'"
                posts += _read_channel(directory, channel, reason)
    except (Damaged, OSError):
        pass  # a symbolic link or a file in the place of a directory
    return posts


def _read_channel(board: SafeDirectory, channel: str, reason: str) -> Iterator[WorktreePost]:
    with board.open_child(channel) as directory:
        for name in filter(is_post_file, directory.names()):
            data, written = b"", 0.0
            try:
                data = directory.read(name, limit=MAX_POST_BYTES)
                written = os.stat(name, dir_fd=directory.fd, follow_symlinks=False).st_mtime
                post = parse_post(channel, name, data)
            except (Damaged, OSError) as error:
                post = post_from_name(channel, name, describe_read_error(error))
            yield WorktreePost(post._replace(reason=post.reason or reason), data, written)


def collect_posts(top: str, board: Board, *, author: str, session: str) -> None:
    """Add the posts in the worktree at `top` to the board, and delete their files.

    Delete a file only if its post is on the board and the file has not changed. Do not add a post
    again that an interrupted call has added.

    Args:
        author: the name of the agent.

    Raises:
        HubError: a post cannot be added. The posts before it are on the board.
    """
    for file in worktree_posts(top, board):
        if file.post.reason:
            continue
        if not _is_on_board(file.post, board, author=author, session=session):
            _add_post(file, board, author=author, session=session)
        if not _is_on_board(file.post, board, author=author, session=session):
            raise HubError(f"'{file.post.file_name}' is not on the board")
        with _open_board(top) as source, source.open_child(file.post.channel) as directory:
            name = file.post.file_name
            if directory.read(name, limit=MAX_POST_BYTES) == file.data:
                directory.unlink_if_exists(name)


def _add_post(file: WorktreePost, board: Board, *, author: str, session: str) -> None:
    parent = file.post.parent
    board.add_post(
        file.post.channel,
        author=author,
        text=file.post.text,
        session=session,
        parent=parent if is_valid_parent(parent) else "",
        now=file.written,
    )


def _is_on_board(post: Post, board: Board, *, author: str, session: str) -> bool:
    wanted = (author, session, post.text)
    return wanted in (
        (other.author, other.session, other.text) for other in board.read(post.channel)
    )


def _open_board(top: str) -> SafeDirectory:
    """Open the board in a worktree, without following links."""
    with SafeDirectory(top) as worktree, worktree.open_child(HUB_DIRECTORY) as hub:
        return hub.open_child("board")
