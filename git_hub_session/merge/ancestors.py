"""Archive the sessions from whose winners a merged session descends."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.cleanup.archive_session import archive_session
from git_hub_session.errors import HubError, to_hub_error
from git_hub_session.lineage.parent import find_ancestors
from git_hub_session.session.state import State

if TYPE_CHECKING:
    from git_hub_session.cleanup.archive_session import ArchiveResult
    from git_hub_session.cleanup.options import CleanupOptions
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project


class ArchivedAncestors(NamedTuple):
    """The archived sessions from whose winners a session descends."""

    results: tuple[ArchiveResult, ...] = ()
    errors: tuple[str, ...] = ()
    """The sessions that could not be archived, with the reasons and the commands."""


def archive_ancestors(
    session: Session, project: Project, options: CleanupOptions
) -> ArchivedAncestors:
    """Archive the evaluated earlier sessions, the oldest first.

    Their winners get archive tags like the other agents. An error does not stop the others.
    """
    results, errors = [], []
    for _, ancestor in find_ancestors(session, project.store):
        if ancestor is None or ancestor.state is not State.EVALUATING:
            continue
        reason = f"session {session.id} descends from its winner"
        try:
            results.append(archive_session(ancestor.id, project, options, reason=reason))
        except (HubError, OSError) as error:
            command = f"git hub-session archive {ancestor.id}"
            problem = to_hub_error(error).message
            errors.append(f"cannot archive session '{ancestor.id}': {problem} (later: {command})")
    return ArchivedAncestors(tuple(results), tuple(errors))
