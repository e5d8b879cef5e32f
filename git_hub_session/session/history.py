"""Read the history of a session, find contradictions in it, and correct the state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.session.model import parse_merge_record
from git_hub_session.session.state import FINISHED, State, is_transition
from git_hub_session.util.json_values import as_count, as_mapping, as_text, as_texts

if TYPE_CHECKING:
    from git_hub_session.session.model import Session


DOCTOR_VERB = "doctor"
"""The verb of an entry in which `doctor` corrected the state. Earlier entries do not count."""


RESOLVE_VERB = "resolve"
"""The verb of an entry that settles a conflict of clones. Earlier entries do not count."""
_SETTING_VERBS = (DOCTOR_VERB, RESOLVE_VERB)
_ENDINGS = frozenset(map(str, FINISHED))


class Winner(NamedTuple):
    """The attempt that a clone has merged."""

    agent: int
    attempt: int

    @property
    def name(self) -> str:
        """The name, such as "agent-2/attempt-1"."""
        return f"agent-{self.agent}/attempt-{self.attempt}"


class Conflict(NamedTuple):
    """The different results of clones, between which nobody has chosen."""

    has_two_endings: bool
    """True if one clone has merged the session, and another one has archived it."""
    merges: tuple[Mapping[str, Any], ...]
    """The merges, as in state.json, if clones have merged different winners; otherwise ()."""


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


def settled_winner(steps: Iterable[Mapping[str, Any]]) -> Winner | None:
    """Return the winner that the newest decisions in a history agree on, or None."""
    decisions = [step for step in steps if step.get("verb") == RESOLVE_VERB]
    newest = max((as_count(step.get("number")) for step in decisions), default=0)
    winners = {
        parse_winner(step)
        for step in decisions
        if as_count(step.get("number")) == newest and step.get("to") == str(State.MERGED)
    }
    return winners.pop() if len(winners) == 1 else None


def parse_winner(fields: Mapping[str, Any]) -> Winner | None:
    """Return the winner that an entry of the history or a merge names, or None."""
    winner = Winner(as_count(fields.get("agent")), as_count(fields.get("attempt")))
    return winner if all(winner) else None


def merges_by_winner(merges: Iterable[Mapping[str, Any]]) -> dict[Winner, Mapping[str, Any]]:
    """Return the merges of clones by their winners. One of several merges of a winner counts."""
    parsed = ((parse_winner(merge), merge) for merge in merges)
    return {winner: merge for winner, merge in parsed if winner is not None}


def find_conflict(
    endings: Iterable[str],
    merges: Iterable[Mapping[str, Any]],
    steps: Sequence[Mapping[str, Any]],
) -> Conflict | None:
    """Return the conflict of a session, or None if it has none or is settled.

    Args:
        endings: the endings that clones have reached.
        merges: the merges that clones have made.
        steps: the entries of the history.
    """
    ending = settled_ending(steps)
    has_two_endings = len({*endings}) > 1 and not ending
    by_winner = merges_by_winner(merges)
    is_open = len(by_winner) > 1 and settled_winner(steps) not in by_winner
    if ending == str(State.ARCHIVED) or not is_open:
        by_winner = {}
    if not has_two_endings and not by_winner:
        return None
    return Conflict(has_two_endings, tuple(by_winner[winner] for winner in sorted(by_winner)))


def session_conflict(session: Session) -> Conflict | None:
    """Return the conflict of a session in this clone, or None."""
    steps = session.document.get("history")
    entries = [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []
    return find_conflict(recorded_endings(session), recorded_merges(session), entries)


def recorded_merges(session: Session) -> list[Mapping[str, Any]]:
    """Return the valid merges of all clones, if state.json records several."""
    merges = session.document.get("merges")
    entries = map(as_mapping, merges if isinstance(merges, list) else ())
    return [entry for entry in entries if parse_merge_record(entry) is not None]


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
