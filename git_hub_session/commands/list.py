"""git hub-session list: list the sessions."""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.cli.options import (
    FORMAT,
    LIMIT_ALIAS,
    QUIET,
    Arguments,
    Option,
    Usage,
    parse_max_count,
)
from git_hub_session.cli.output import is_stdout_a_terminal
from git_hub_session.cli.view import (
    STATE_COLORS,
    Record,
    TerminalStyle,
    TextOutput,
    View,
    make_record,
)
from git_hub_session.errors import HubError
from git_hub_session.session.layout import find_other_hub
from git_hub_session.session.model import Config, Session
from git_hub_session.session.state import State, parse_state
from git_hub_session.util.clock import format_age_since, parse_iso
from git_hub_session.util.text import display_width, escape_control, pad

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.project import Project
    from git_hub_session.session.read import UnreadableSession


BROKEN = "broken"
_STATE_ORDER = list(State)
_SORT_LAST = float("inf")
_MIN_TASK_WIDTH = 10
_MAX_HINTS = 3
_NO_SESSIONS = "no sessions (create one with 'git hub-session init --task <text>')"

USAGE = Usage(
    ("list [<options>]",),
    (
        Option(
            "--state",
            "list only sessions in this state, or 'broken' ones (repeatable)",
            "<state>",
            repeatable=True,
        ),
        Option(
            "--sort",
            "sort key (default: id)",
            "<key>",
            choices=("id", "created", "updated", "state"),
        ),
        Option("--reverse", "reverse the order"),
        Option("-n, --max-count", "list at most this many sessions", "<number>"),
        QUIET,
        *FORMAT,
    ),
    aliases=(LIMIT_ALIAS,),
)


def run(context: Context, args: Arguments) -> ListView:
    """Return the selected sessions. An unreadable session has the state 'broken'."""
    wanted = [text if text == BROKEN else parse_state(text) for text in args.values("state")]
    max_count = parse_max_count(args, "sessions")
    rows = [
        row
        for row in context.project.store.map_sessions(SessionRow.of)
        if not wanted or row.state in wanted
    ]
    key = args.value("sort") or "id"
    if key != "id":
        rows.sort(key=lambda row: _sort_key(row, key))
    if args.is_set("reverse"):
        rows.reverse()
    # With --max-count=0 there may be sessions, although none is shown.
    filtered = bool(wanted or rows)
    missing = () if rows else _missing_sessions(context.project)
    other_hub = None if rows else find_other_hub(context.project)
    if other_hub is not None:
        hint = other_hub.hint.splitlines()[0]
        context.reporter.note_with_hint(f"warning: {other_hub.message}", hint)
    if rows and is_stdout_a_terminal():  # a script does not wait for the count
        _note_many_archives(context)
    shown = tuple(rows[:max_count])
    commands = _bring_back_commands(missing[:_MAX_HINTS], context.project)
    now = context.project.now()
    return ListView(shown, now, filtered=filtered, missing=missing, commands=commands)


def _note_many_archives(context: Context) -> None:
    """Warn if there are more archives than hubsession.archiveLimit."""
    from git_hub_session.cleanup.archive_limit import PRUNE_COMMAND, describe_excess

    try:
        text, hint = describe_excess(context.project), PRUNE_COMMAND
    except HubError as error:
        text, hint = error.message, error.hint
    if text:
        context.reporter.note_with_hint(f"warning: {text}", hint)


def _bring_back_commands(missing: Sequence[SessionId], project: Project) -> tuple[str, ...]:
    if not missing:
        return ()
    from git_hub_session.session.create import bring_back_command

    return tuple(dict.fromkeys(bring_back_command(sid, project) for sid in missing))


def _missing_sessions(project: Project) -> tuple[SessionId, ...]:
    """Return the ids of sessions that have branches, if the hub has no session at all."""
    if project.store.ids():
        return ()
    from git_hub_session.git.ref_names import ALL_BRANCHES, session_of_branch
    from git_hub_session.git.refs import refs_below

    ids = map(session_of_branch, refs_below(project.paths.common_dir, ALL_BRANCHES))
    return tuple(sorted(set(filter(None, ids))))


def _sort_key(row: SessionRow, key: str) -> float:
    """Return a number to sort by. Broken sessions and unknown times are last."""
    if row.reason is not None:
        return _SORT_LAST
    if key == "state":
        return _STATE_ORDER.index(State(row.state))
    seconds = parse_iso(row.created if key == "created" else row.updated)
    return _SORT_LAST if seconds is None else seconds


