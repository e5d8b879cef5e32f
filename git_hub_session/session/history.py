"""Read the history of a session, find contradictions in it, and correct the state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.session.state import FINISHED, State, is_transition
from git_hub_session.util.json_values import as_count, as_text, as_texts

if TYPE_CHECKING:
    from git_hub_session.session.model import Session


DOCTOR_VERB = "doctor"
"""The verb of an entry in which `doctor` corrected the state. Earlier entries do not count."""


RESOLVE_VERB = "resolve"
"""The verb of an entry that settles two endings of a session. Earlier entries do not count."""
_SETTING_VERBS = (DOCTOR_VERB, RESOLVE_VERB)
_ENDINGS = frozenset(map(str, FINISHED))


class Transition(NamedTuple):
    """One entry of the history. `at` is in ISO 8601 (UTC), `by` is "Name <email>"."""

    at: str
    source: str
    target: str
    by: str
    verb: str
    reason: str


def read_history(session: Session) -> tuple[Transition, ...]:
    """Return the recorded transitions, oldest first. Skip an entry that is not an object."""
    entries = session.document.get("history")
    if not isinstance(entries, list):
        return ()
    return tuple(_parse_transition(entry) for entry in entries if isinstance(entry, dict))


def _parse_transition(fields: Mapping[str, Any]) -> Transition:
    keys = ("at", "from", "to", "by", "verb", "reason")
    return Transition(*(as_text(fields.get(key)) for key in keys))


def find_contradiction(history: Sequence[Transition], state: State) -> str:
    """Return why the history does not lead to `state`, or ''.

    The last steps may be missing: AgentHub's script changes the state without adding an entry. Two
    clones may have made a step from the same state.
    """
    corrections = [index for index, step in enumerate(history) if step.verb in _SETTING_VERBS]
    start = corrections[-1] if corrections else -1
    source, last = "", {history[start].target} if corrections else set()
    for step in history[start + 1 :]:
        if last and step.source not in (source, *last):
            return f"its history goes to '{min(last)}', and on from '{step.source}'"
        if not is_transition(step.source, step.target):
            return f"its history goes from '{step.source}' to '{step.target}'"
        last = {step.target, *(last if step.source == source else ())}
        source = step.source
    if not last or any(_can_reach(each, state) for each in last):
        return ""
    return f"its history ends at '{min(last)}', and it is '{state}'"


def settled_ending(steps: Iterable[Mapping[str, Any]]) -> str:
    """Return the ending that the newest decisions in a history agree on, or ''."""
    decisions = _decisions(steps)
    newest = {target for number, target in decisions if number == max(decisions)[0]}
    return newest.pop() if len(newest) == 1 else ""


def next_decision(steps: Iterable[Mapping[str, Any]]) -> int:
    """Return the number of the next decision between two endings."""
    return 1 + max((number for number, _ in _decisions(steps)), default=0)


def _decisions(steps: Iterable[Mapping[str, Any]]) -> list[tuple[int, str]]:
    return [
        (as_count(step.get("number")), step["to"])
        for step in steps
        if step.get("verb") == RESOLVE_VERB and step.get("to") in _ENDINGS
    ]


def has_two_endings(session: Session) -> bool:
    """Return True if clones have ended the session in two ways, and no decision exists."""
    steps = session.document.get("history")
    entries = [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []
    return len(recorded_endings(session)) > 1 and not settled_ending(entries)


def recorded_endings(session: Session) -> set[str]:
    """Return the endings that clones have reached, if state.json records several."""
    return {*as_texts(session.document.get("endings"))} & _ENDINGS


def _can_reach(source: str, target: State) -> bool:
    """Return True if legal transitions lead from `source` to `target`, or if the two are equal."""
    return source == target or any(
        is_transition(source, step) and _can_reach(step, target) for step in State if step != source
    )


def with_correction(
    document: Mapping[str, Any], target: State, *, source: str, at: str, by: str, reason: str
) -> dict[str, Any]:
    """Return state.json with the state `target` and an entry of `doctor` in its history.

    If `history` is not a list of entries, keep its value under the key `history_before`.
    """
    corrected = dict(document)
    history = document.get("history", [])
    if not isinstance(history, list) or not all(isinstance(step, dict) for step in history):
        corrected["history_before"] = history
        history = []
    correction = {
        "at": at,
        "from": source,
        "to": str(target),
        "by": by,
        "verb": DOCTOR_VERB,
        "reason": reason,
    }
    corrected.update(state=str(target), updated=at, history=[*history, correction])
    return corrected
