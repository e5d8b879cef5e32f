"""The state of a session in one line, for the prompt of a shell: read without libgit2."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.cli.view import STATE_COLORS, TerminalStyle, TextOutput, View
from git_hub_session.git.ref_names import agent_name
from git_hub_session.session import runs
from git_hub_session.session.runs import RunState
from git_hub_session.session.state import State

if TYPE_CHECKING:
    from git_hub_session._typing import Any
    from git_hub_session.cli.context import Context
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project

_UNFINISHED = (RunState.NEVER_RAN, RunState.WAITING, RunState.RUNNING)


class ShortStatus(NamedTuple):
    """A session in one line."""

    session_id: SessionId
    state: str
    finished: int
    """The number of agents whose last command has ended."""
    agents: int


def read_short_status(context: Context, sid: str | None) -> ShortStatusView:
    """Return the session for an id, or of the current worktree, or the newest unfinished one."""
    if sid is not None:
        found = context.find_session(sid)
    else:
        current = context.current_session() or context.newest_unfinished()
        if current is None:
            return ShortStatusView(None)
        found = current
    session = context.project.store.read(found)
    finished = _count_finished(session, context.project) if session.state is State.RUNNING else 0
    return ShortStatusView(
        ShortStatus(session.id, str(session.state), finished, session.config.agent_count)
    )


def _count_finished(session: Session, project: Project) -> int:
    with project.store.open_directory(session.id) as directory:
        active = runs.active_runs(directory, runs.EXEC)
    names = (agent_name(number + 1) for number in range(session.config.agent_count))
    known = [name for name in names if name in session.agents]
    states = [runs.read_last_run(session, name, active).state for name in known]
    return sum(state not in _UNFINISHED for state in states)


class ShortStatusView(View):
    """The line of a session. It is empty if there is no unfinished session."""

    wraps = False

    def __init__(self, status: ShortStatus | None) -> None:
        self.status = status

    def document(self) -> dict[str, Any]:
        if self.status is None:
            return dict.fromkeys(ShortStatus._fields)
        return self.status._asdict()

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if self.status is None:
            return TextOutput([])
        sid, state, finished, agents = self.status
        line = f"{sid} {style.paint(state, STATE_COLORS[state])}"
        is_running = state == str(State.RUNNING)
        return TextOutput([f"{line} {finished}/{agents or '?'}" if is_running else line])
