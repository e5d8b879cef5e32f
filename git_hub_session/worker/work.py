"""Work on the agents of a shared session until no agent is left.

The steps for an agent are: claim it, fetch the session, create the next attempt, publish it, run the
command, publish the result and release the claim. Each push renews the claim with a lease. A worker
that has lost its claim publishes nothing more for the agent, and keeps its commits in its clone.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from time import monotonic, sleep

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.agents.exec import run_for_agents
from git_hub_session.agents.run_monitor import RunObserver
from git_hub_session.agents.spawn import spawn_agents
from git_hub_session.agents.spawn_plan import SpawnOptions
from git_hub_session.claims.claim import ClaimObserver, SeenClaim
from git_hub_session.errors import HubError
from git_hub_session.git.ref_names import AgentBranch, agent_name, short_name
from git_hub_session.git.worktrees import linked_worktrees
from git_hub_session.session import runs
from git_hub_session.session.agents import all_agents, require_agent
from git_hub_session.session.attempts import attempts_by_agent
from git_hub_session.sharing.claims import ClaimLost, Claims, HeldClaim
from git_hub_session.sharing.fetch import fetch_sessions
from git_hub_session.sharing.push import PushOptions, push_sessions
from git_hub_session.sharing.remote import Remote, refused_reasons
from git_hub_session.util.numbers import MAX_COUNT
from git_hub_session.worker.candidates import find_candidates
from git_hub_session.worker.fenced_remote import FencedRemote
from git_hub_session.worker.left_results import publish_left_results
from git_hub_session.worktree.owner import attempt_worktrees

if TYPE_CHECKING:
    from git_hub_session.agents.exec_options import ExecOptions
    from git_hub_session.agents.run_monitor import AgentRun
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.project import Project

PUBLISH_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
"""The seconds between the tries to publish a result: a remote may be away for two minutes."""
_RENEWALS = 3  # in the time after which a claim is stale
# The seconds between two reads of the claims of other workers.
_FIRST_PAUSE, _MAX_PAUSE = 0.5, 30.0
_BRIEF_SILENCE = 20.0  # seconds: a command waits for the renewal, and a signal for the last push


class WorkOptions(NamedTuple):
    """The agents to work on, and how."""

    exec_options: ExecOptions
    """The command and its limits. The agents in it are ignored."""
    shared: str
    """The prefix of the shared refs on the remote."""
    claim_timeout: float
    """The seconds after which an unchanged claim is stale."""
    agents: Sequence[int] = ()
    """The agents to choose from; empty: all agents of the session."""
    maximum: int = MAX_COUNT
    """The largest number of agents to work on."""
    template: str = ""
    """The template for the paths of worktrees."""


class WorkedAgent(NamedTuple):
    """An agent on which this worker has worked."""

    branch: AgentBranch
    agent_run: AgentRun | None
    """The run of the command, or None if the claim was lost before."""
    tip: str = ""
    """The object id of the last commit of the attempt."""
    is_lost: bool = False
    """True if another worker has taken over the claim. The result was not published."""
    is_published: bool = True


class WorkObserver(RunObserver):
    """The methods that are called during the work. Here they do nothing."""

    def note(self, text: str) -> None:
        """Receive a sentence about the progress."""


class Worker:
    """Works on the agents of one session."""

    def __init__(
        self,
        sid: SessionId,
        project: Project,
        remote: Remote,
        options: WorkOptions,
        observer: WorkObserver,
    ) -> None:
        self.worked: list[WorkedAgent] = []
        """The agents on which this worker has worked, also after an error."""
        self._sid = sid
        self._project = project
        self._remote = remote
        self._options = options
        self._observer = observer
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
        """Work until no agent is left, or until the largest number of agents is reached.

        Raises:
            NotShared: the remote has no such session.
            NoSuchAgent: an option names an agent that the session does not have.
            RemoteFailed: the remote cannot be used.
            ClaimRefused, PushRefused: the remote refuses the refs.
            HubError: an agent cannot be created, or its command cannot run.
        """
        self._fetch()
        problem = publish_left_results(self._sid, self._project, self._remote, self._options.shared)
        if problem:
            self._observer.note(f"warning: not published: {problem}")
        session = self._project.store.read(self._sid)
        for agent in (*self._options.agents, *self._options.exec_options.agent_commands.named):
            require_agent(agent, session)
        while len(self.worked) < self._options.maximum:
            choice = self._find_free()
            if choice is None:
                break
            held = self._claims.take(*choice)
            if held is not None:
                self._observer.note(f"working on {agent_name(held.agent)}")
                self._work_under(held)

    def _fetch(self) -> None:
        """Fetch the session and merge it into this clone."""
        shared = self._options.shared
        [fetched] = fetch_sessions(
            [self._sid], self._project, self._remote, shared=shared, dry_run=False
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
            agents = self._options.agents or all_agents(session)
            with self._project.store.open_directory(self._sid) as directory:
                active_runs = runs.active_runs(directory, runs.EXEC)

            def can_take_over(agent: int, claims: dict[int, SeenClaim] = claims) -> bool:
                is_abandoned = self._claims.is_abandoned(agent, claims[agent])
                return is_abandoned or self._changes.is_stale(agent)

            free, busy = find_candidates(session, agents, claims, can_take_over, active_runs)
            if free:
                # Workers that start at the same time must not try the same agent first.
                agent = free[int.from_bytes(os.urandom(4), "big") % len(free)]
                return agent, claims.get(agent)
            if not busy:
                return None
            sleep(pause)
            pause = min(2 * pause, self._options.claim_timeout / _RENEWALS, _MAX_PAUSE)
            self._fetch()

    def _work_under(self, held: HeldClaim) -> None:
        """Work on the agent of a claim, and release the claim at the end."""
        fenced = FencedRemote(self._remote, self._patient_claims, held)
        branch = AgentBranch(self._sid, held.agent, 0)
        try:
            self._fetch()
            session = self._project.store.read(self._sid)
            if runs.has_command_ended(session, agent_name(held.agent)):
                self._claims.release(fenced.held)
                return
            branch = self._prepare(fenced)
            self._publish(fenced)
            agent_run, is_lost = self._run_command(branch, fenced)
            self._add(branch, agent_run, is_lost=is_lost, is_published=False)
            if not is_lost:
                fenced.releases = True
                self._publish(fenced)
                self.worked[-1] = self.worked[-1]._replace(is_published=True)
        except ClaimLost:
            self._mark_lost(branch)
        except BaseException:
            if not fenced.is_released:
                self._give_up(fenced)
            raise

    def _prepare(self, fenced: FencedRemote) -> AgentBranch:
        """Return the attempt to work on, which has a worktree in this clone.

        Continue the last attempt if its worktree is here. Otherwise start the next attempt from the
        last published commit, and renew the claim while its worktree is prepared.
        """
        agent = fenced.held.agent
        attempts = attempts_by_agent(self._sid, self._project.repo).get(agent, [])
        options = SpawnOptions((agent,), template=self._options.template)
        if attempts:
            last = AgentBranch(self._sid, agent, attempts[-1])
            worktrees = linked_worktrees(self._project.paths.common_dir)
            if last in attempt_worktrees(self._sid, self._project, worktrees):
                return last
            base = self._project.repo.tip(last.ref)
            options = SpawnOptions(retry=agent, base=base, template=self._options.template)
        # No ref has the attempt 0: the new branch is published after its record.
        renewer = self._make_renewer(AgentBranch(self._sid, agent, 0), fenced)
        try:
            options = options._replace(on_wait=renewer.on_wait)
            result = spawn_agents(self._sid, self._project, options)
        finally:
            fenced.held = renewer.held
        for text in (*result.notes, *result.hook_errors):
            self._observer.note(f"warning: {text}")
        [created] = result.created
        return created.branch

    def _publish(self, fenced: FencedRemote) -> None:
        """Publish the record and the branches of the agent, and renew or release the claim."""
        options = PushOptions(shared=self._options.shared, agents=(fenced.held.agent,))
        [pushed] = push_sessions([self._sid], self._project, fenced, options)
        if pushed.error is not None:
            raise pushed.error

    def _run_command(
        self, branch: AgentBranch, fenced: FencedRemote
    ) -> tuple[AgentRun | None, bool]:
        """Run the command. Return its run, and True if the claim was lost in the meantime."""
        renewer = self._make_renewer(branch, fenced)
        options = self._options.exec_options._replace(agents=(branch.agent,), force=True)
        try:
            result = run_for_agents(self._sid, self._project, options, renewer)
        finally:
            fenced.held = renewer.held
        for note in result.notes:
            self._observer.note(f"warning: {note}")
        return result.agent_runs[0], renewer.is_lost

    def _make_renewer(self, branch: AgentBranch, fenced: FencedRemote) -> _Renewer:
        return _Renewer(
            self._observer,
            FencedRemote(self._remote, self._brief_claims, fenced.held),
            branch,
            self._project,
            self._options.claim_timeout / _RENEWALS,
        )

    def _add(self, branch: AgentBranch, agent_run: AgentRun | None, **marks: bool) -> None:
        tip = self._project.repo.tip(branch.ref)
        self.worked.append(WorkedAgent(branch, agent_run, tip, **marks))

    def _mark_lost(self, branch: AgentBranch) -> None:
        """Record that another worker has taken over the agent."""
        if not self.worked or self.worked[-1].branch != branch:
            self._add(branch, None, is_published=False)
        self.worked[-1] = self.worked[-1]._replace(is_lost=True)

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


class _Renewer(RunObserver):
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
