"""Read and extend AgentHub's message board: <hub>/board/<channel>/*.md and _index.json.

No post is ever changed, replaced or deleted. A new post gets its number under the lock of the board.
The number is greater than the counter in _index.json and than the numbers of all files. Therefore
no number is used twice, even if a process was killed or the index is damaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.board.channels import (
    Channel,
    channel_files,
    channel_names,
    check_is_new,
    read_posts,
    readable_files,
    summarize_channel,
)
from git_hub_session.board.errors import AmbiguousPost, NoHub, NoSuchChannel, NoSuchPost
from git_hub_session.board.index import INDEX, read_index, with_count, with_next_number
from git_hub_session.board.posts import (
    MAX_POST_BYTES,
    MAX_POSTS,
    Post,
    is_assignment,
    is_valid_parent,
    parse_author,
    parse_new_channel,
    post_from_name,
    render_post,
    sort_key,
    time_sort_key,
    time_stamp,
    with_number,
)
from git_hub_session.board.unlabeled import UnlabeledPosts, select_posts
from git_hub_session.errors import HubError, LockHeld, Refused
from git_hub_session.session.layout import CHANNELS, create_board
from git_hub_session.system.directory import LOCK_TIMEOUT, SafeDirectory, write_error
from git_hub_session.system.json_file import TooLarge, encode_json
from git_hub_session.util.clock import format_iso_seconds
from git_hub_session.util.shell import quote_word

if TYPE_CHECKING:
    from git_hub_session._typing import Any

# The number of posts that are opened to find the newest posts of a session.
_MAX_OPENED_POSTS = 200


class Board:
    """The board of a hub."""

    def __init__(self, hub: str) -> None:
        self._hub = hub
        self.warnings: list[str] = []
        """Problems of the board that did not prevent an answer."""

    def channels(self) -> list[Channel]:
        """Return all channels, those of the index first, or raise NoHub or Damaged."""
        try:
            with self._open_board() as board:
                names = channel_names(board, self._read_index(board))
                return [summarize_channel(board, name) for name in names]
        except FileNotFoundError:
            return [Channel(name) for name in CHANNELS]

    def read(
        self,
        channel: str,
        *,
        since: float | None = None,
        session: str = "",
        max_count: int | None = None,
    ) -> list[Post]:
        """Return the posts of a channel by number, then the files without a number.

        Args:
            since: leave out the files whose name has an earlier time or none, in seconds since the
                epoch. They are not opened.
            session: return only the posts of this session.
            max_count: return at most this many posts, the last ones. No other post is opened.

        Raises:
            NoSuchChannel: the board has no such channel.
            NoHub: there is no hub.
            Damaged: a symbolic link is in the place of a directory.
        """
        try:
            with self._open_board() as board:
                names = channel_names(board, self._read_index(board))
                if channel in names:
                    names = sorted(channel_files(board, channel), key=sort_key, reverse=True)
                    if since is not None:
                        first = time_stamp(format_iso_seconds(since))
                        names = [name for name in names if time_sort_key(name)[0] >= first]
                    posts = read_posts(board, channel, names)
                    wanted = (post for post in posts if session in ("", post.session))
                    return [*islice(wanted, max_count)][::-1]
        except FileNotFoundError:
            names = list(CHANNELS)
        if channel not in names:
            raise NoSuchChannel(channel, names)
        return []

    def find_last_post(self, channel: str, *, session: str, author: str) -> Post | None:
        """Return the author's last post of the session, or None. Raise what read() raises."""
        posts = reversed(self.read(channel, session=session))
        return next((post for post in posts if post.author == author), None)

    def list_posts(self) -> list[Post]:
        """Return all posts with the fields that follow from their file names. Open no post."""
        return [post_from_name(channel, name) for channel, name in self._all_files()]

    def find_post(self, text: str) -> Post:
        """Return the post with the id or `channel/id` in `text`, which may be abbreviated.

        Raises:
            NoSuchPost: no id starts with the text.
            AmbiguousPost: several ids start with the text, and none is equal to it.
        """
        channel, _, start = text.rpartition("/")
        matches = [
            post
            for post in self.list_posts()
            if start and post.file_name.startswith(start) and channel in ("", post.channel)
        ]
        matches = [post for post in matches if post.id == start] or matches
        if not matches:
            raise NoSuchPost(f"no such post: '{text}'", hint="git hub-session board")
        if len(matches) > 1:
            ids = "\n".join(f"  {post.channel}/{post.id}" for post in matches)
            raise AmbiguousPost(
                f"'{text}' is the start of {len(matches)} posts", hint=f"the candidates are\n{ids}"
            )
        post = matches[0]
        with self._open_board() as board:
            return next(read_posts(board, post.channel, [post.file_name]), post)

    def recent_posts(
        self, session: str, limit: int, unlabeled: UnlabeledPosts | None = None
    ) -> list[Post]:
        """Return the newest posts of the session in all channels, without its assignments.

        Open only the newest posts of the board: it may be large, and `status` must stay fast.

        Args:
            unlabeled: the posts without a session that count too. With one of them among the
                newest posts, add the last post of each agent.
        """
        newest = sorted(self._all_files(), key=lambda file: time_sort_key(file[1]), reverse=True)
        posts: list[Post] = []
        if newest:
            with self._open_board() as board:
                for channel, name in newest[:_MAX_OPENED_POSTS]:
                    posts += (
                        post
                        for post in read_posts(board, channel, [name])
                        if (post.session == session and not is_assignment(post))
                        or (unlabeled and unlabeled.includes(post))
                    )
                    if len(posts) >= limit and all(post.session for post in posts):
                        break
        return select_posts(posts, limit)

    def add_post(
        self,
        channel: str,
        *,
        author: str,
        text: str,
        session: str,
        parent: str = "",
        now: float,
        dry_run: bool = False,
    ) -> Post:
        """Add a post with the next number of the channel and return it. Change nothing on an error.

        Args:
            session: the id of a session, or ''.
            parent: the id of the post to reply to, or ''.
            now: the time in seconds since the epoch.
            dry_run: return the post without adding it.

        Raises:
            InvalidAuthor: the author is not valid.
            NoSuchChannel: the board has no such channel.
            Refused: `parent` is not valid.
            TooLarge: the post is too large.
            NoHub: there is no hub.
            LockHeld: another process has locked the board.
            CannotWrite: the post cannot be written.
            Damaged: a symbolic link is in the place of a directory.
        """
        draft = Post(
            channel, "", 0, parse_author(author), format_iso_seconds(now), parent, session, text
        )
        self._check_size(draft)
        return self._preview_post(draft) if dry_run else self._write_posts(channel, [draft])[0]

    def add_posts(
        self, channel: str, *, author: str, texts: Sequence[str], session: str, now: float
    ) -> list[Post]:
        """Add a post for each text, and write the index once. Raise what add_post() raises.

        After an error, some of the posts may have been added.
        """
        time = format_iso_seconds(now)
        drafts = [
            Post(channel, "", 0, parse_author(author), time, "", session, text) for text in texts
        ]
        for draft in drafts:
            self._check_size(draft)
        return self._write_posts(channel, drafts)

    def _check_size(self, draft: Post) -> None:
        """Raise Refused for an invalid parent, HubError for invalid text, or TooLarge."""
        parent = draft.parent
        if parent and not is_valid_parent(parent):
            rename = f"rename {quote_word(f'{self._hub}/board/{draft.channel}/{parent}.md')}"
            raise Refused(f"invalid post id for a reply: '{parent}'", hint=rename)
        try:
            size = len(render_post(with_number(draft, MAX_POSTS)))
        except UnicodeEncodeError:
            raise HubError("the text is not UTF-8") from None
        if size > MAX_POST_BYTES:
            raise TooLarge(f"the post is larger than {MAX_POST_BYTES} bytes")

    def create_channel(self, name: str, *, dry_run: bool = False) -> None:
        """Create an empty channel. Raise what add_post() raises for a board that cannot be written.

        Raises:
            InvalidChannel: the name is not valid.
            ChannelExists: the board has this channel.
        """
        parse_new_channel(name)
        if dry_run:
            try:
                with self._open_board() as board:
                    check_is_new(name, channel_names(board, self._read_index(board)))
            except FileNotFoundError:
                check_is_new(name, [*CHANNELS])
            return
        try:
            with self._lock_board() as board:
                index = self._read_index(board)
                check_is_new(name, channel_names(board, index))
                board.ensure_child(name).close()
                self._write_index(board, with_count(index, name, 0))
        except OSError as error:
            raise write_error(f"{self._hub}/board/{name}", error) from None

    def rebuild_index(self) -> None:
        """Write the index again. Count the files if it is damaged. Raise what add_post() raises."""
        try:
            with self._lock_board() as board:
                board.replace_atomically(INDEX, encode_json(self._read_index(board)))
        except OSError as error:
            raise write_error(f"{self._hub}/board/{INDEX}", error) from None

    def _preview_post(self, draft: Post) -> Post:
        try:
            with self._open_board() as board:
                return with_next_number(board, self._read_index(board), draft)
        except FileNotFoundError:  # the first post creates the board
            if draft.channel not in CHANNELS:
                raise NoSuchChannel(draft.channel, [*CHANNELS], create=True) from None
            return with_number(draft, 1)

    def _write_posts(self, channel: str, drafts: Sequence[Post]) -> list[Post]:
        posts: list[Post] = []
        try:
            with self._lock_board() as board:
                index = self._read_index(board)
                for draft in drafts:
                    post = with_next_number(board, index, draft)
                    with board.ensure_child(channel) as directory:
                        directory.create_atomically(post.file_name, render_post(post))
                    posts.append(post)
                self._write_index(board, with_count(index, channel, posts[-1].sequence))
        except OSError as error:
            raise write_error(f"{self._hub}/board/{channel}", error) from None
        return posts

    def _add_warning(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

    def _open_board(self) -> SafeDirectory:
        """Open the board.

        Raises:
            NoHub: there is no hub.
            FileNotFoundError: the hub has no board.
            Damaged: the board is a symbolic link.
        """
        with self._open_hub() as hub:
            return hub.open_child("board")

    def _open_hub(self) -> SafeDirectory:
        try:
            return SafeDirectory(self._hub)
        except FileNotFoundError:
            raise NoHub(self._hub) from None

    def _lock_board(self) -> SafeDirectory:
        """Open and lock the board. Create it if it is missing."""
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
        """Return channel and file name of all posts, or raise NoHub or Damaged."""
        try:
            with self._open_board() as board:
                names = channel_names(board, self._read_index(board))
                return [
                    (channel, name) for channel in names for name in readable_files(board, channel)
                ]
        except FileNotFoundError:
            return []

    def _read_index(self, board: SafeDirectory) -> dict[str, Any]:
        index, problem = read_index(board)
        if problem:
            self._add_warning(problem)
        return index

    def _write_index(self, board: SafeDirectory, index: dict[str, Any]) -> None:
        """Write the index. An error is only a warning: the next post counts the files again."""
        try:
            board.replace_atomically(INDEX, encode_json(index))
        except TooLarge as error:
            self._add_warning(f"{INDEX} cannot be written: {error.message}")
        except OSError as error:
            self._add_warning(f"{INDEX} cannot be written: {error.strerror}")
