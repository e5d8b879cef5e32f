"""Run the command of the agents of a shared session until no agent is left.

The steps for an agent are: claim it, fetch the session, create the next attempt, publish it, run the
command, publish the result and release the claim. A worker that has lost its claim keeps its commits
in its clone.
"""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.agents.exec import run_for_agents
from git_hub_session.agents.spawn import spawn_agents
from git_hub_session.agents.spawn_plan import SpawnOptions
from git_hub_session.git.ref_names import AgentBranch, agent_name
from git_hub_session.git.worktrees import linked_worktrees
from git_hub_session.session.agents import all_agents
from git_hub_session.session.attempts import attempts_by_agent
from git_hub_session.session.runs import has_command_ended
from git_hub_session.util.numbers import MAX_COUNT
from git_hub_session.worker.claimed_work import ClaimedWork
from git_hub_session.worktree.owner import attempt_worktrees

if TYPE_CHECKING:
    from git_hub_session.agents.exec_options import ExecOptions
    from git_hub_session.agents.run_monitor import AgentRun
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project
    from git_hub_session.sharing.remote import Remote
    from git_hub_session.worker.claim_options import ClaimOptions
    from git_hub_session.worker.fenced_remote import FencedRemote
    from git_hub_session.worker.observer import WorkObserver


class WorkOptions(NamedTuple):
    """The agents to work on, and how."""

    exec_options: ExecOptions
    """The command and its limits. The agents in it are ignored."""
    claims: ClaimOptions
    agents: Sequence[int] = ()
    """The agents to choose from; empty: all agents of the session."""
    maximum: int = MAX_COUNT
    """The largest number of agents to work on."""
    template: str = ""
    """The template for the paths of worktrees."""


class Worker(ClaimedWork):
    """Runs the command of the agents of one session."""

    def __init__(
        self,
        sid: SessionId,
        project: Project,
        remote: Remote,
        options: WorkOptions,
        observer: WorkObserver,
    ) -> None:
        super().__init__(sid, project, remote, options.claims, observer)
        self._options = options

    def _named_agents(self) -> Sequence[int]:
        return (*self._options.agents, *self._options.exec_options.agent_commands.named)

    def _is_finished(self) -> bool:
        return len(self.worked) >= self._options.maximum

    def _left_agents(self, session: Session) -> Sequence[int]:
        agents = self._options.agents or all_agents(session)
        return [agent for agent in agents if not has_command_ended(session, agent_name(agent))]

    def _work_on(self, fenced: FencedRemote) -> None:
        self._branch = branch = self._prepare(fenced)
        self._publish(fenced)
        agent_run, is_lost = self._run_command(branch, fenced)
        if is_lost:
            self._add(agent_run)
            self._mark_lost()
        else:
            self._publish_result(fenced, agent_run)

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
