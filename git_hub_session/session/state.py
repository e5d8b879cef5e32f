"""The state machine of a session: init → running → evaluating → merged | archived."""

from __future__ import annotations

from enum import Enum

from git_hub_session.errors import Refused, UsageError


class State(str, Enum):
    """Where a session stands, spelled as in state.json."""

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

FINISHED = frozenset(state for state, allowed in TRANSITIONS.items() if not allowed)


class AgentStatus(str, Enum):
    """The progress of an agent, as state.json spells it."""

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
    """The state machine has no such step."""

    code = "illegal-transition"

    def __init__(self, state: State, target: State) -> None:
        allowed = ", ".join(f"'{step}'" for step in TRANSITIONS[state])
        super().__init__(
            f"cannot go from '{state}' to '{target}'",
            hint=f"from '{state}' a session can go to {allowed}"
            if allowed
            else f"'{state}' is final: nothing follows it",
        )


def check_transition(state: State, target: State) -> State:
    """Return `target` if one legal step leads there from `state`, else raise IllegalTransition."""
    if target not in TRANSITIONS[state]:
        raise IllegalTransition(state, target)
    return target


def is_transition(source: str, target: str) -> bool:
    """Whether the machine has a step between the states that are spelled so."""
    return any(
        (state, step) == (source, target) for state, steps in TRANSITIONS.items() for step in steps
    )


def transition_path(state: State, target: State) -> tuple[State, ...]:
    """The steps that lead from `state` to `target`, none where it is there; raises IllegalTransition."""
    ways: list[tuple[State, ...]] = [(state,)]
    for found in ways:
        if found[-1] is target:
            return found[1:]
        ways += [(*found, step) for step in TRANSITIONS[found[-1]]]
    raise IllegalTransition(state, target)


def parse_state(text: str) -> State:
    """The State spelled `text`; raises UsageError with the five names."""
    try:
        return State(text)
    except ValueError:
        names = ", ".join(State)
        raise UsageError(f"not a state: '{text}'", hint=f"the states are {names}") from None
