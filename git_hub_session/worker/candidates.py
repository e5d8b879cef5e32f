"""Find the agents of a shared session that are left to work on."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.git.ref_names import agent_name
from git_hub_session.session.runs import RunState, has_command_ended, read_last_run

if TYPE_CHECKING:
    from git_hub_session.claims.claim import SeenClaim
    from git_hub_session.session.model import Session


class Candidates(NamedTuple):
    """The agents whose command has not ended yet."""

    free: tuple[int, ...]
    """The agents that can be claimed now."""
    busy: tuple[int, ...]
    """The agents on which another worker, or a command in this clone, works."""


def find_candidates(
    session: Session,
    agents: Sequence[int],
    claims: Mapping[int, SeenClaim],
    can_take_over: Callable[[int], bool],
    active_runs: Container[str],
) -> Candidates:
    """Return the agents that are left.

    Args:
        agents: the agents to choose from.
        can_take_over: returns True for an agent whose claim is stale or abandoned.
        active_runs: the active runs of `exec` in this clone.
    """
    left = [agent for agent in agents if not has_command_ended(session, agent_name(agent))]
    busy = [
        agent
        for agent in left
        if (agent in claims and not can_take_over(agent))
        or (agent not in claims and _is_running(session, agent, active_runs))
    ]
    return Candidates(tuple(agent for agent in left if agent not in busy), tuple(busy))


def _is_running(session: Session, agent: int, active_runs: Container[str]) -> bool:
    state = read_last_run(session, agent_name(agent), active_runs).state
    return state in (RunState.RUNNING, RunState.WAITING)
