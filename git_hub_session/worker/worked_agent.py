"""An agent on which a worker has worked."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from git_hub_session.agents.run_monitor import AgentRun
    from git_hub_session.git.ref_names import AgentBranch


class WorkedAgent(NamedTuple):
    """An agent on which a worker has worked."""

    branch: AgentBranch
    """The attempt, or the attempt 0 if there was none or if all attempts were measured."""
    agent_run: AgentRun | None = None
    """The run of the command, or None if there was none."""
    tip: str = ""
    """The object id of the last commit of the attempt, or ''."""
    is_lost: bool = False
    """True if another worker has taken over the claim. The result was not published."""
    is_published: bool = False

    @property
    def has_failed(self) -> bool:
        """True if the command of the agent failed."""
        run = self.agent_run
        return run is not None and (bool(run.reason) or not run.has_not_failed)
