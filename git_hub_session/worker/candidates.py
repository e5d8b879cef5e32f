"""Find the agents of a shared session that are left to work on."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.git.ref_names import agent_name
from git_hub_session.session.runs import RunState, read_last_run

if TYPE_CHECKING:
    from git_hub_session.claims.claim import SeenClaim
    from git_hub_session.session.model import Session


def find_free_agents(
    session: Session,
    left: Sequence[int],
    claims: Mapping[int, SeenClaim],
    can_take_over: Callable[[int], bool],
    active_runs: Container[str],
) -> list[int]:
    """Return the agents that can be claimed now.

    On the others, another worker or a command in this clone works.

    Args:
        left: the agents to choose from.
        can_take_over: returns True for an agent whose claim is stale or abandoned.
        active_runs: the active runs of `exec` in this clone.
    """
    return [
        agent
        for agent in left
        if (
            can_take_over(agent)
            if agent in claims
            else not _is_running(session, agent, active_runs)
        )
    ]


def _is_running(session: Session, agent: int, active_runs: Container[str]) -> bool:
    state = read_last_run(session, agent_name(agent), active_runs).state
    return state in (RunState.RUNNING, RunState.WAITING)
