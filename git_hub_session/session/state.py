"""The states of a session and of an agent, and the legal transitions of a session."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import Damaged, Refused, UsageError

if TYPE_CHECKING:
    from git_hub_session._typing import Any
    from git_hub_session.git.ref_names import SessionId

NEW_SESSION_HINT = "git hub-session init --task <text>"
"""The hint for a session that accepts no more agents."""


class State(str, Enum):
    """The state of a session, as state.json spells it."""

    INIT = "init"
    RUNNING = "running"
    EVALUATING = "evaluating"
    MERGED = "merged"
    ARCHIVED = "archived"

    def __str__(self) -> str:
        return self.value


TRANSITIONS: dict[State, tuple[State, ...]] = {
    State.INIT: (State.RUNNING,),
    State.RUNNING: (State.EVALUATING,),
    State.EVALUATING: (State.MERGED, State.ARCHIVED),
    State.MERGED: (),
    State.ARCHIVED: (),
}

FINISHED = frozenset(state for state, next_states in TRANSITIONS.items() if not next_states)
"""The states without a next state."""


class AgentStatus(str, Enum):
    """The status of an agent, as state.json spells it."""

    SPAWNING = "spawning"
    """`spawn` creates the branch and the worktree, or was interrupted."""
    READY = "ready"
    WAITING = "waiting"
    """`exec` has not started the command yet."""
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    RESTORING = "restoring"
    """`restore` recreates the worktree, or was interrupted."""

    def __str__(self) -> str:
        return self.value


class IllegalTransition(Refused):
    """The state machine has no step between these states."""

    code = "illegal-transition"

    def __init__(self, state: State, target: State) -> None:
        next_states = ", ".join(f"'{step}'" for step in TRANSITIONS[state])
        super().__init__(
            f"cannot go from '{state}' to '{target}'",
            hint=f"from '{state}' a session can go to {next_states}"
            if next_states
            else f"'{state}' is a final state",
        )


def check_transition(state: State, target: State) -> None:
    """Raise IllegalTransition if no single step leads from `state` to `target`."""
    if target not in TRANSITIONS[state]:
        raise IllegalTransition(state, target)


def is_transition(source: str, target: str) -> bool:
    """Return True if a single step leads from `source` to `target`. False for an unknown state."""
    return any(
        state == source and target in next_states for state, next_states in TRANSITIONS.items()
    )


def transition_path(state: State, target: State) -> tuple[State, ...]:
    """Return the states to go through from `state` to `target`, or raise IllegalTransition.

    The path contains `target` but not `state`. It is empty if the two are equal.
    """
    paths: list[tuple[State, ...]] = [(state,)]
    # A breadth-first search: the loop adds paths to the list. It ends, as TRANSITIONS has no cycle.
    for path in paths:
        if path[-1] is target:
            return path[1:]
        paths += [(*path, step) for step in TRANSITIONS[path[-1]]]
    raise IllegalTransition(state, target)


def parse_state(text: str) -> State:
    """Return the state that is spelled `text`, or raise UsageError with all names."""
    try:
        return State(text)
    except ValueError:
        names = ", ".join(State)
        raise UsageError(f"not a state: '{text}'", hint=f"the states are {names}") from None


def new_state_document(sid: SessionId, *, at: str) -> dict[str, Any]:
    """Return the state.json of a session that was created at `at` (ISO 8601, UTC)."""
    return {
        "session_id": sid,
        "state": str(State.INIT),
        "created": at,
        "updated": at,
        "agents": {},
        "history": [],
    }


def read_state(document: Mapping[str, Any]) -> State:
    """Return the state in state.json, or raise Damaged if it is missing or unknown."""
    value = document.get("state")
    try:
        return State(value)
    except ValueError:
        raise Damaged(
            f"state.json: unknown state: {value!r:.60}" if value else "state.json: no state"
        ) from None
