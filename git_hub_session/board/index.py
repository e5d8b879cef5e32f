"""Read and change the index of the board: the channels and their last numbers."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.board.channels import (
    channel_files,
    channel_names,
    highest_number,
    readable_files,
)
from git_hub_session.board.errors import NoSuchChannel
from git_hub_session.board.posts import MAX_POSTS, post_number, with_number
from git_hub_session.errors import Damaged
from git_hub_session.session.layout import CHANNELS
from git_hub_session.system.json_file import read_json

if TYPE_CHECKING:
    from git_hub_session.board.posts import Post
    from git_hub_session.system.directory import SafeDirectory

INDEX = "_index.json"


def read_index(board: SafeDirectory) -> tuple[dict[str, Any], str]:
    """Return the index with a list `channels` and a dict `counters`, and a warning or ''.

    If the file is missing or damaged, count the files of the board.
    """
    problem = ""
    if board.exists(INDEX):
        try:
            index = {"channels": [], "counters": {}, **read_json(board, INDEX)}
            if isinstance(index["channels"], list) and isinstance(index["counters"], dict):
                return index, ""
            problem = f"the posts were counted again: {INDEX}: not an index"
        except Damaged as error:
            problem = f"the posts were counted again: {error.message}"
    names = channel_names(board, {"channels": list(CHANNELS)})
    counters = {name: highest_number(readable_files(board, name)) for name in names}
    return {"channels": names, "counters": counters}, problem


def recorded_count(index: dict[str, Any], channel: str) -> int:
    """Return the counter in the index, or 0 if it is not a valid number."""
    count = index["counters"].get(channel)
    return count if type(count) is int and 0 <= count <= MAX_POSTS else 0


def with_count(index: dict[str, Any], channel: str, count: int) -> dict[str, Any]:
    """Return the index with this channel, and with the number of its last post."""
    names = index["channels"]
    return {
        **index,
        "channels": names if channel in names else [*names, channel],
        "counters": {**index["counters"], channel: count},
    }


def with_next_number(board: SafeDirectory, index: dict[str, Any], draft: Post) -> Post:
    """Return the draft with the next number of its channel, or raise NoSuchChannel."""
    names = channel_names(board, index)
    if draft.channel not in names:
        raise NoSuchChannel(draft.channel, names, create=True)
    count = recorded_count(index, draft.channel)
    files = channel_files(board, draft.channel)
    number = 1 + max(count, highest_number(files))
    if number > MAX_POSTS:  # a post of another clone may have the last number
        taken = {*map(post_number, files)}
        number = next(free for free in range(1, len(taken) + 2) if free not in taken)
    return with_number(draft, number)
