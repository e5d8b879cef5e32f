"""git hub-session board: AgentHub's message board."""

from __future__ import annotations

from git_hub_session.board import Board
from git_hub_session.context import Context
from git_hub_session.errors import UsageError
from git_hub_session.options import DRY_RUN, FORMAT, QUIET, Arguments, Option, Usage
from git_hub_session.posts import COORDINATOR, LIMIT, Post
from git_hub_session.views.board import BoardView, ChannelView, PostView

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
    board = Board(context.paths.hub)
    if form == "list":
        return BoardView(board.channels(), board.notes, context.now())
    if form == "read":
        wanted = args.value("session")
        sid = context.find_session(wanted) if wanted is not None else ""
        posts = [post for post in board.read(name) if not sid or post.session == sid]
        return ChannelView(name, posts, board.notes, context.now())
    text = _text(context, args)
    parent = board.find_post(name) if form == "reply" else None
    post = board.add_post(
        parent.channel if parent else name,
        author=args.value("author") or _author(context),
        text=text,
        session=_session(context, args, parent),
        parent=parent.id if parent else "",
        now=context.now(),
        rehearsal=args.is_set("dry-run"),
    )
    return PostView(post, board.notes, dry_run=args.is_set("dry-run"))


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
    return f"agent-{agent.agent}" if agent else COORDINATOR


def _session(context: Context, args: Arguments, parent: Post | None) -> str:
    wanted = args.value("session")
    if wanted is not None:
        return context.require_session(wanted, "board")
    return context.current_session() or (parent.session if parent else "")


def _text(context: Context, args: Arguments) -> str:
    text, file = args.value("message"), args.value("file")
    if (text is None) == (file is None):
        raise UsageError(
            "what is the text?" if text is None else "-m and -F exclude each other",
            hint="give -m <text>, or -F <file>",
        )
    if file is not None:
        text = context.read_text(file, "text", most=LIMIT)
    if not (text or "").strip():
        raise UsageError("the text is empty")
    return (text or "").strip("\n")
