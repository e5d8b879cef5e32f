"""The files of the board's channels, looked at: what cannot be read says why, and stops nobody else."""

from __future__ import annotations

from collections.abc import Iterator

from git_hub_session.errors import Damaged
from git_hub_session.files import SafeDirectory
from git_hub_session.posts import (
    LIMIT,
    MAX_POSTS,
    Post,
    is_valid_channel,
    is_post_file,
    post_number,
    sort_key,
    parse_post,
    post_from_name,
)
from git_hub_session.typed import Any, NamedTuple

# How much of a channel is read, the last posts of it: who clones a board did not choose its size.
_MOST_READ = 16 << 20  # bytes


class Channel(NamedTuple):
    """A channel in short."""

    name: str
    posts: int = 0
    last: Post | None = None
    """The one with the highest number."""
    reason: str = ""
    """Why it cannot be read, or ''."""


def channel_names(board: SafeDirectory, index: dict[str, Any]) -> list[str]:
    """The channels: those of the index in its order, then the other directories; links too, to be refused."""
    named = [name for name in index["channels"] if isinstance(name, str)]
    return [
        name
        for name in dict.fromkeys([*named, *board.child_directories()[0]])
        if is_valid_channel(name)
    ]


def recorded_count(index: dict[str, Any], channel: str) -> int:
    """What the index has counted; 0 where that is no number."""
    count = index["counters"].get(channel)
    return count if type(count) is int and 0 <= count <= MAX_POSTS else 0


def highest_number(files: list[str]) -> int:
    return max(map(post_number, files), default=0)


def channel_files(board: SafeDirectory, channel: str) -> list[str]:
    """The names of a channel's files; none where it is not there yet. Raises Damaged, OSError."""
    try:
        with board.open_child(channel) as directory:
            return [name for name in directory.names() if is_post_file(name)]
    except FileNotFoundError:
        return []


def readable_files(board: SafeDirectory, channel: str) -> list[str]:
    """Those of its files; none where it cannot be read, which stops no other."""
    try:
        return channel_files(board, channel)
    except (Damaged, OSError):
        return []


def summarize_channel(board: SafeDirectory, name: str) -> Channel:
    try:
        files = sorted(channel_files(board, name), key=sort_key)
        last = next(read_posts(board, name, [*filter(post_number, files)][-1:] or files[-1:]), None)
        return Channel(name, len(files), last)
    except Damaged as fault:
        return Channel(name, reason=fault.message)
    except OSError as fault:
        return Channel(name, reason=f"cannot be read: {fault.strerror}")


def read_posts(board: SafeDirectory, channel: str, names: list[str]) -> Iterator[Post]:
    """What the files say, in that order, up to _MOST_READ; one that cannot be read says why, and stops nobody else."""
    if not names:
        return
    left = _MOST_READ
    with board.open_child(channel) as directory:
        for name in names:
            if left <= 0:
                yield post_from_name(
                    channel, name, f"there are more than {_MOST_READ} bytes of newer posts"
                )
                continue
            try:
                data = directory.read(name, limit=LIMIT)
                left -= len(data)
                yield parse_post(channel, name, data)
            except FileNotFoundError:
                pass  # removed while we looked
            except Damaged as fault:
                yield post_from_name(channel, name, fault.message.removeprefix(f"{name}: "))
            except OSError as fault:
                yield post_from_name(channel, name, f"cannot be read: {fault.strerror}")
