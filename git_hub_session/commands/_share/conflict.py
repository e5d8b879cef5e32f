"""The warning about a session that clones have ended in two ways."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.sharing.local_record import SharedState


def conflict_warning(sid: SessionId, shared: SharedState | None) -> str:
    """Return the warning about two different endings, or ''."""
    if shared is None or not shared.record.is_conflict:
        return ""
    return (
        f"session '{sid}' was merged in one clone and archived in another one;"
        f" settle it: git hub-session update --resolve merged {sid}"
    )
