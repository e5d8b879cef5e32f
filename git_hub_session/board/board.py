"""AgentHub's message board on disk: <hub>/board/<channel>/*.md, and _index.json, which counts.

It only grows: no post is ever changed, replaced or deleted. A number is taken under the
board's lock, from the index and from the files, whichever is further on; so neither a
killed process nor a damaged index makes one be given twice.
"""

from __future__ import annotations

from collections.abc import Iterator

from git_hub_session._typing import Any, NamedTuple
from git_hub_session.board.posts import (
    LIMIT,
    MAX_POSTS,
    Post,
    is_post_file,
    is_valid_channel,
    is_valid_parent,
    parse_author,
    parse_post,
    post_from_name,
    post_number,
    render_post,
    sort_key,
    time_sort_key,
    with_number,
)
from git_hub_session.errors import Damaged, HubError, Refused, describe_read_error
from git_hub_session.session.json_file import TooLarge, encode_json, read_json
from git_hub_session.session.layout import CHANNELS, create_board
from git_hub_session.system.directory import LOCK_TIMEOUT, LockHeld, SafeDirectory, write_error
from git_hub_session.util.clock import format_iso_seconds

_INDEX = "_index.json"
# How many posts are opened to find the last ones of a session.
_SEARCHED = 200


class NoHub(HubError):
    """There is no hub yet, so there is nothing to talk about."""

    code = "no-hub"

    def __init__(self, hub: str) -> None:
        super().__init__(f"no hub at '{hub}'", hint="git hub-session init --task <text>")


class NoSuchChannel(Refused):
    """The board has no channel of that name."""

    code = "no-such-channel"

    def __init__(self, channel: str, names: list[str]) -> None:
        super().__init__(
            f"no such channel: '{channel}'", hint=f"the channels are {', '.join(names)}"
        )


class NoSuchPost(HubError):
    """No post's id starts so."""

    code = "no-such-post"


class AmbiguousPost(HubError):
    """More than one post's id starts so."""

    code = "ambiguous-post"


