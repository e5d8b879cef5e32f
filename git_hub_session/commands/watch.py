"""git hub-session watch: show sessions and agents, and refresh them until the user quits."""

from __future__ import annotations

import gc

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.options import COLOR, QUIET, Arguments, Option, Usage, parse_seconds
from git_hub_session.cli.output import is_stdout_a_terminal
from git_hub_session.cli.view import ExitView, TextOutput
from git_hub_session.watch.collect import Collector
from git_hub_session.watch.plain import refresh_plainly, snapshot_lines

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context
    from git_hub_session.cli.view import TerminalStyle
    from git_hub_session.watch.facts import Snapshot

_DEFAULT_INTERVAL = "2s"

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
    gc.enable()  # main disables it, because other commands end soon
    collector = Collector(context.project, sid)
    if not is_stdout_a_terminal():
        return SnapshotView(collector.collect())
    refresh_plainly(collector.collect, context.reporter.full_screen(), interval, "")
    return ExitView(0)


class SnapshotView(ExitView):
    """The sessions at one moment."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__(1 if snapshot.error else 0)
        self._snapshot = snapshot

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        return TextOutput(snapshot_lines(self._snapshot, style))
