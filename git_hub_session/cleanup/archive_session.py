"""End a session without a winner, and lose no work.

Remove the worktrees as `cleanup` does, replace the branches with tags, and change the state last.
After a kill, the same call finishes the work. If a worktree or a branch is kept, report it and do
not change the state.
"""

from __future__ import annotations

from functools import partial

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.cleanup.archive_branches import check_reference_hook
from git_hub_session.cleanup.archive_context import make_archive_context
from git_hub_session.cleanup.cleanup import clean_up_locked, preview_cleanup
from git_hub_session.session.agents import refuse_if_evaluated
from git_hub_session.session.record import with_transition
from git_hub_session.session.state import IllegalTransition, State, transition_path
from git_hub_session.util.clock import format_iso

if TYPE_CHECKING:
    from git_hub_session.cleanup.options import CleanupOptions
    from git_hub_session.cleanup.report import CleanupReport
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project


class ArchiveResult(NamedTuple):
    """The result of an archive or of its dry run."""

    source: State
    steps: tuple[State, ...]
    """The states after `source`, or none if the session does not change."""
    report: CleanupReport
    is_finished: bool
    """True if no worktree and no agent's branch is left."""

    @property
    def state(self) -> State:
        """The state of the session after the archive."""
        return self.steps[-1] if self.steps else self.source


def archive_session(
    sid: SessionId, project: Project, options: CleanupOptions, *, reason: str
) -> ArchiveResult:
    """Remove the worktrees, archive the branches and set the state to `archived`.

    Each of these errors is raised before the first change.

    Raises:
        IllegalTransition: the session cannot be archived in its state.
        Refused: the session is being evaluated.
        LockHeld: another process has locked the session.
        HookRefused: a hook rejects the archive.
    """
    with project.store.lock_session(sid) as locked:
        session = locked.read()
        steps = _archive_steps(session)
        refuse_if_evaluated(sid, locked.directory)
        check_reference_hook(make_archive_context(sid, session, project), project)
        report = clean_up_locked(locked, sid, project, options, archiving=True)
        if not report.is_finished:
            return ArchiveResult(session.state, (), report, is_finished=False)
        if steps:
            locked.update(partial(_with_transitions, steps=steps, project=project, reason=reason))
        return ArchiveResult(session.state, steps, report, is_finished=True)


def preview_archive(sid: SessionId, project: Project, options: CleanupOptions) -> ArchiveResult:
    """Return the result of a dry run of archive_session()."""
    session = project.store.read(sid)
    steps = _archive_steps(session)
    with project.store.open_directory(sid) as directory:
        refuse_if_evaluated(sid, directory)
    report = preview_cleanup(sid, project, options, archiving=True)
    return ArchiveResult(
        session.state, steps if report.is_finished else (), report, report.is_finished
    )


def _archive_steps(session: Session) -> tuple[State, ...]:
    try:
        return transition_path(session.state, State.ARCHIVED)
    except IllegalTransition as error:  # A cleanup is still possible.
        error.hint = f"git hub-session cleanup --archive {session.id}"
        raise


def _with_transitions(
    session: Session, steps: tuple[State, ...], project: Project, reason: str
) -> Session:
    timestamp = format_iso(project.now())
    for step in steps:
        session = with_transition(
            session, step, at=timestamp, by=project.identity, verb="archive", reason=reason
        )
    return session
