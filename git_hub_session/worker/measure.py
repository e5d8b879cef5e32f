"""Measure the agents of a shared session for `eval --on` until no agent is left."""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.distributed.key import read_session_at
from git_hub_session.distributed.measure import measure_agent, record_measurement
from git_hub_session.distributed.unmeasured import unmeasured_agents
from git_hub_session.sharing.claims import ClaimLost
from git_hub_session.worker.claimed_work import ClaimedWork

if TYPE_CHECKING:
    from git_hub_session.distributed.key import MeasureOptions
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project
    from git_hub_session.sharing.remote import Remote
    from git_hub_session.worker.claim_options import ClaimOptions
    from git_hub_session.worker.fenced_remote import FencedRemote
    from git_hub_session.worker.observer import WorkObserver


class MeasureWorker(ClaimedWork):
    """Measures the agents of one session."""

    def __init__(
        self,
        sid: SessionId,
        project: Project,
        remote: Remote,
        options: MeasureOptions,
        observer: WorkObserver,
        *,
        claims: ClaimOptions,
        agents: Sequence[int] = (),
    ) -> None:
        """Prepare the work.

        Args:
            agents: the agents to choose from; empty: all agents of the session.
        """
        super().__init__(sid, project, remote, claims, observer)
        self._agents = agents
        self._options = options

    def _left_agents(self, session: Session) -> Sequence[int]:
        session = session._replace(base_tip=self._options.key.base)
        left = unmeasured_agents(session, self._project, self._options)
        return [agent for agent in left if agent in self._agents] if self._agents else left

    def _named_agents(self) -> Sequence[int]:
        return self._agents

    def _work_on(self, fenced: FencedRemote) -> None:
        """Measure the attempts of the agent. A lost claim is noticed at the next renewal."""
        agent = fenced.held.agent
        # No ref has the attempt 0: the renewer publishes no branch.
        renewer = self._make_renewer(self._branch, fenced)
        session = read_session_at(self._sid, self._project, self._options.key)
        try:
            entries = measure_agent(session, self._project, self._options, agent, renewer.on_wait)
        finally:
            fenced.held = renewer.held
        if renewer.is_lost:
            raise ClaimLost(f"another worker has taken over agent-{agent}")
        record_measurement(self._sid, self._project, entries)
        self._publish_result(fenced)
