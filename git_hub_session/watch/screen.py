"""The live view with Textual: a table, the details of the selected agent, and keys.

No text is taken for markup, and each text is safe for a terminal.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Static
from textual.worker import Worker, WorkerState

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.git.ref_names import agent_name
from git_hub_session.system.signals import defer_signals
from git_hub_session.util.text import escape_control, truncate
from git_hub_session.watch.log_screen import LogScreen
from git_hub_session.watch.order import SORT_KEYS, order_snapshot
from git_hub_session.watch.rows import detail_lines, make_rows, summary_line
from git_hub_session.watch.table import AgentTable

if TYPE_CHECKING:
    from git_hub_session.cli.view import TerminalStyle
    from git_hub_session.watch.facts import Snapshot, WatchedAgent, WatchedSession

_DETAIL_HEIGHT = 18
"""The smallest height of a terminal in which the details are shown."""
_KEYS = (
    ("d", "diff"),
    ("l", "log"),
    ("s", "shell"),
    ("/", "filter"),
    ("o", "sort"),
    ("?", "help"),
    ("q", "quit"),
)
# No line is wider than a terminal of 40 columns with the border.
_HELP = """\
d  changes (git hub-session diff)
l  output of the agent, followed
s  shell in its worktree
/  filter; Escape shows all rows
o  order: need, name, rank, activity
r  refresh now
j k g G, arrows  select a row
Ctrl-Z  stop; 'fg' continues
q  quit

Escape closes this help."""


class Actions(NamedTuple):
    """The functions through which the view reads and starts programs."""

    collect: Callable[[], Snapshot]
    """Read the facts. It runs in a thread."""
    read_log: Callable[[WatchedSession, WatchedAgent], list[str]]
    """Return the last lines of an agent's log, safe for a terminal."""
    run: Callable[[Sequence[str]], None]
    """Run a command of git hub-session with the terminal, and wait for its end."""
    is_terminal_lost: Callable[[], bool]


class _Terminated(BaseException):
    """A termination signal arrived while another program had the terminal."""