class Board:
    """The board of a hub; `notes` tells what was wrong with it and stopped nothing."""

    def __init__(self, hub: str) -> None:
        self._hub = hub
        self.notes: list[str] = []

    def channels(self) -> list[Channel]:
        """Every channel, those of the index first; raises NoHub, Damaged."""
        try:
            with self._open_board() as board:
                return [
                    summarize_channel(board, name)
                    for name in channel_names(board, self._read_index(board))
                ]
        except FileNotFoundError:
            return [Channel(name) for name in CHANNELS]

    def read(self, channel: str) -> list[Post]:
        """The posts of a channel by number, then the files that have none; raises NoSuchChannel, NoHub, Damaged."""
        try:
            with self._open_board() as board:
                names = channel_names(board, self._read_index(board))
                if channel in names:
                    names = sorted(channel_files(board, channel), key=sort_key, reverse=True)
                    return [*read_posts(board, channel, names)][::-1]
        except FileNotFoundError:
            names = list(CHANNELS)
        if channel not in names:
            raise NoSuchChannel(channel, names)
        return []

    def find_last_post(self, channel: str, *, session: str, author: str) -> Post | None:
        """The author's last post there for the session; raises as `read` does."""
        for post in reversed(self.read(channel)):
            if (post.session, post.author) == (session, author):
                return post
        return None

    def find_post(self, text: str) -> Post:
        """The post whose id, or `channel/id`, is `text` or alone starts so; raises NoSuchPost, AmbiguousPost."""
        within, _, start = text.rpartition("/")
        found = [
            (channel, name)
            for channel, name in self._all_files()
            if name.startswith(start) and start and within in ("", channel)
        ]
        found = [one for one in found if post_from_name(*one).id == start] or found
        if not found:
            raise NoSuchPost(f"no such post: '{text}'", hint="try 'git hub-session board'")
        if len(found) > 1:
            ids = "\n".join(
                f"  {channel}/{post_from_name(channel, name).id}" for channel, name in found
            )
            raise AmbiguousPost(
                f"'{text}' is the start of {len(found)} posts", hint=f"the candidates are\n{ids}"
            )
        [(channel, name)] = found
        with self._open_board() as board:
            return next(read_posts(board, channel, [name]), post_from_name(channel, name))

    def recent_posts(self, session: str, most: int) -> list[Post]:
        """The session's last posts in all channels, the newest first; raises NoHub, Damaged, OSError.

        It is asked for by who wants something else: a board may be large, and only the last posts are opened.
        """
        newest = sorted(self._all_files(), key=lambda one: time_sort_key(one[1]), reverse=True)
        found: list[Post] = []
        if newest:
            with self._open_board() as board:
                for channel, name in newest[:_SEARCHED]:
                    found += (p for p in read_posts(board, channel, [name]) if p.session == session)
                    if len(found) >= most:
                        break
        return found[:most]

    def add_post(
        self,
        channel: str,
        *,
        author: str,
        text: str,
        session: str,
        parent: str = "",
        now: float,
        rehearsal: bool = False,
    ) -> Post:
        """Put a post there, whole, under a number that no other has; a rehearsal changes nothing.

        Raises InvalidAuthor, NoSuchChannel, TooLarge, NoHub, LockHeld, CannotWrite, Damaged;
        nothing was changed then. `session` and `parent` may be ''.
        """
        draft = Post(
            channel, "", 0, parse_author(author), format_iso_seconds(now), parent, session, text
        )
        _check_size(draft)
        if rehearsal:
            return self._preview_post(draft)
        try:
            with self._lock_board() as board:
                index = self._read_index(board)
                post = _with_next_number(board, index, draft)
                with board.ensure_child(channel) as directory:
                    directory.create_atomically(post.file, render_post(post))
                self._update_index(board, index, post)
        except OSError as fault:
            raise write_error(f"{self._hub}/board/{channel}", fault) from None
        return post

    def rebuild_index(self) -> None:
        """Write the index again, from the files if it cannot be read; raises as `post` does."""
        try:
            with self._lock_board() as board:
                board.replace_atomically(_INDEX, encode_json(self._read_index(board)))
        except OSError as fault:
            raise write_error(f"{self._hub}/board/{_INDEX}", fault) from None

    def _preview_post(self, draft: Post) -> Post:
        try:
            with self._open_board() as board:
                return _with_next_number(board, self._read_index(board), draft)
        except FileNotFoundError:  # a board that the first post makes
            if draft.channel not in CHANNELS:
                raise NoSuchChannel(draft.channel, list(CHANNELS)) from None
            return with_number(draft, 1)

    def _add_warning(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _open_board(self) -> SafeDirectory:
        """The board; raises NoHub, FileNotFoundError where the hub has none, Damaged for a link."""
        with self._open_hub() as hub:
            return hub.open_child("board")

    def _open_hub(self) -> SafeDirectory:
        try:
            return SafeDirectory(self._hub)
        except FileNotFoundError:
            raise NoHub(self._hub) from None

    def _lock_board(self) -> SafeDirectory:
        """The board, made where it is missing, under its lock; raises NoHub, LockHeld, Damaged."""
        with self._open_hub() as hub:
            if not hub.exists("board"):
                create_board(hub)
            board = hub.open_child("board")
        try:
            board.lock(wait=LOCK_TIMEOUT)
        except LockHeld:
            board.close()
            raise LockHeld(
                "the board is locked by another process", hint="try again when it has finished"
            ) from None
        return board

    def _all_files(self) -> list[tuple[str, str]]:
        """Every file that is shown as a post: its channel and its name; raises NoHub, Damaged."""
        try:
            with self._open_board() as board:
                names = channel_names(board, self._read_index(board))
                return [
                    (channel, name) for channel in names for name in readable_files(board, channel)
                ]
        except FileNotFoundError:
            return []

    def _read_index(self, board: SafeDirectory) -> dict[str, Any]:
        """_index.json, its `channels` a list and its `counters` a dictionary: made from the files if need be."""
        if board.exists(_INDEX):
            try:
                index = read_json(board, _INDEX)
            except Damaged as fault:
                self._add_warning(f"the posts were counted anew: {fault.message}")
            else:
                index = {"channels": [], "counters": {}, **index}
                if isinstance(index["channels"], list) and isinstance(index["counters"], dict):
                    return index
                self._add_warning(f"the posts were counted anew: {_INDEX}: not an index")
        known = {"channels": list(CHANNELS), "counters": {}}
        names = channel_names(board, known)
        return {
            "channels": names,
            "counters": {name: highest_number(readable_files(board, name)) for name in names},
        }

    def _update_index(self, board: SafeDirectory, index: dict[str, Any], post: Post) -> None:
        """Write down the number that was taken; if that fails the next post does it, since the file is there."""
        index["counters"][post.channel] = post.sequence
        if post.channel not in index["channels"]:
            index["channels"].append(post.channel)
        try:
            board.replace_atomically(_INDEX, encode_json(index))
        except (OSError, TooLarge) as fault:
            why = fault.message if isinstance(fault, TooLarge) else fault.strerror
            self._add_warning(f"{_INDEX} could not be written: {why}")


def _check_size(draft: Post) -> None:
    if draft.parent and not is_valid_parent(draft.parent):
        raise Refused(f"a reply cannot name '{draft.parent}'", hint="rename that file, or post")
    try:
        size = len(render_post(with_number(draft, MAX_POSTS)))
    except UnicodeEncodeError:
        raise HubError("the text is not UTF-8") from None
    if size > LIMIT:
        raise TooLarge(f"the post is larger than {LIMIT} bytes")


def _with_next_number(board: SafeDirectory, index: dict[str, Any], draft: Post) -> Post:
    """The draft under the channel's next number; raises NoSuchChannel, Refused."""
    names = channel_names(board, index)
    if draft.channel not in names:
        raise NoSuchChannel(draft.channel, names)
    number = (
        max(
            recorded_count(index, draft.channel),
            highest_number(channel_files(board, draft.channel)),
        )
        + 1
    )
    if number > MAX_POSTS:
        raise Refused(f"channel '{draft.channel}' has no number left")
    return with_number(draft, number)


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
    except (Damaged, OSError) as fault:
        return Channel(name, reason=describe_read_error(fault))


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
