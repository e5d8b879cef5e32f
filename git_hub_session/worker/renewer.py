"""Renew the claim on an agent while a command runs, and publish its new commits."""

from __future__ import annotations

from time import monotonic

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.agents.run_monitor import RunObserver
from git_hub_session.errors import HubError
from git_hub_session.git.ref_names import short_name
from git_hub_session.sharing.claims import ClaimLost
from git_hub_session.sharing.remote import refused_reasons

if TYPE_CHECKING:
    from git_hub_session.git.ref_names import AgentBranch
    from git_hub_session.session.project import Project
    from git_hub_session.sharing.claims import HeldClaim
    from git_hub_session.worker.fenced_remote import FencedRemote
    from git_hub_session.worker.observer import WorkObserver


class Renewer(RunObserver):
    """Renews the claim while the command runs, and publishes the new commits of the agent."""

    def __init__(
        self,
        observer: WorkObserver,
        fenced: FencedRemote,
        branch: AgentBranch,
        project: Project,
        interval: float,
    ) -> None:
        """Wrap an observer.

        Args:
            interval: the seconds between two renewals.
        """
        self._observer = observer
        self._fenced = fenced
        self._branch = branch
        self._project = project
        self._interval = interval
        self._due = monotonic() + interval
        self.is_lost = False
        """True if another worker has taken over the claim."""
        self.on_plan = observer.on_plan  # type: ignore[method-assign]
        self.on_start = observer.on_start  # type: ignore[method-assign]
        self.on_output = observer.on_output  # type: ignore[method-assign]
        self.on_end = observer.on_end  # type: ignore[method-assign]

    @property
    def held(self) -> HeldClaim:
        """The claim with its last renewal."""
        return self._fenced.held

    def on_wait(self) -> float | None:
        pause = self._observer.on_wait()
        if self.is_lost:
            return pause
        if monotonic() >= self._due:
            self._renew()
            self._due = monotonic() + self._interval
        rest = max(0.0, self._due - monotonic())
        return rest if pause is None else min(rest, pause)

    def _renew(self) -> None:
        """Renew the claim. The command goes on without a connection, and if git cannot write."""
        tip = self._project.repo.tip(self._branch.ref)
        try:
            answer = self._fenced.push([f"{tip}:{self._branch.ref}"] if tip else [])
        except ClaimLost as error:
            self.is_lost = True
            self._observer.note(f"warning: {error.message}")
        except HubError as error:
            self._observer.note(f"warning: {error.message}")
        else:
            if answer.refused:
                name = short_name(self._branch.ref)
                reasons = refused_reasons(answer.refused)
                self._observer.note(f"warning: '{name}' is not published: {reasons}")
