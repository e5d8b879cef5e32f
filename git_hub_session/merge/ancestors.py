"""Archive the sessions from whose winners a merged session descends."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.cleanup.archive_session import archive_session
from git_hub_session.errors import HubError, to_hub_error
from git_hub_session.lineage.parent import merged_ancestors
from git_hub_session.session.agents import refuse_if_running
from git_hub_session.session.state import State
from git_hub_session.session.store import NoSuchSession

if TYPE_CHECKING:
    from git_hub_session.cleanup.archive_session import ArchiveResult
    from git_hub_session.cleanup.options import CleanupOptions
    from git_hub_session.merge.plan import MergePlan
    from git_hub_session.session.project import Project


class ArchivedAncestors(NamedTuple):
    """The archived sessions from whose winners a session descends."""

    results: tuple[ArchiveResult, ...] = ()
    errors: tuple[str, ...] = ()
    """The sessions that could not be archived, with the reasons and the commands."""


def archive_ancestors(
    plan: MergePlan, project: Project, options: CleanupOptions, *, force: bool
) -> ArchivedAncestors:
    """Archive the evaluated sessions whose winners were merged, the oldest first.

    Their winners get archive tags like the other agents. An error does not stop the others.

    Args:
        force: ignore agents that only another program has marked as running.
    """
    results, errors = [], []
    reason = f"session {plan.session.id} descends from its winner"
    for parent, _ in merged_ancestors(plan.session, plan.tip, project):
        sid = parent.session_id
        try:
            ancestor = project.store.read(sid)
            if ancestor.state is not State.EVALUATING:
                continue
            with project.store.open_directory(sid) as directory:
                refuse_if_running(ancestor, directory, among=ancestor.agents, force=force)
            results.append(archive_session(sid, project, options, reason=reason))
        except NoSuchSession:
            continue
        except (HubError, OSError) as error:
            command = f"git hub-session archive {sid}"
            problem = to_hub_error(error).message
            errors.append(f"cannot archive session '{sid}': {problem} (later: {command})")
    return ArchivedAncestors(tuple(results), tuple(errors))
