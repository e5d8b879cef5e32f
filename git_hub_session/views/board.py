"""The answers of `git hub-session board`."""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session.clock import format_age_since
from git_hub_session.escape import pad, escape_control, display_width
from git_hub_session.posts import Post
from git_hub_session.typed import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.views.post import post_fields, post_summary
from git_hub_session.views.view import TextOutput, Record, TerminalStyle, make_record

if TYPE_CHECKING:
    from git_hub_session.channels import Channel


class BoardView(NamedTuple):
    """The channels; `now` is for ages."""

    channels: Sequence[Channel]
    notes: Sequence[str]
    now: float
    changed: bool = False

    @property
    def exit_code(self) -> int:
        return 1 if any(channel.reason for channel in self.channels) else 0

    @property
    def diagnostics(self) -> list[str]:
        broken = [channel for channel in self.channels if channel.reason]
        told = [
            f"error: channel '{escape_control(one.name)}': {escape_control(one.reason)}"
            for one in broken
        ]
        return told + _warnings(self.notes)

    def document(self) -> dict[str, Any]:
        return {"channels": [_channel_fields(channel) for channel in self.channels]}

    def records(self) -> list[Record]:
        flat = ({**_channel_fields(one), "last": one.last and one.last.id} for one in self.channels)
        return [make_record(channel) for channel in flat]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        names = max(7, *(display_width(escape_control(channel.name)) for channel in self.channels))
        out = [f"{pad('CHANNEL', names)}  POSTS  LAST POST"]
        for channel in self.channels:
            last = channel.reason and "broken"
            if channel.last is not None:
                last = post_summary(channel.last, self.now)
            left = f"{pad(escape_control(channel.name), names)}  {channel.posts:>5}"
            out.append(f"{left}  {style.fit(last or '-', names + 9)}")
        return TextOutput(out)


class ChannelView(NamedTuple):
    """The posts of a channel."""

    channel: str
    posts: Sequence[Post]
    notes: Sequence[str]
    now: float
    changed: bool = False

    @property
    def exit_code(self) -> int:
        return 1 if any(post.reason for post in self.posts) else 0

    @property
    def diagnostics(self) -> list[str]:
        broken = [post for post in self.posts if post.reason]
        return [
            f"error: '{escape_control(post.file)}' is no post: {escape_control(post.reason)}"
            for post in broken
        ] + _warnings(self.notes)

    def document(self) -> dict[str, Any]:
        return {"channel": self.channel, "posts": [post_fields(post) for post in self.posts]}

    def records(self) -> list[Record]:
        return [make_record(post_fields(post)) for post in self.posts]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if not self.posts:
            return TextOutput(
                [], [] if quiet else [f"no posts in '{escape_control(self.channel)}'"]
            )
        out = []
        for post in self.posts:
            out.append(style.paint(escape_control(post.id), "yellow") + _heading(post, self.now))
            out += _indented(post)
            out.append("")
        return TextOutput(out[:-1])


class PostView(NamedTuple):
    """A post that was made, or would be."""

    post: Post
    notes: Sequence[str]
    dry_run: bool = False
    exit_code: int = 0

    @property
    def changed(self) -> bool:
        return not self.dry_run

    @property
    def diagnostics(self) -> list[str]:
        return _warnings(self.notes)

    def document(self) -> dict[str, Any]:
        return {**post_fields(self.post), "dry_run": self.dry_run}

    def records(self) -> list[Record]:
        return [make_record(self.document())]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([])
        name = f"{escape_control(self.post.channel)}/{self.post.id}"
        if not self.dry_run:
            return TextOutput([f"Posted {name}"])
        # Its time is that of the rehearsal, and says nothing.
        heading = _heading(self.post._replace(timestamp=""), 0)
        return TextOutput([f"Would post {name}{heading}", *_indented(self.post)])


def _channel_fields(channel: Channel) -> dict[str, Any]:
    return {
        "channel": channel.name,
        "posts": channel.posts,
        "last": post_fields(channel.last) if channel.last else None,
        "reason": channel.reason or None,
    }


def _indented(post: Post) -> list[str]:
    return [f"    {escape_control(line)}" for line in post.text.split("\n") if post.text]


def _heading(post: Post, now: float) -> str:
    said = [
        post.author and f"by {post.author}",
        post.timestamp and format_age_since(post.timestamp, now),
        post.session and f"session {post.session}",
        post.parent and f"in reply to {post.parent}",
        post.reason and f"no post: {post.reason}",
    ]
    told = ", ".join(escape_control(one) for one in said if one)
    return f"  ({told})" if told else ""


def _warnings(notes: Sequence[str]) -> list[str]:
    return [f"warning: {escape_control(note)}" for note in notes]