class SessionRow(NamedTuple):
    """The fields of one session.

    There may be thousands of sessions, so nothing else of a session stays in memory.
    """

    session_id: str
    state: str
    """The state in state.json, or 'broken'."""
    task: str
    agents: int
    created: str
    updated: str
    parent: str | None = None
    """The session from whose winner the agents start, or None."""
    reason: str | None = None
    """The reason why the session is broken, or None."""

    @classmethod
    def of(cls, session: Session | UnreadableSession) -> SessionRow:
        """Return the row of a session."""
        if isinstance(session, Session):
            config = session.config
            return cls(
                session.id,
                str(session.state),
                config.task,
                config.agent_count,
                session.created,
                session.updated,
                _parent_id(session),
            )
        config = session.config or Config({})
        created = config.get("created")
        return cls(
            session.id, BROKEN, config.task, config.agent_count, created, "", None, session.reason
        )

    def document(self) -> dict[str, Any]:
        """Return the fields of the row."""
        fields = self._asdict()
        parent, reason = fields.pop("parent"), fields.pop("reason")
        return {**fields, **({} if reason is None else {"reason": reason}), "parent": parent}

    @property
    def title(self) -> str:
        """The task, after the id of the parent if there is one."""
        return f"(after {self.parent}) {self.task}" if self.parent else self.task


def _parent_id(session: Session) -> str | None:
    if not session.continues_session:
        return None
    from git_hub_session.lineage.parent import read_parent

    parent = read_parent(session)
    return parent.session_id if parent else None


class ListView(View):
    """The selected sessions."""

    wraps = False

    def __init__(
        self,
        sessions: tuple[SessionRow, ...],
        now: float,
        *,
        filtered: bool = False,
        missing: tuple[SessionId, ...] = (),
        commands: tuple[str, ...] = (),
    ) -> None:
        self.sessions = sessions
        self.now = now
        self.filtered = filtered
        self.missing = missing
        """The ids of sessions that have branches, if the hub has no session."""
        self.commands = commands
        """The commands that restore the hub of these sessions."""

    @property
    def exit_code(self) -> int:
        is_broken = any(row.reason is not None for row in self.sessions)
        return 1 if is_broken or self.missing else 0

    @property
    def diagnostics(self) -> list[str]:
        broken = [
            f"error: session '{escape_control(row.session_id)}': {escape_control(row.reason)}"
            for row in self.sessions
            if row.reason is not None
        ]
        if not self.missing:
            return broken
        ids = ", ".join(f"'{sid}'" for sid in self.missing)
        return [
            f"error: the hub has no sessions, but the repository has branches of {ids}",
            *(f"hint: {command}" for command in self.commands),
        ]

    @property
    def is_paged(self) -> bool:
        return True

    def document(self) -> dict[str, Any]:
        missing = {"missing": list(self.missing)} if self.missing else {}
        return {"sessions": [row.document() for row in self.sessions], **missing}

    def records(self) -> list[Record]:
        return [make_record(row.document()) for row in self.sessions]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if not self.sessions:
            note = "no session to show" if self.filtered else _NO_SESSIONS
            return TextOutput([], [] if quiet or self.missing else [note])
        ages = [format_age_since(row.updated, self.now) for row in self.sessions]
        table = _Table(self.sessions, ages, style)
        out = [table.line("SESSION ID", "STATE", "AGENTS", "UPDATED", "TASK")]
        for row, age in zip(self.sessions, ages, strict=True):
            sid = escape_control(row.session_id)
            agents = str(row.agents or "?")
            out.append(table.line(sid, row.state, agents, age, escape_control(row.title)))
        return TextOutput(out)


class _Table:
    """The column widths of the list.

    It computes the widths first and then formats line by line: a table of the cells of thousands
    of sessions would take megabytes.
    """

    def __init__(
        self, rows: Sequence[SessionRow], ages: Sequence[str], style: TerminalStyle
    ) -> None:
        self._style = style
        self._id_width = max(10, *(display_width(escape_control(row.session_id)) for row in rows))
        self._state_width = max(5, *(len(row.state) for row in rows))
        self._agents_width = max(6, *(len(str(row.agents)) for row in rows))
        self._age_width = max([7, *map(len, ages)])
        self._left_width = self._id_width + self._state_width + 4
        self._left_width += self._agents_width + self._age_width + 4
        # Leave out the age, and then the number of agents, if the task has too little room.
        self._has_age = self._has_room_for_task()
        if not self._has_age:
            self._left_width -= self._age_width + 2
        self._has_agents = self._has_room_for_task()
        if not self._has_agents:
            self._left_width -= self._agents_width + 2

    def _has_room_for_task(self) -> bool:
        columns = self._style.columns
        return columns is None or columns >= self._left_width + _MIN_TASK_WIDTH

    def line(self, sid: str, state: str, agents: str, age: str, task: str) -> str:
        """Return one line. Truncate only the task."""
        painted = self._style.paint(pad(state, self._state_width), STATE_COLORS.get(state, ""))
        line = f"{pad(sid, self._id_width)}  {painted}  "
        if self._has_agents:
            line += f"{pad(agents, self._agents_width)}  "
        if self._has_age:
            line += f"{pad(age, self._age_width)}  "
        return line + self._style.fit(task, self._left_width)
