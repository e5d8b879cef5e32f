"""The lines about two endings of a session, and about changes that a remote does not have."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.util.shell import quote_word
from git_hub_session.util.text import escape_control

if TYPE_CHECKING:
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.sharing.local_record import SharedState


def describe_conflict(sid: SessionId) -> str:
    """Return the sentence about two different final states, with the command that chooses one."""
    return (
        "one clone has merged the session, and another clone has archived it;"
        f" to keep 'merged': git hub-session update --resolve merged {sid}"
    )


def conflict_warning(sid: SessionId, shared: SharedState | None) -> str:
    """Return the warning about two different final states, or ''."""
    if shared is None or not shared.record.is_conflict:
        return ""
    return f"session '{sid}': {describe_conflict(sid)}"


def unpushed_line(remote: str, sid: SessionId) -> str:
    """Return the line about a remote that does not have all changes of a session."""
    name = escape_control(remote)
    command = f"git hub-session push {quote_word(name)} {sid}"
    return f"  Unpushed: {name} does not have all changes ({command})"
