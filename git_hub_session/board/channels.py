"""Read the channels of an open board: their names, numbers, files and posts."""

from __future__ import annotations

from collections.abc import Iterator

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.board.errors import ChannelExists
from git_hub_session.board.posts import (
    MAX_POST_BYTES,
    Post,
    is_post_file,
    is_valid_channel,
    parse_post,
    post_from_name,
    post_number,
    sort_key,
)
from git_hub_session.errors import Damaged, describe_read_error

if TYPE_CHECKING:
    from git_hub_session.system.directory import SafeDirectory

# Only the newest posts of a channel are read up to this size: a cloned board may be huge.
_MAX_CHANNEL_BYTES = 16 << 20


class Channel(NamedTuple):
    """The summary of a channel."""

    name: str
    posts: int = 0
    last: Post | None = None
    """The post with the highest number."""
    reason: str = ""
    """The reason why the channel cannot be read, or ''."""


def channel_names(board: SafeDirectory, index: dict[str, Any]) -> list[str]:
    """Return the channels of the index in its order, then the other directories.

    Symbolic links are included, so that the user sees an error for them.
    """
    indexed = [name for name in index["channels"] if isinstance(name, str)]
    names = dict.fromkeys([*indexed, *board.child_directories()[0]])
    return [name for name in names if is_valid_channel(name)]


def check_is_new(name: str, names: list[str]) -> None:
    """Raise ChannelExists if `names` has the channel. Some file systems ignore the letter case."""
    existing = next((other for other in names if other.casefold() == name.casefold()), None)
    if existing is not None:
        raise ChannelExists(existing)


def highest_number(files: list[str]) -> int:
    return max(map(post_number, files), default=0)


def channel_files(board: SafeDirectory, channel: str) -> list[str]:
    """Return the file names of posts, or none if the channel is missing."""
    try:
        with board.open_child(channel) as directory:
            return [name for name in directory.names() if is_post_file(name)]
    except FileNotFoundError:
        return []


def readable_files(board: SafeDirectory, channel: str) -> list[str]:
    """Return the file names of posts, or none if the channel cannot be read."""
    try:
        return channel_files(board, channel)
    except (Damaged, OSError):
        return []


def summarize_channel(board: SafeDirectory, name: str) -> Channel:
    try:
        files = sorted(channel_files(board, name), key=sort_key)
        numbered = [file for file in files if post_number(file)]
        last = next(read_posts(board, name, numbered[-1:] or files[-1:]), None)
        return Channel(name, len(files), last)
    except (Damaged, OSError) as error:
        return Channel(name, reason=describe_read_error(error))


def read_posts(board: SafeDirectory, channel: str, names: list[str]) -> Iterator[Post]:
    """Yield the posts in the files `names`, which the caller has sorted: the newest first.

    A post whose file cannot be read has a `reason`. So have the posts beyond the size limit, whose
    files are not read.
    """
    if not names:
        return
    remaining = _MAX_CHANNEL_BYTES
    with board.open_child(channel) as directory:
        for name in names:
            if remaining <= 0:
                reason = f"not read: the newer posts have more than {_MAX_CHANNEL_BYTES} bytes"
                yield post_from_name(channel, name, reason)
                continue
            try:
                data = directory.read(name, limit=MAX_POST_BYTES)
                remaining -= len(data)
                yield parse_post(channel, name, data)
            except FileNotFoundError:
                pass  # the file was removed in the meantime
            except (Damaged, OSError) as error:
                reason = describe_read_error(error).removeprefix(f"{name}: ")
                yield post_from_name(channel, name, reason)
