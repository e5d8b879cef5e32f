"""The lines about conflicts of clones, and about changes that a remote does not have."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.session.history import parse_winner
from git_hub_session.session.state import State
from git_hub_session.util.shell import quote_word
from git_hub_session.util.text import escape_control

if TYPE_CHECKING:
    from collections.abc import Mapping

    from git_hub_session._typing import Any
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.history import Conflict
    from git_hub_session.sharing.local_record import SharedState

_MAX_MERGES = 5
_MERGE_KEYS = ("agent", "attempt", "tip", "into", "commit")


def describe_conflict(sid: SessionId, conflict: Conflict | None) -> list[str]:
    """Return the sentences about different results of clones, with a command that chooses one."""
    if conflict is None:
        return []
    names = [_winner_name(merge) for merge in conflict.merges]
    winner = f" --winner {names[0]}" if names else ""
    command = f"git hub-session update --resolve {State.MERGED}{winner} {sid}"
    lines = []
    if conflict.has_two_endings:
        lines.append(
            "one clone has merged the session, and another clone has archived it;"
            f" to keep '{State.MERGED}': {command}"
        )
    if names:
        merges = [
            f"{name} in {escape_control(merge['into'])} ({merge['commit']:.12})"
            for name, merge in zip(names, conflict.merges[:_MAX_MERGES])
        ]
        more = len(names) - len(merges)
        text = ", ".join(merges) + (f" and {more} more" if more else "")
        lines.append(f"clones have merged different winners: {text}; to keep {names[0]}: {command}")
    return lines


def _winner_name(merge: Mapping[str, Any]) -> str:
    winner = parse_winner(merge)
    assert winner is not None
    return winner.name


def conflict_warnings(sid: SessionId, shared: SharedState | None) -> list[str]:
    """Return the warnings about different results of clones."""
    conflict = shared.record.conflict if shared else None
    return [f"session '{sid}': {sentence}" for sentence in describe_conflict(sid, conflict)]


def conflict_fields(conflict: Conflict | None) -> dict[str, Any]:
    """Return the fields of a conflict for JSON. `merges` is empty without different winners."""
    merges = conflict.merges if conflict else ()
    return {"merges": [{key: merge[key] for key in _MERGE_KEYS} for merge in merges]}


def unpushed_line(remote: str, sid: SessionId) -> str:
    """Return the line about a remote that does not have all changes of a session."""
    name = escape_control(remote)
    command = f"git hub-session push {quote_word(name)} {sid}"
    return f"  Unpushed: {name} does not have all changes ({command})"
