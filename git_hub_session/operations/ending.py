"""End a session: nothing of it is left to work on, and nothing that was done is lost.

The worktrees go as `cleanup` takes them, the branches become tags, the state comes last: killed
at any point, the same call finishes the work. What stays is named, and the session is not over.
"""

from __future__ import annotations

from git_hub_session.clock import iso
from git_hub_session.operations.archive import ask
from git_hub_session.operations.checkout import hooks_in
from git_hub_session.operations.cleanup import carry_out, rehearse
from git_hub_session.operations.policy import Policy
from git_hub_session.operations.report import Report
from git_hub_session.operations.scene import Scene
from git_hub_session.refnames import SessionId
from git_hub_session.session import Session, advanced
from git_hub_session.states import IllegalTransition, State, way
from git_hub_session.typed import NamedTuple


class Ended(NamedTuple):
    """What an archive did, or would do."""

    source: State
    steps: tuple[State, ...]
    """The states that the session went through after it; none where it stays."""
    report: Report
    is_over: bool
    """Whether nothing of it is left to work on."""

    @property
    def state(self) -> State:
        """The session's state afterwards."""
        return self.steps[-1] if self.steps else self.source


def archive_session(sid: SessionId, scene: Scene, policy: Policy, *, reason: str) -> Ended:
    """Tag every tip, remove the worktrees, and go to `archived`.

    Raises IllegalTransition, LockHeld, and GitFailed where a hook refuses; nothing was changed then.
    """
    with scene.store.edit(sid) as edit:
        session = edit.read()
        steps = _steps(session)
        if "reference-transaction" in hooks_in(scene, scene.place.common_dir):
            ask(sid, scene.repo, scene.git)
        report = carry_out(edit, sid, scene, policy, archiving=True)
        if not report.is_over:
            return Ended(session.state, (), report, is_over=False)
        if steps:
            edit.save(_walked(edit.read(), steps, scene, reason))
        return Ended(session.state, steps, report, is_over=True)


def rehearse_archive(sid: SessionId, scene: Scene, policy: Policy) -> Ended:
    """What archive_session would do now; nothing is changed."""
    session = scene.store.read(sid)
    steps = _steps(session)
    report = rehearse(sid, scene, policy, archiving=True)
    return Ended(session.state, steps if report.is_over else (), report, report.is_over)


def _steps(session: Session) -> tuple[State, ...]:
    try:
        return way(session.state, State.ARCHIVED)
    except IllegalTransition as fault:  # what is left of it goes all the same
        fault.hint = f"git hub-session cleanup --archive {session.id}"
        raise


def _walked(session: Session, steps: tuple[State, ...], scene: Scene, reason: str) -> Session:
    at = iso(scene.now())
    for step in steps:
        session = advanced(session, step, at=at, by=scene.identity, verb="archive", reason=reason)
    return session
