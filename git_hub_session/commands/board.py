"""git hub-session board: AgentHub's message board."""

from __future__ import annotations

from git_hub_session.board import Board
from git_hub_session.context import Context
from git_hub_session.errors import UsageError
from git_hub_session.options import DRY_RUN, FORMAT, QUIET, Arguments, Option, Usage
from git_hub_session.posts import COORDINATOR, LIMIT, Post
from git_hub_session.views.board import BoardView, ChannelView, PostedView

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
    most=2,
)
_TEXT = ("message", "file", "author", "dry-run")
# What each form needs to be told, and which options say nothing to it.
_FORMS = {
    "list": ("", (*_TEXT, "session")),
    "read": ("channel", _TEXT),
    "post": ("channel", ()),
    "reply": ("post", ()),
}


def run(context: Context, args: Arguments) -> BoardView | ChannelView | PostedView:
    """Show the channels or the posts of one, or add a post to one."""
    form, name = _form(args)
    board = Board(context.place.hub)
    if form == "list":
        return BoardView(board.channels(), board.notes, context.now())
    if form == "read":
        wanted = args.text("session")
        sid = context.session_to_look_at(wanted) if wanted is not None else ""
        posts = [post for post in board.read(name) if not sid or post.session == sid]
        return ChannelView(name, posts, board.notes, context.now())
    text = _text(context, args)
    parent = board.meant(name) if form == "reply" else None
    post = board.post(
        parent.channel if parent else name,
        author=args.text("author") or _author(context),
        text=text,
        session=_session(context, args, parent),
        parent=parent.id if parent else "",
        now=context.now(),
        rehearsal=args.is_set("dry-run"),
    )
    return PostedView(post, board.notes, dry_run=args.is_set("dry-run"))


def _form(args: Arguments) -> tuple[str, str]:
    """The first word, and what it is about; raises UsageError."""
    form, name = (*args.words, "")[:2] if args.words else ("list", "")
    if form not in _FORMS:
        raise UsageError(f"board does not know '{form}'", hint=f"it knows {', '.join(_FORMS)}")
    about, useless = _FORMS[form]
    if about and not name:
        raise UsageError(f"which {about}?", hint=f"git hub-session board {form} <{about}>")
    if name and not about:
        raise UsageError(f"too many arguments: '{name}'")
    for option in useless:
        if args.text(option) is not None or args.is_set(option):
            raise UsageError(f"--{option} is of no use for 'board {form}'")
    return form, name


def _author(context: Context) -> str:
    """Who is not in an agent's worktree speaks for all of them, as with AgentHub."""
    agent = context.current_agent()
    return f"agent-{agent.agent}" if agent else COORDINATOR


def _session(context: Context, args: Arguments, parent: Post | None) -> str:
    wanted = args.text("session")
    if wanted is not None:
        return context.session_to_change(wanted, "board")
    return context.current_session() or (parent.session if parent else "")


def _text(context: Context, args: Arguments) -> str:
    text, file = args.text("message"), args.text("file")
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
