"""Order sessions and agents by what needs a person first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.session.runs import RunState
from git_hub_session.session.state import FINISHED, State
from git_hub_session.util.text import natural_key
from git_hub_session.watch.facts import BROKEN
from git_hub_session.worktree.agent_progress import READY

if TYPE_CHECKING:
    from git_hub_session.watch.facts import Snapshot, WatchedAgent, WatchedSession

SILENT_SECONDS = 600
"""The time without output after which a running command needs a look."""

_FAILED = (RunState.FAILED, RunState.TIMED_OUT, RunState.INTERRUPTED)
_WORKING = (RunState.RUNNING, RunState.WAITING)


class Need(IntEnum):
    """The next action of a person. The lowest value is the most urgent one."""

    LOOK = 0
    """Something failed, is damaged, or has been silent for long."""
    COMMIT = 1
    """An agent is done and left uncommitted files, which are not measured."""
    MERGE = 2
    EVAL = 3
    SPAWN = 4
    EXEC = 5
    NOTHING = 6
    """The agents are working, or another action comes first."""

    @property
    def word(self) -> str:
        """The word that names the action, or ''."""
        return "" if self is Need.NOTHING else self.name.lower()


def agent_need(agent: WatchedAgent, session: WatchedSession, now: float) -> Need:
    """Return the next action that an agent needs. In a finished session it is NOTHING."""
    progress = agent.progress
    if session.state == State.EVALUATING:
        return Need.LOOK if progress.off_branch or progress.conflicts else Need.NOTHING
    if session.state != State.RUNNING:
        return Need.NOTHING
    if progress.state in _FAILED or progress.off_branch or is_silent(agent, now):
        return Need.LOOK
    if progress.state == RunState.DONE and progress.uncommitted:
        return Need.COMMIT
    return Need.NOTHING


def is_silent(agent: WatchedAgent, now: float) -> bool:
    """Return True if the running command of an agent has printed nothing for a long time."""
    started = agent.progress.started
    if started is None:
        return False
    return now - max(started, agent.output_time or 0.0) >= SILENT_SECONDS


def session_need(session: WatchedSession) -> Need:
    """Return the next action that a session needs, without those of its agents."""
    if session.state == BROKEN:
        return Need.LOOK
    if session.state == State.INIT:
        return Need.SPAWN
    if session.state == State.EVALUATING:
        is_ranked = any(one.progress.result and one.progress.result.rank for one in session.agents)
        return Need.MERGE if is_ranked else Need.EVAL
    if session.state in FINISHED:
        return Need.NOTHING
    return _running_need(session)


def _running_need(session: WatchedSession) -> Need:
    if not session.agents:
        return Need.SPAWN
    states = [agent.progress.state for agent in session.agents]
    if any(state in _WORKING for state in states):
        return Need.NOTHING
    if all(state == READY for state in states):
        # An agent can also have been started without `exec`.
        has_commits = any(agent.commit_time for agent in session.agents)
        has_processes = any(agent.pids for agent in session.agents)
        if has_processes:
            return Need.NOTHING
        return Need.EVAL if has_commits else Need.EXEC
    return Need.EVAL


class SessionRows(NamedTuple):
    """A session and the agents to show, in their order, with their next actions."""

    session: WatchedSession
    need: Need
    """The next action of the session itself."""
    agents: tuple[tuple[WatchedAgent, Need], ...]

    @property
    def urgency(self) -> Need:
        """The most urgent action of the session and its agents."""
        return min([self.need, *(need for _, need in self.agents)])


NEED = "need"
SORT_KEYS = (NEED, "name", "rank", "activity")
"""The orders of sessions and agents. The first one is the default."""

_AgentKey = Callable[["WatchedAgent", Need], "tuple[float, ...]"]
_LAST = float("inf")


def _rank(agent: WatchedAgent) -> float:
    result = agent.progress.result
    return result.rank if result and result.rank else _LAST


def last_activity(agent: WatchedAgent) -> float:
    """Return the time of the last commit or output, in seconds since the epoch, or 0."""
    return max(agent.commit_time, agent.output_time or 0.0)


_AGENT_KEYS: dict[str, _AgentKey] = {
    NEED: lambda agent, need: (need, agent.progress.agent),
    "name": lambda agent, need: (agent.progress.agent,),
    "rank": lambda agent, need: (_rank(agent), agent.progress.agent),
    "activity": lambda agent, need: (-last_activity(agent), agent.progress.agent),
}


def order_snapshot(snapshot: Snapshot, sort: str, pattern: str = "") -> list[SessionRows]:
    """Return the sessions and the agents in their order.

    Args:
        sort: one of SORT_KEYS.
        pattern: show only the agents and sessions that contain this text in any case. If a session
            contains the text, show all of its agents.
    """
    groups = [_order_agents(session, snapshot.now, sort) for session in snapshot.sessions]
    if pattern:
        filtered = (_filter_agents(group, pattern.casefold()) for group in groups)
        groups = [group for group in filtered if group is not None]
    return sorted(groups, key=lambda group: _session_key(group, sort))


def _order_agents(session: WatchedSession, now: float, sort: str) -> SessionRows:
    pairs = [(agent, agent_need(agent, session, now)) for agent in session.agents]
    pairs.sort(key=lambda pair: _AGENT_KEYS[sort](*pair))
    return SessionRows(session, session_need(session), tuple(pairs))


def _session_key(group: SessionRows, sort: str) -> tuple[object, ...]:
    name = natural_key(group.session.session_id)
    if sort == NEED:
        return group.urgency, name
    if sort == "activity":
        return -max((last_activity(agent) for agent, _ in group.agents), default=0.0), name
    return (name,)


def _filter_agents(group: SessionRows, pattern: str) -> SessionRows | None:
    session = group.session
    if _contains((session.session_id, session.state, session.title), pattern):
        return group
    agents = tuple(
        (agent, need)
        for agent, need in group.agents
        if _contains((agent.progress.name, agent.progress.state_text, need.word), pattern)
    )
    return group._replace(agents=agents) if agents else None


def _contains(texts: Sequence[str], pattern: str) -> bool:
    return any(pattern in text.casefold() for text in texts)