class Help(ModalScreen[None]):
    """The list of keys."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter", "dismiss", show=False)
    ]

    def compose(self) -> ComposeResult:
        yield Static(_HELP, markup=False, id="help")


class LiveView(App[None]):
    """The live view of sessions and agents."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { background: ansi_default; color: ansi_default; }
    AgentTable { height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; background: ansi_default; }
    #head { height: 1; text-style: bold; }
    #detail { height: auto; max-height: 11; border-top: solid ansi_bright_black; }
    #keys { height: 1; text-style: reverse; }
    Log { height: 1fr; background: ansi_default; color: ansi_default; scrollbar-size: 1 1; }
    Help { align: center middle; background: ansi_default; }
    #help { width: auto; max-width: 100%; height: auto; border: solid ansi_default; padding: 0 1;
            background: ansi_default; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", show=False),
        Binding("ctrl+c", "interrupt", show=False, priority=True),
        Binding("ctrl+z", "suspend_process", show=False, priority=True),
        Binding("d", "diff", show=False),
        Binding("l", "log", show=False),
        Binding("s", "shell", show=False),
        Binding("o", "sort", show=False),
        Binding("r", "refresh", show=False),
        Binding("question_mark", "help", show=False),
    ]

    def __init__(self, actions: Actions, style: TerminalStyle, interval: float) -> None:
        super().__init__(ansi_color=True)
        self._actions = actions
        self._style = style
        self._interval = interval
        self._snapshot: Snapshot | None = None
        self._sort = SORT_KEYS[0]
        self._is_collecting = False
        self._has_program = False
        self._signal_count = 0
        self._event_loop: asyncio.AbstractEventLoop | None = None
        self.bug: BaseException | None = None
        """An unexpected error of the collection, which ends the view."""

    def compose(self) -> ComposeResult:
        yield Static("reading", markup=False, id="head")
        yield AgentTable(self._style.ellipsis)
        yield Static("", markup=False, id="detail")
        yield Static("", markup=False, id="keys")

    def on_mount(self) -> None:
        self._event_loop = asyncio.get_running_loop()
        if self._signal_count:  # the signal arrived before the loop
            self.exit()
        self.query_one(AgentTable).focus()
        self._start_collecting()
        self.set_interval(self._interval, self._start_collecting)

    def on_resize(self) -> None:
        """Show the details if they have room, and as many keys as fit."""
        self.call_after_refresh(self._show)

    # --- Facts ------------------------------------------------------------------------------------

    def _start_collecting(self) -> None:
        if self._actions.is_terminal_lost():
            _die()
        if not self._is_collecting:
            self._is_collecting = True
            self.run_worker(self._collect, thread=True, exit_on_error=False)

    def _collect(self) -> None:
        snapshot = self._actions.collect()
        if self.is_running:
            self.call_from_thread(self._receive, snapshot)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """End the view after a bug. `main` reports the bug when the terminal is restored."""
        if event.state is WorkerState.ERROR:
            self.bug = event.worker.error
            self.exit()

    def _receive(self, snapshot: Snapshot) -> None:
        self._is_collecting = False
        self._snapshot = snapshot
        self._show()

    def _show(self) -> None:
        """Show the last snapshot, in the present order and size."""
        if not self.is_running:
            return
        base = self.screen_stack[0]
        table = base.query_one(AgentTable)
        width = self.size.width
        typed = self._fit(f"filter: {escape_control(table.pattern)}_", width).ljust(width)
        keys = typed if table.is_typing else self._keys_line(width)
        base.query_one("#keys", Static).update(keys)
        if self._snapshot is None:
            return
        groups = order_snapshot(self._snapshot, self._sort, table.pattern)
        head = summary_line(groups)
        if self._snapshot.error:
            head = f"error: {escape_control(self._snapshot.error)}"
        filtered = f"  filter: {escape_control(table.pattern)}" if table.pattern else ""
        text = self._fit(f"{head}  sorted by {self._sort}{filtered}", width)
        base.query_one("#head", Static).update(text)
        table.show_rows(make_rows(groups, self._snapshot.now, self._style))
        self._show_detail()

    def _show_detail(self) -> None:
        detail = self.screen_stack[0].query_one("#detail", Static)
        session, agent = self._selected()
        detail.display = self.size.height >= _DETAIL_HEIGHT and session is not None
        if session is not None and self._snapshot is not None:
            lines = detail_lines(session, agent, self._snapshot.now)
            width = max(self.size.width, 1)
            detail.update("\n".join(self._fit(line, width) for line in lines))

    def _fit(self, text: str, width: int) -> str:
        return truncate(text, max(width, 1), self._style.ellipsis)

    def _keys_line(self, width: int) -> str:
        words = [f"{key} {name}" for key, name in _KEYS]
        while len(words) > 2 and len("  ".join(words)) > width:
            del words[-3]
        return "  ".join(words).ljust(width)

    def _selected(self) -> tuple[WatchedSession | None, WatchedAgent | None]:
        """Return the selected session, and the selected agent if its row is not that of a session."""
        key = self.screen_stack[0].query_one(AgentTable).selected
        if key is None or self._snapshot is None:
            return None, None
        sessions = (one for one in self._snapshot.sessions if one.session_id == key[0])
        session = next(sessions, None)
        agents = session.agents if session else ()
        return session, next((one for one in agents if one.progress.agent == key[1]), None)

    def on_agent_table_selected(self) -> None:
        self._show_detail()

    # --- Keys -------------------------------------------------------------------------------------

    def action_interrupt(self) -> None:
        """End as after Ctrl-C in another program."""
        signal.raise_signal(signal.SIGINT)

    def action_refresh(self) -> None:
        self._start_collecting()

    def action_help(self) -> None:
        self.push_screen(Help())

    def action_sort(self) -> None:
        """Use the next order."""
        self._sort = SORT_KEYS[(SORT_KEYS.index(self._sort) + 1) % len(SORT_KEYS)]
        self._show()

    def on_agent_table_filtered(self) -> None:
        self._show()

    def action_log(self) -> None:
        session, agent = self._selected()
        if session is None or agent is None:
            self._ask_for_agent()
            return
        title = f"{session.session_id} {agent.progress.name}"
        read = self._actions.read_log
        self.push_screen(LogScreen(title, lambda: read(session, agent), self._interval))

    def _ask_for_agent(self) -> None:
        self.bell()
        self.notify("Select an agent first.")

    def action_diff(self) -> None:
        self._run_for_agent("diff")

    def action_shell(self) -> None:
        self._run_for_agent("shell")

    def _run_for_agent(self, command: str) -> None:
        session, agent = self._selected()
        if session is None or agent is None:
            self._ask_for_agent()
            return
        words = (command, session.session_id, agent_name(agent.progress.agent))
        self._has_program = True
        try:
            with self.suspend():
                self._actions.run(words)
        except _Terminated:
            self.exit()
        finally:
            self._has_program = False
        self._start_collecting()

    # --- Signals ----------------------------------------------------------------------------------

    def action_suspend_process(self) -> None:
        """Restore the terminal, and stop the process group, as Ctrl-Z does in another program.

        git has started this process, and the shell of the user waits for git.
        """
        with self.suspend():
            handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            os.kill(0, signal.SIGTSTP)
            signal.signal(signal.SIGTSTP, handler)

    def end_by_signal(self) -> None:
        """End the view after a termination signal. The second signal ends it at once."""
        self._signal_count += 1
        if self._has_program:
            raise _Terminated
        if self._signal_count > 1 or self._actions.is_terminal_lost():
            _die()
        if self._event_loop is not None:
            self._event_loop.call_soon_threadsafe(self.exit)


def _die() -> None:
    """End the process as a lost terminal does. Textual would wait for the terminal."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.raise_signal(signal.SIGHUP)


def run_live_view(actions: Actions, style: TerminalStyle, interval: float) -> None:
    """Show the live view until the user quits, or until a signal arrives."""
    view = LiveView(actions, style, interval)
    release = defer_signals(view.end_by_signal)
    try:
        view.run(mouse=False)
    finally:
        release()
    if view.bug is not None:
        raise view.bug
