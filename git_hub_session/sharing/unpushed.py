"""Find the remotes that do not have the present state of a session.

Write nothing, and take no lock.
"""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import HubError
from git_hub_session.git.ref_names import ALL_TRACKED
from git_hub_session.git.refs import refs_below

if TYPE_CHECKING:
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.project import Project


def unpushed_remotes(sid: SessionId, project: Project) -> tuple[str, ...]:
    """Return the sorted remotes whose last known record differs from the session.

    A remote to which the session was never pushed does not count.
    """
    refs = refs_below(project.paths.common_dir, ALL_TRACKED)
    tracked = sorted(ref for ref in refs if ref.endswith(f"/{sid}"))
    if not tracked:
        return ()
    # Most sessions are not shared, and `status` would import hashlib with OpenSSL: 7 ms.
    from git_hub_session.sharing.local_record import read_own_record
    from git_hub_session.sharing.record_commit import read_record

    try:
        own = read_own_record(sid, project)
        return tuple(
            ref.removeprefix(ALL_TRACKED).removesuffix(f"/{sid}")
            for ref in tracked
            if read_record(project.repo.tip(ref), sid, project) != own
        )
    except HubError:
        return ()  # doctor reports a damaged session
