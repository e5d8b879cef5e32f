"""git hub-session board: read and write AgentHub's message board."""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.board.board import Board
from git_hub_session.board.posts import COORDINATOR, MAX_POST_BYTES, Post
from git_hub_session.cli.context import Context, read_text_file
from git_hub_session.cli.options import (
    DRY_RUN,
    FORMAT,
    LIMIT_ALIAS,
    QUIET,
    Arguments,
    Option,
    Usage,
    parse_max_count,
)
from git_hub_session.cli.post import post_fields, post_summary
from git_hub_session.cli.view import (
    Record,
    TerminalStyle,
    TextOutput,
    View,
    make_record,
    warning_lines,
)
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
        "board [<options>] create <new-channel>",
    ),
    (
        Option("-m, --message", "text of the post", "<text>"),
        Option("-F, --file", "file with the text ('-' for standard input)", "<file>"),
        Option("--author", "author (default: agent of the worktree, or coordinator)", "<name>"),
        Option("--session", "session of the post; with read: show only its posts", "<id>"),
        Option("--max-count", "with read: show at most this many posts, the last ones", "<number>"),
        DRY_RUN,
        QUIET,
        *FORMAT,
    ),
    max_arguments=2,
    aliases=(
        LIMIT_ALIAS,
        ("--list", "list"),
        ("--read", "read <channel>"),
        ("--post", "post"),
        ("--channel", "<channel>"),
        ("--thread", "reply <post>"),
    ),
)
_TEXT_OPTIONS = ("message", "file", "author")
# The argument that each subcommand requires, and the options that it rejects.
_SUBCOMMANDS = {
    "list": ("", (*_TEXT_OPTIONS, "dry-run", "session", "max-count")),
    "read": ("channel", (*_TEXT_OPTIONS, "dry-run")),
    "post": ("channel", ("max-count",)),
    "reply": ("post", ("max-count",)),
    "create": ("channel", (*_TEXT_OPTIONS, "session", "max-count")),
}


def run(context: Context, args: Arguments) -> View:
    """Show all channels or the posts of one channel, add a post, or create a channel."""
    subcommand, name = _parse_subcommand(args)
    project = context.project
    board = Board(project.paths.hub)
    if subcommand == "list":
        return BoardView(board.channels(), board.warnings, project.now())
    if subcommand == "read":
        wanted_session = args.value("session")
        sid = context.find_session(wanted_session) if wanted_session is not None else ""
        max_count = parse_max_count(args, "posts")
        posts = board.read(name, session=sid, max_count=max_count)
        return ChannelView(name, posts, board.warnings, project.now())
    if subcommand == "create":
        board.create_channel(name, dry_run=args.is_set("dry-run"))
        return CreatedView(name, board.warnings, dry_run=args.is_set("dry-run"))
    return _add_post(board, name, context, args, is_reply=subcommand == "reply")


def _add_post(
    board: Board, name: str, context: Context, args: Arguments, *, is_reply: bool
) -> PostView:
    """Add a post to the channel `name`, or a reply to the post `name`."""
    text = _read_text(args)
    parent = board.find_post(name) if is_reply else None
    post = board.add_post(
        parent.channel if parent else name,
        author=args.value("author") or _default_author(context),
        text=text,
        session=_choose_session(context, args, parent),
        parent=parent.id if parent else "",
        now=context.project.now(),
        dry_run=args.is_set("dry-run"),
    )
    return PostView(post, board.warnings, dry_run=args.is_set("dry-run"))


def _parse_subcommand(args: Arguments) -> tuple[str, str]:
    """Return the subcommand and its argument."""
    subcommand, name = (*args.arguments, "")[:2] if args.arguments else ("list", "")
    if subcommand not in _SUBCOMMANDS:
        raise UsageError(
            f"'{subcommand}' is not a board subcommand", hint=f"use {', '.join(_SUBCOMMANDS)}"
        )
    argument, rejected_options = _SUBCOMMANDS[subcommand]
    if argument and not name:
        raise UsageError(
            f"no {argument} given", hint=f"git hub-session board {subcommand} <{argument}>"
        )
    if name and not argument:
        raise UsageError(f"too many arguments: '{name}'")
    for option in rejected_options:
        if args.value(option) is not None or args.is_set(option):
            raise UsageError(f"--{option} cannot be used with 'board {subcommand}'")
    return subcommand, name


def _default_author(context: Context) -> str:
    """Return the agent of the current worktree, or AgentHub's name for the coordinator."""
    agent = context.current_agent()
    return agent_name(agent.agent) if agent else COORDINATOR


def _choose_session(context: Context, args: Arguments, parent: Post | None) -> str:
    wanted_session = args.value("session")
    if wanted_session is not None:
        return context.require_session(wanted_session, "board")
    return context.current_session() or (parent.session if parent else "")


def _read_text(args: Arguments) -> str:
    text = args.value("message")
    file = args.value("file")
    if text is not None and file is not None:
        raise UsageError("-m and -F exclude each other", hint="give -m <text> or -F <file>")
    if file is not None:
        text = read_text_file(file, "text", max_bytes=MAX_POST_BYTES)
    if text is None:
        raise UsageError("option '--message' is required", hint="give -m <text> or -F <file>")
    if not text.strip():
        raise UsageError("the text is empty")
    return text.strip("\n")


