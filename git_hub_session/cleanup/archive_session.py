"""End a session: nothing of it is left to work on, and nothing that was done is lost.

The worktrees go as `cleanup` takes them, the branches become tags, the state comes last: killed
at any point, the same call finishes the work. What stays is named, and the session is not over.
"""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.cleanup.archive_branches import check_reference_hook
from git_hub_session.cleanup.cleanup import clean_up_locked, preview_cleanup
from git_hub_session.cleanup.options import CleanupOptions
from git_hub_session.cleanup.report import CleanupReport
from git_hub_session.git.ref_names import SessionId
from git_hub_session.session.model import Session
from git_hub_session.session.record import with_transition
from git_hub_session.session.state import IllegalTransition, State, transition_path
from git_hub_session.util.clock import format_iso
from git_hub_session.worktree.hooks import enabled_hooks

if TYPE_CHECKING:
    from git_hub_session.session.project import Project


class ArchiveResult(NamedTuple):
    """What an archive did, or would do."""

    source: State
    steps: tuple[State, ...]
    """The states that the session went through after it; none where it stays."""
    report: CleanupReport
    is_finished: bool
    """Whether nothing of it is left to work on."""

    @property
    def state(self) -> State:
        """The session's state afterwards."""
        return self.steps[-1] if self.steps else self.source


def archive_session(
    sid: SessionId, project: Project, policy: CleanupOptions, *, reason: str
) -> ArchiveResult:
    """Tag every tip, remove the worktrees, and go to `archived`.

    Raises IllegalTransition, LockHeld, and GitFailed where a hook refuses; nothing was changed then.
    """
    with project.store.lock_session(sid) as edit:
        session = edit.read()
        steps = _archive_steps(session)
        if "reference-transaction" in enabled_hooks(project, project.paths.common_dir):
            check_reference_hook(sid, project.repo, project.git)
        report = clean_up_locked(edit, sid, project, policy, archiving=True)
        if not report.is_finished:
            return ArchiveResult(session.state, (), report, is_finished=False)
        if steps:
            edit.save(_with_transitions(edit.read(), steps, project, reason))
        return ArchiveResult(session.state, steps, report, is_finished=True)


def preview_archive(sid: SessionId, project: Project, policy: CleanupOptions) -> ArchiveResult:
    """What archive_session would do now; nothing is changed."""
    session = project.store.read(sid)
    steps = _archive_steps(session)
    report = preview_cleanup(sid, project, policy, archiving=True)
    return ArchiveResult(
        session.state, steps if report.is_finished else (), report, report.is_finished
    )


def _archive_steps(session: Session) -> tuple[State, ...]:
    try:
        return transition_path(session.state, State.ARCHIVED)
    except IllegalTransition as fault:  # what is left of it goes all the same
        fault.hint = f"git hub-session cleanup --archive {session.id}"
        raise


def _with_transitions(
    session: Session, steps: tuple[State, ...], project: Project, reason: str
) -> Session:
    at = format_iso(project.now())
    for step in steps:
        session = with_transition(
            session, step, at=at, by=project.identity, verb="archive", reason=reason
        )
    return session
