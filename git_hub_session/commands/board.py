"""git hub-session board: AgentHub's message board."""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.board.board import Board
from git_hub_session.board.posts import COORDINATOR, MAX_POST_BYTES, Post
from git_hub_session.cli.context import Context, read_text_file
from git_hub_session.cli.options import DRY_RUN, FORMAT, QUIET, Arguments, Option, Usage
from git_hub_session.cli.view import Record, TerminalStyle, TextOutput, make_record
from git_hub_session.commands._post import post_fields, post_summary
from git_hub_session.errors import UsageError
from git_hub_session.git.ref_names import agent_name
from git_hub_session.util.clock import format_age_since
from git_hub_session.util.text import display_width, escape_control, pad

if TYPE_CHECKING:
    from git_hub_session.board.channels import Channel


USAGE = Usage(
    (
        "board [<options>] [list]",
        "board [<options>] read <channel>",
        "board [<options>] post <channel> (-m <text> | -F <file>)",
        "board [<options>] reply <post> (-m <text> | -F <file>)",
    ),
    (
        Option("-m, --message", "text of the post", "<text>"),
        Option("-F, --file", "file with the text ('-' for standard input)", "<file>"),
        Option("--author", "author (default: agent of the worktree, or coordinator)", "<name>"),
        Option("--session", "session of the post; with read: show only its posts", "<id>"),
        DRY_RUN,
        QUIET,
        *FORMAT,
    ),
    max_arguments=2,
)
_TEXT = ("message", "file", "author", "dry-run")
# What each form needs to be told, and which options say nothing to it.
_SUBCOMMANDS = {
    "list": ("", (*_TEXT, "session")),
    "read": ("channel", _TEXT),
    "post": ("channel", ()),
    "reply": ("post", ()),
}


def run(context: Context, args: Arguments) -> BoardView | ChannelView | PostView:
    """Show the channels or the posts of one, or add a post to one."""
    form, name = _parse_form(args)
    board = Board(context.project.paths.hub)
    if form == "list":
        return BoardView(board.channels(), board.warnings, context.project.now())
    if form == "read":
        wanted = args.value("session")
        sid = context.find_session(wanted) if wanted is not None else ""
        posts = [post for post in board.read(name) if not sid or post.session == sid]
        return ChannelView(name, posts, board.warnings, context.project.now())
    text = _text(args)
    parent = board.find_post(name) if form == "reply" else None
    post = board.add_post(
        parent.channel if parent else name,
        author=args.value("author") or _author(context),
        text=text,
        session=_session(context, args, parent),
        parent=parent.id if parent else "",
        now=context.project.now(),
        dry_run=args.is_set("dry-run"),
    )
    return PostView(post, board.warnings, dry_run=args.is_set("dry-run"))


def _parse_form(args: Arguments) -> tuple[str, str]:
    """The first word, and what it is about; raises UsageError."""
    form, name = (*args.arguments, "")[:2] if args.arguments else ("list", "")
    if form not in _SUBCOMMANDS:
        raise UsageError(
            f"board does not know '{form}'", hint=f"it knows {', '.join(_SUBCOMMANDS)}"
        )
    about, useless = _SUBCOMMANDS[form]
    if about and not name:
        raise UsageError(f"which {about}?", hint=f"git hub-session board {form} <{about}>")
    if name and not about:
        raise UsageError(f"too many arguments: '{name}'")
    for option in useless:
        if args.value(option) is not None or args.is_set(option):
            raise UsageError(f"--{option} is of no use for 'board {form}'")
    return form, name


def _author(context: Context) -> str:
    """Who is not in an agent's worktree speaks for all of them, as with AgentHub."""
    agent = context.current_agent()
    return agent_name(agent.agent) if agent else COORDINATOR


def _session(context: Context, args: Arguments, parent: Post | None) -> str:
    wanted = args.value("session")
    if wanted is not None:
        return context.require_session(wanted, "board")
    return context.current_session() or (parent.session if parent else "")


def _text(args: Arguments) -> str:
    text, file = args.value("message"), args.value("file")
    if (text is None) == (file is None):
        raise UsageError(
            "what is the text?" if text is None else "-m and -F exclude each other",
            hint="give -m <text>, or -F <file>",
        )
    if file is not None:
        text = read_text_file(file, "text", max_bytes=MAX_POST_BYTES)
    if not (text or "").strip():
        raise UsageError("the text is empty")
    return (text or "").strip("\n")


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
            f"error: '{escape_control(post.file_name)}' is no post: {escape_control(post.reason)}"
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