class BoardView(View):
    """The channels of the board."""

    def __init__(self, channels: Sequence[Channel], warnings: Sequence[str], now: float) -> None:
        self.channels = channels
        self.warnings = warnings
        self.now = now

    @property
    def exit_code(self) -> int:
        return 1 if any(channel.reason for channel in self.channels) else 0

    @property
    def diagnostics(self) -> list[str]:
        errors = [
            f"error: channel '{escape_control(channel.name)}': {escape_control(channel.reason)}"
            for channel in self.channels
            if channel.reason
        ]
        return errors + warning_lines(self.warnings)

    def document(self) -> dict[str, Any]:
        return {"channels": [_channel_fields(channel) for channel in self.channels]}

    def records(self) -> list[Record]:
        return [
            make_record(
                {**_channel_fields(channel), "last": channel.last.id if channel.last else None}
            )
            for channel in self.channels
        ]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        names = [escape_control(channel.name) for channel in self.channels]
        name_width = max([7, *map(display_width, names)])
        out = [f"{pad('CHANNEL', name_width)}  POSTS  LAST POST"]
        for name, channel in zip(names, self.channels, strict=True):
            left = f"{pad(name, name_width)}  {channel.posts:>5}"
            out.append(f"{left}  {style.fit(self._last_post(channel), name_width + 9)}")
        return TextOutput(out)

    def _last_post(self, channel: Channel) -> str:
        if channel.last is not None:
            return post_summary(channel.last, self.now)
        return "broken" if channel.reason else "-"


class ChannelView(View):
    """The posts of one channel."""

    def __init__(
        self, channel: str, posts: Sequence[Post], warnings: Sequence[str], now: float
    ) -> None:
        self.channel = channel
        self.posts = posts
        self.warnings = warnings
        self.now = now

    @property
    def exit_code(self) -> int:
        return 1 if any(post.reason for post in self.posts) else 0

    @property
    def diagnostics(self) -> list[str]:
        errors = [
            f"error: '{escape_control(post.file_name)}' is not a post: {escape_control(post.reason)}"
            for post in self.posts
            if post.reason
        ]
        return errors + warning_lines(self.warnings)

    def document(self) -> dict[str, Any]:
        return {"channel": self.channel, "posts": [post_fields(post) for post in self.posts]}

    def records(self) -> list[Record]:
        return [make_record(post_fields(post)) for post in self.posts]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if not self.posts:
            note = f"no posts in '{escape_control(self.channel)}'"
            return TextOutput([], [] if quiet else [note])
        out = []
        for post in self.posts:
            out.append(style.paint(escape_control(post.id), "yellow") + _heading(post, self.now))
            out += _text_lines(post)
            out.append("")
        return TextOutput(out[:-1])


class PostView(View):
    """A post that was added, or would be added."""

    def __init__(self, post: Post, warnings: Sequence[str], *, dry_run: bool) -> None:
        self.post = post
        self.warnings = warnings
        self.dry_run = dry_run

    @property
    def changed(self) -> bool:
        return not self.dry_run

    @property
    def diagnostics(self) -> list[str]:
        return warning_lines(self.warnings)

    def document(self) -> dict[str, Any]:
        return {**post_fields(self.post), "dry_run": self.dry_run}

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([])
        name = f"{escape_control(self.post.channel)}/{self.post.id}"
        if not self.dry_run:
            return TextOutput([f"Posted {name}"])
        # The timestamp of a dry run has no meaning.
        heading = _heading(self.post._replace(timestamp=""), 0)
        return TextOutput([f"Would post {name}{heading}", *_text_lines(self.post)])


class CreatedView(View):
    """A channel that was created, or would be created."""

    def __init__(self, channel: str, warnings: Sequence[str], *, dry_run: bool) -> None:
        self.channel = channel
        self.warnings = warnings
        self.dry_run = dry_run

    @property
    def changed(self) -> bool:
        return not self.dry_run

    @property
    def diagnostics(self) -> list[str]:
        return warning_lines(self.warnings)

    def document(self) -> dict[str, Any]:
        return {"channel": self.channel, "dry_run": self.dry_run}

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        verb = "Would create" if self.dry_run else "Created"
        return TextOutput([] if quiet else [f"{verb} channel {self.channel}"])


def _channel_fields(channel: Channel) -> dict[str, Any]:
    return {
        "channel": channel.name,
        "posts": channel.posts,
        "last": post_fields(channel.last) if channel.last else None,
        "reason": channel.reason or None,
    }


def _text_lines(post: Post) -> list[str]:
    return [f"    {escape_control(line)}" for line in post.text.split("\n") if post.text]


def _heading(post: Post, now: float) -> str:
    """Return the known facts of a post in parentheses, or ''."""
    facts = [
        post.author and f"by {post.author}",
        post.timestamp and format_age_since(post.timestamp, now),
        post.session and f"session {post.session}",
        post.parent and f"in reply to {post.parent}",
        post.reason and f"not a post: {post.reason}",
    ]
    text = ", ".join(escape_control(fact) for fact in facts if fact)
    return f"  ({text})" if text else ""
