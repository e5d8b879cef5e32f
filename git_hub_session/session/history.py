"""The transitions of a session as state.json has them, and whether they lead to where it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.session.state import State, is_transition

if TYPE_CHECKING:
    from git_hub_session.session.model import Transition


DOCTOR_VERB = "doctor"
"""The verb of an entry that is no step: it says where the session stands, whatever was before."""


def find_contradiction(history: Sequence[Transition], state: State) -> str:
    """Where the history, since the doctor's last entry, does not lead to `state`; '' if it does, or is empty.

    AgentHub's script moves sessions without a word in it.
    """
    anew = max((at for at, step in enumerate(history) if step.verb == DOCTOR_VERB), default=-1)
    last = history[anew].target if anew >= 0 else ""
    for step in history[anew + 1 :]:
        if last and step.source != last:
            return f"its history goes to '{last}', and on from '{step.source}'"
        if not is_transition(step.source, step.target):
            return f"its history goes from '{step.source}' to '{step.target}'"
        last = step.target
    if not last or _can_reach(last, state):
        return ""
    return f"its history ends at '{last}', and it is '{state}'"


def _can_reach(source: str, target: State) -> bool:
    """Whether lawful steps lead from the state spelled so to the other: AgentHub takes them without a word."""
    return source == target or any(
        is_transition(source, step) and _can_reach(step, target) for step in State if step != source
    )


def with_correction(
    document: Mapping[str, Any], target: State, *, source: str, at: str, by: str, reason: str
) -> dict[str, Any]:
    """A state.json that says `target`, and why; what was no history is kept as `history_before`."""
    fixed, history = dict(document), document.get("history", [])
    if not isinstance(history, list) or not all(isinstance(step, dict) for step in history):
        fixed["history_before"], history = history, []
    step = {
        "at": at,
        "from": source,
        "to": str(target),
        "by": by,
        "verb": DOCTOR_VERB,
        "reason": reason,
    }
    fixed.update(state=str(target), updated=at, history=[*history, step])
    return fixed
