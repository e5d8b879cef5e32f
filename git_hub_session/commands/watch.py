"""git hub-session watch: show sessions and agents, and refresh them until the user quits."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from time import monotonic

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.options import COLOR, QUIET, Arguments, Option, Usage, parse_seconds
from git_hub_session.cli.output import is_stdout_a_terminal, is_terminal_lost, wait_for_enter
from git_hub_session.cli.view import ExitView, TextOutput
from git_hub_session.git.ref_names import parse_session_id
from git_hub_session.programs.foreground import run_in_foreground
from git_hub_session.programs.own_program import own_program
from git_hub_session.review.log_end import read_log_end
from git_hub_session.util.shell import quote_word
from git_hub_session.util.text import decode_terminal_line
from git_hub_session.watch.collect import Collector
from git_hub_session.watch.plain import refresh_plainly, snapshot_lines

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context
    from git_hub_session.cli.view import TerminalStyle
    from git_hub_session.session.project import Project
    from git_hub_session.watch.facts import Snapshot, WatchedAgent, WatchedSession

_DEFAULT_INTERVAL = "2s"
_TEXTUAL = "textual>=1.0"  # as the extra `watch` in pyproject.toml
_QUIT_NOTE = "Press Ctrl-C to quit."
_MAKE_DIRECTORY = "/lib/git-hub-session"
"""The end of the directory into which `make install` puts the package and its libraries."""
_LOG_BYTES = 1 << 17
_SHORT_TIME = 1.0  # seconds

USAGE = Usage(
    ("watch [<options>] [<id>]",),
    (
        Option("--interval", "time between two refreshes (default: 2s)", "<time>"),
        COLOR,
        QUIET,
    ),
    max_arguments=1,
)


def run(context: Context, args: Arguments) -> ExitView:
    """Show the sessions until the user quits. If the output is no terminal, show them once."""
    interval = parse_seconds(args.value("interval") or _DEFAULT_INTERVAL)
    sid = None if args.argument is None else context.find_session(args.argument)
    gc.enable()  # `main` disables it, because other commands end soon
    collector = Collector(context.project, sid)
    if not is_stdout_a_terminal():
        return SnapshotView(collector.collect())
    hints = []
    if context.reporter.prepare_screen():
        if _show_live(context, collector, interval):
            return ExitView(0)
        hints = [_install_hint()]
    notes = [_QUIT_NOTE, *context.reporter.hint_lines(hints)]
    if args.is_set("quiet"):
        notes = []
    refresh_plainly(collector.collect, context.reporter.full_screen(), interval, notes)
    return ExitView(0)


def _install_hint() -> str:
    """Return the command that installs Textual at a place where this program finds it."""
    words = [sys.executable, "-m", "pip", "install"]
    library = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    if library.endswith(_MAKE_DIRECTORY):
        words += ["--target", library]
    return " ".join(map(quote_word, [*words, _TEXTUAL]))


def _show_live(context: Context, collector: Collector, interval: float) -> bool:
    """Show the live view. Return False if Textual is not installed."""
    try:
        from git_hub_session.watch.screen import Actions, run_live_view  # 250 ms
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("textual", "rich"):
            raise
        return False
    project = context.project

    def read_log(session: WatchedSession, agent: WatchedAgent) -> list[str]:
        return _read_log(session, agent, project)

    def run_command(words: Sequence[str]) -> None:
        _run_command(words, project)

    actions = Actions(collector.collect, read_log, run_command, is_terminal_lost)
    run_live_view(actions, context.reporter.style(), interval)
    return True


def _read_log(session: WatchedSession, agent: WatchedAgent, project: Project) -> list[str]:
    sid = parse_session_id(session.session_id)
    lines = read_log_end(agent.progress.log, sid, project, limit=_LOG_BYTES)
    return [decode_terminal_line(line) for line in lines]


def _run_command(words: Sequence[str], project: Project) -> None:
    """Run a command of this program. Wait for Enter if it ended at once, or failed.

    git's pager would show a short text and end at once (LESS=FRX).
    """
    start = monotonic()
    environ = {"LESS": "RX", **project.environ}
    status = run_in_foreground([*own_program(), *words], None, environ)
    if status or monotonic() - start < _SHORT_TIME:
        wait_for_enter("Press Enter to go back to the live view. ")


class SnapshotView(ExitView):
    """The sessions at one moment."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__(1 if snapshot.error else 0)
        self._snapshot = snapshot

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        return TextOutput(snapshot_lines(self._snapshot, style))
