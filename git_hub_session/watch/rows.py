"""The table of the live view: its rows, and the columns that fit into a width.

Every text of a row is safe for a terminal.
"""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.cli.agent_table import metric_cells, short_failure
from git_hub_session.cli.view import STATE_COLORS
from git_hub_session.session.runs import RunState
from git_hub_session.session.state import AgentStatus
from git_hub_session.util.clock import format_clock, format_elapsed, parse_iso
from git_hub_session.util.text import count_noun, display_width, escape_control, pad, truncate
from git_hub_session.watch.order import Need
from git_hub_session.worktree.agent_progress import READY

if TYPE_CHECKING:
    from git_hub_session.board.posts import Post
    from git_hub_session.cli.view import TerminalStyle
    from git_hub_session.watch.facts import WatchedAgent, WatchedSession
    from git_hub_session.watch.order import SessionRows

GAP = 2
"""The number of spaces between two columns."""
_MAX_NAME = 24
_MIN_NAME = 12  # enough for agent-999
_MAX_STATE = 22


class Column(NamedTuple):
    """A column of the table."""

    header: str
    weight: int = 0
    """The part of the remaining width that the column gets, or 0 for the width of its cells."""
    width: int = 0
    """The smallest width of a column with a weight."""
    maximum: int = 99
    right: bool = False


COLUMNS = (
    Column("AGENT", maximum=_MAX_NAME),
    Column("STATE", maximum=_MAX_STATE),
    Column("NEXT"),
    Column("PROC", right=True),
    Column("FILES", right=True),
    Column("RANK", right=True),
    Column("METRIC", maximum=24),
    Column("OUTPUT", weight=4, width=16),
    Column("LAST COMMIT", weight=3, width=20),
    Column("LAST POST", weight=3, width=20),
)
# The indexes of the columns.
AGENT, STATE, NEXT, PROC, FILES, RANK, METRIC, OUTPUT, COMMIT, POST = range(len(COLUMNS))
_REQUIRED = (AGENT, STATE, OUTPUT)
"""The columns that are shown in each width, also without a value."""
_PRIORITY = (*_REQUIRED, NEXT, RANK, METRIC, FILES, PROC, COMMIT, POST)
"""The columns in the order in which they get room."""

Key = tuple[str, int]
"""The id of a session, and the number of an agent or 0."""


class Row(NamedTuple):
    """A row for a session or for an agent."""

    key: Key
    cells: tuple[str, ...]
    """One cell for each of COLUMNS."""
    color: str
    """The color of the state, or ''."""

    @property
    def is_session(self) -> bool:
        return not self.key[1]


class Layout(NamedTuple):
    """The columns that fit into a width, each with its index in COLUMNS and its width."""

    columns: tuple[tuple[int, int], ...]


def make_rows(groups: Sequence[SessionRows], now: float, style: TerminalStyle) -> list[Row]:
    """Return the rows of all sessions, each followed by those of its agents."""
    rows = []
    for group in groups:
        session = group.session
        rows.append(_session_row(group))
        agents = [agent for agent, _ in group.agents]
        metrics = metric_cells([agent.progress for agent in agents], session.evaluation, style)
        for (agent, need), metric in zip(group.agents, metrics, strict=True):
            rows.append(_agent_row(session, agent, need, metric=metric, now=now))
    return rows


def _session_row(group: SessionRows) -> Row:
    session = group.session
    state = session.state
    if session.agents:
        finished = sum(agent.progress.state not in _UNFINISHED for agent in session.agents)
        state = f"{state} {finished}/{len(session.agents)}"
    text = escape_control(session.error) or session.title
    cells = (escape_control(session.session_id), state, group.need.word, *[""] * 4, text, "", "")
    return Row((session.session_id, 0), cells, STATE_COLORS.get(session.state, ""))


_UNFINISHED = (
    READY,
    RunState.WAITING,
    RunState.RUNNING,
    AgentStatus.SPAWNING,
    AgentStatus.RESTORING,
)


def _agent_row(
    session: WatchedSession, agent: WatchedAgent, need: Need, *, metric: str, now: float
) -> Row:
    progress = agent.progress
    rank = progress.result.rank if progress.result else 0
    cells = (
        f"  {progress.name}",
        describe_run(agent, now),
        need.word,
        str(len(agent.pids)) if agent.pids else "",
        str(progress.uncommitted) if progress.uncommitted else "",
        str(rank) if rank else "",
        metric,
        _output_cell(agent),
        _commit_cell(agent, now),
        post_cell(agent.post, now),
    )
    return Row((session.session_id, progress.agent), cells, _agent_color(agent, need))


def _output_cell(agent: WatchedAgent) -> str:
    """Return the reason that a branch lacks the agent's work, or the last line of the output."""
    return escape_control(agent.progress.off_branch) or "".join(agent.output[-1:])


