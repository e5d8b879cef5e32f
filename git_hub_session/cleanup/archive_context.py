"""The session of an archive, and the attempts from which other sessions start."""

from __future__ import annotations

from functools import partial

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cleanup.archive_branches import ArchiveContext
from git_hub_session.errors import HubError
from git_hub_session.lineage.parent import is_parent

if TYPE_CHECKING:
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project


def make_archive_context(
    sid: SessionId, session: Session | None, project: Project
) -> ArchiveContext:
    """Return the context of an archive. `session` is None if the session cannot be read."""
    return ArchiveContext(sid, session, project.repo, partial(is_parent, store=project.store))


def read_archive_context(sid: SessionId, project: Project) -> ArchiveContext:
    """Return the context of an archive, also if the session cannot be read."""
    try:
        session = project.store.read(sid)
    except (HubError, OSError):
        return make_archive_context(sid, None, project)
    return make_archive_context(sid, session, project)
