"""The session of an archive, and the attempts from which other sessions start."""

from __future__ import annotations

from collections.abc import Callable, Collection

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cleanup.archive_branches import ArchiveContext
from git_hub_session.errors import HubError
from git_hub_session.lineage.parent import parent_attempts

if TYPE_CHECKING:
    from git_hub_session.git.ref_names import AgentBranch, SessionId
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project


def make_archive_context(
    sid: SessionId,
    session: Session | None,
    project: Project,
    find_parents: Callable[[], Collection[AgentBranch]] | None = None,
) -> ArchiveContext:
    """Return the context of an archive.

    Args:
        session: the session, or None if it cannot be read.
        find_parents: return the attempts from which other sessions start. By default, all sessions
            are read. For many contexts, give a function that keeps its result.
    """

    def read_parents() -> Collection[AgentBranch]:
        return parent_attempts(project.store.map_sessions(lambda session: session))

    return ArchiveContext(sid, session, project.repo, find_parents or read_parents)


def read_archive_context(sid: SessionId, project: Project) -> ArchiveContext:
    """Return the context of an archive, also if the session cannot be read."""
    try:
        session = project.store.read(sid)
    except (HubError, OSError):
        return make_archive_context(sid, None, project)
    return make_archive_context(sid, session, project)
