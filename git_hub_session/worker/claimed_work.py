"""Work on the agents of a shared session until no agent is left, under a claim on each.

Each push renews the claim with a lease. A worker that has lost its claim publishes nothing more for
the agent.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from time import sleep

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.claims.claim import ClaimObserver, SeenClaim
from git_hub_session.errors import HubError
from git_hub_session.git.ref_names import AgentBranch, agent_name
from git_hub_session.session import runs
from git_hub_session.session.agents import require_agent
from git_hub_session.sharing.claims import ClaimLost, Claims, HeldClaim, left_claims
from git_hub_session.sharing.fetch import fetch_sessions
from git_hub_session.sharing.push import PushOptions, push_sessions
from git_hub_session.sharing.remote import Remote
from git_hub_session.worker.candidates import find_free_agents
from git_hub_session.worker.fenced_remote import FencedRemote
from git_hub_session.worker.renewer import Renewer
from git_hub_session.worker.worked_agent import WorkedAgent

if TYPE_CHECKING:
    from git_hub_session.agents.run_monitor import AgentRun
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project
    from git_hub_session.worker.claim_options import ClaimOptions
    from git_hub_session.worker.observer import WorkObserver

PUBLISH_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
"""The seconds between the tries to publish a result: a remote may be away for two minutes."""
_RENEWALS = 3  # in the time after which a claim is stale
# The seconds between two reads of the claims of other workers.
_FIRST_PAUSE, _MAX_PAUSE = 0.5, 30.0
_BRIEF_SILENCE = 20.0  # seconds: a command waits for the renewal, and a signal for the last push


class ClaimedWork(ABC):
    """The work of one process on the agents of a session."""

    def __init__(
        self,
        sid: SessionId,
        project: Project,
        remote: Remote,
        options: ClaimOptions,
        observer: WorkObserver,
    ) -> None:
        self._sid = sid
        self._project = project
        self._remote = remote
        self._shared = options.shared
        self._claim_timeout = options.claim_timeout
        self._observer = observer
        self._branch = AgentBranch(sid, 0, 0)
        """The attempt of the present agent, or the attempt 0 before there is one."""
        self.worked: list[WorkedAgent] = []
        """The agents on which this worker has worked, also after an error."""
        self._claims = Claims(sid, project, remote, shared=options.shared)
        brief = Remote(
            *remote.binding,
            pauses=(),
            silence_limit=min(options.claim_timeout / _RENEWALS, _BRIEF_SILENCE),
        )
        self._brief_claims = Claims(sid, project, brief, shared=options.shared)
        patient = Remote(*remote.binding, pauses=PUBLISH_PAUSES, note=observer.note)
        self._patient_claims = Claims(sid, project, patient, shared=options.shared)
        self._changes = ClaimObserver(options.claim_timeout)

    def run(self) -> None:
        """Work until no agent is left, or until is_finished() returns True.

        Raises:
            NotShared: the remote has no such session.
            NoSuchAgent: an option names an agent that the session does not have.
            RemoteFailed: the remote cannot be used.
            ClaimRefused, PushRefused: the remote refuses the refs.
            HubError: the work on an agent failed.
        """
        self._fetch()
        self._publish_left_results()
        session = self._project.store.read(self._sid)
        for agent in self._named_agents():
            require_agent(agent, session)
        while not self._is_finished():
            choice = self._find_free()
            if choice is None:
                break
            held = self._claims.take(*choice)
            if held is not None:
                self._work_under(held)

    @abstractmethod
    def _left_agents(self, session: Session) -> Sequence[int]:
        """Return the agents on which no worker has finished its work."""

    @abstractmethod
    def _work_on(self, fenced: FencedRemote) -> None:
        """Work on the agent of a claim, publish the result and release the claim."""

    def _named_agents(self) -> Sequence[int]:
        """Return the agents that the options name."""
        return ()

    def _is_finished(self) -> bool:
        """Return True if the work ends although agents may be left."""
        return False

    def _fetch(self) -> None:
        """Fetch the session and merge it into this clone."""
        [fetched] = fetch_sessions(
            [self._sid], self._project, self._remote, shared=self._shared, dry_run=False
        )
        if fetched.error is not None:
            raise fetched.error

    def _find_free(self) -> tuple[int, SeenClaim | None] | None:
        """Return an agent to claim and the claim to take over. Wait while all others are busy.

        Return None if no agent is left.
        """
        pause = _FIRST_PAUSE
        while True:
            claims = self._claims.fetch()
            self._changes.observe(claims)
            session = self._project.store.read(self._sid)
            left = self._left_agents(session)
            with self._project.store.open_directory(self._sid) as directory:
                active_runs = runs.active_runs(directory, runs.EXEC)

            def can_take_over(agent: int, claims: dict[int, SeenClaim] = claims) -> bool:
                is_abandoned = self._claims.is_abandoned(agent, claims[agent])
                return is_abandoned or self._changes.is_stale(agent)

            free = find_free_agents(session, left, claims, can_take_over, active_runs)
            if free:
                # Workers that start at the same time must not try the same agent first.
                agent = free[int.from_bytes(os.urandom(4), "big") % len(free)]
                return agent, claims.get(agent)
            if not left:
                return None
            sleep(pause)
            pause = min(2 * pause, self._claim_timeout / _RENEWALS, _MAX_PAUSE)
            self._fetch()

    def _work_under(self, held: HeldClaim) -> None:
        """Work on the agent of a claim, and release the claim at the end."""
        fenced = FencedRemote(self._remote, self._patient_claims, held)
        self._branch = AgentBranch(self._sid, held.agent, 0)
        try:
            self._fetch()
            if held.agent not in self._left_agents(self._project.store.read(self._sid)):
                self._claims.release(fenced.held)
                return
            self._observer.note(f"working on {agent_name(held.agent)}")
            self._work_on(fenced)
        except ClaimLost:
            self._mark_lost()
        except BaseException:
            if not fenced.is_released:
                self._give_up(fenced)
            raise

    def _publish_left_results(self) -> None:
        """Publish what earlier workers of this clone could not publish, and release their claims."""
        agents = tuple(held.agent for held in left_claims(self._sid, self._project))
        if not agents:
            return
        options = PushOptions(self._shared, agents=agents)
        [pushed] = push_sessions([self._sid], self._project, self._remote, options)
        if pushed.error is not None:
            self._observer.note(f"warning: not published: {pushed.error.message}")

    def _publish(self, fenced: FencedRemote) -> None:
        """Publish the record and the branches of the agent, and renew or release the claim."""
        options = PushOptions(shared=self._shared, agents=(fenced.held.agent,))
        [pushed] = push_sessions([self._sid], self._project, fenced, options)
        if pushed.error is not None:
            raise pushed.error

    def _publish_result(self, fenced: FencedRemote, agent_run: AgentRun | None = None) -> None:
        """Publish the finished work on the agent, and release the claim."""
        self._add(agent_run)
        fenced.releases = True
        self._publish(fenced)
        self.worked[-1] = self.worked[-1]._replace(is_published=True)

    def _add(self, agent_run: AgentRun | None = None) -> None:
        tip = self._project.repo.tip(self._branch.ref)
        self.worked.append(WorkedAgent(self._branch, agent_run, tip))

    def _mark_lost(self) -> None:
        """Note that another worker has taken over the agent."""
        last = self.worked[-1] if self.worked else None
        if last is None or last.branch != self._branch or last.is_published:
            self._add()
        self.worked[-1] = self.worked[-1]._replace(is_lost=True)

    def _make_renewer(self, branch: AgentBranch, fenced: FencedRemote) -> Renewer:
        return Renewer(
            self._observer,
            FencedRemote(self._remote, self._brief_claims, fenced.held),
            branch,
            self._project,
            self._claim_timeout / _RENEWALS,
        )

    def _give_up(self, fenced: FencedRemote) -> None:
        """Publish what is committed and release the claim, after a signal or an error.

        If the remote cannot be used, the claim becomes stale.
        """
        last = FencedRemote(self._remote, self._brief_claims, fenced.held)
        last.releases = True
        try:
            self._publish(last)
        except HubError as error:
            self._observer.note(f"warning: not published: {error.message}")
            try:
                self._brief_claims.release(last.held)
            except HubError:
                pass  # the claim becomes stale