def describe_run(agent: WatchedAgent, now: float) -> str:
    """Return the state of an agent with the time of its running command, or the failure."""
    progress = agent.progress
    if progress.started is not None:
        return f"running {format_clock(max(now - progress.started, 0))}"
    return short_failure(progress) or escape_control(progress.state_text)


def _agent_color(agent: WatchedAgent, need: Need) -> str:
    if need is Need.LOOK:
        return "red"
    if need is Need.COMMIT or agent.progress.state == RunState.RUNNING:
        return "yellow"
    return "green" if agent.progress.state == RunState.DONE else ""


def _commit_cell(agent: WatchedAgent, now: float) -> str:
    if not agent.commit_time:
        return ""
    return f"{format_elapsed(now - agent.commit_time)}: {escape_control(agent.subject)}"


def post_cell(post: Post | None, now: float) -> str:
    """Return the age, the channel and the first line of a post, or ''."""
    if post is None:
        return ""
    time = parse_iso(post.timestamp)
    age = "" if time is None else f"{format_elapsed(now - time)}: "
    text = post.reason or post.text.strip().partition("\n")[0]
    return f"{age}{escape_control(f'{post.channel}: {text}')}"


def detail_lines(session: WatchedSession, agent: WatchedAgent | None, now: float) -> list[str]:
    """Return what the table has no room for: of an agent, or of a session if `agent` is None."""
    if agent is None:
        return [escape_control(session.session_id), escape_control(session.error) or session.title]
    facts = {
        "worktree": escape_control(agent.worktree),
        "processes": ", ".join(map(str, agent.pids[:10])),
        "remarks": ", ".join(map(escape_control, agent.progress.remarks)),
        "commit": _commit_cell(agent, now),
        "post": post_cell(agent.post, now),
    }
    elapsed = "" if agent.output_time is None else format_elapsed(now - agent.output_time)
    silent = f", last output {elapsed} ago" if elapsed else ""
    head = f"{session.session_id} {agent.progress.name}: {describe_run(agent, now)}{silent}"
    details = [f"{name}: {text}" for name, text in facts.items() if text]
    return [head, *details, *(f"| {line}" for line in agent.output)]


def choose_layout(rows: Sequence[Row], width: int) -> Layout:
    """Return the columns that fit into `width`. The name, the state and the output always do.

    The columns with a weight share the room that the other columns leave.
    """
    widths: dict[int, int] = {}
    free = width + GAP
    for index in _PRIORITY:
        column = COLUMNS[index]
        cells = [row.cells[index] for row in rows]
        if index not in _REQUIRED and not any(cells):
            continue
        needed = column.width or min(_cell_width(column, cells), _longest(index, width))
        if free < needed + GAP and index not in _REQUIRED:
            continue
        widths[index] = min(needed, max(free - GAP, 0))
        free -= widths[index] + GAP
    _share(widths, free)
    return Layout(tuple(sorted(widths.items())))


def _longest(index: int, width: int) -> int:
    """Return the largest width of a column. The names take at most a quarter of the terminal."""
    return max(width // 4, _MIN_NAME) if index == AGENT else width


def _cell_width(column: Column, cells: Sequence[str]) -> int:
    return min(column.maximum, max(map(display_width, (column.header, *cells))))


def _share(widths: dict[int, int], free: int) -> None:
    """Give the remaining columns of the terminal to the columns with a weight."""
    weights = {index: COLUMNS[index].weight for index in widths if COLUMNS[index].weight}
    total = sum(weights.values())
    shares = {index: max(free, 0) * weight // total for index, weight in weights.items()}
    for index, share in shares.items():
        widths[index] += share
    widths[OUTPUT] += max(free, 0) - sum(shares.values())


def header_cells(layout: Layout) -> list[str]:
    """Return the headers of the columns, padded to their widths."""
    return [
        fit_cell(COLUMNS[index].header, index, width, ellipsis="")
        for index, width in layout.columns
    ]


def row_cells(row: Row, layout: Layout, ellipsis: str) -> list[str]:
    """Return the cells of a row, truncated and padded to the widths of their columns."""
    return [
        fit_cell(row.cells[index], index, width, ellipsis=ellipsis)
        for index, width in layout.columns
    ]


def fit_cell(text: str, index: int, width: int, *, ellipsis: str) -> str:
    """Return a cell that has exactly this width."""
    text = truncate(text, width, ellipsis[:width])
    if COLUMNS[index].right:
        return " " * (width - display_width(text)) + text
    return pad(text, width)


_NEED_TEXTS = {0: "none needs you", 1: "1 needs you"}


def summary_line(groups: Sequence[SessionRows]) -> str:
    """Return the numbers of sessions, of agents, and of those that need a person."""
    agents = [need for group in groups for _, need in group.agents]
    waiting = sum(need is not Need.NOTHING for need in agents)
    waiting += sum(group.need is not Need.NOTHING for group in groups)
    texts = [count_noun(len(groups), "session"), count_noun(len(agents), "agent")]
    return ", ".join([*texts, _NEED_TEXTS.get(waiting, f"{waiting} need you")])
