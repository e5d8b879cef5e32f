"""The options of a run of `exec` or `work`: the commands of the agents, and the limits."""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import NamedTuple
from git_hub_session.session.assignment_values import PerAgent
from git_hub_session.util.shell import quote_word

COMMIT_SUCCESS = "success"
"""Commit the changes of the agents whose command has succeeded."""
COMMIT_ALWAYS = "always"
"""Commit the changes of all agents."""

_MAX_RECORDED = 4000  # characters of a command in state.json


class ExecOptions(NamedTuple):
    """The command, the agents to run it for, and the limits."""

    command: Sequence[str] = ()
    """The command of all agents, or ()."""
    agent_commands: PerAgent = PerAgent()
    """The shell commands of the agents, without a `command`."""
    agents: Sequence[int] = ()
    """The numbers of the agents; empty: all agents that have a worktree."""
    jobs: int | None = None
    """The number of parallel commands, or None to start all at once."""
    timeout: float | None = None
    """The time limit of each command, in seconds."""
    force: bool = False
    """Run even if another program has marked the agent as running."""
    commit: str = ""
    """COMMIT_SUCCESS, COMMIT_ALWAYS, or '' to commit nothing after the commands."""
    failed: bool = False
    """Leave out the agents whose last run succeeded, and those that are running."""
    retries: int = 0
    """The number of times that a failed command runs again."""
    retry_delay: float = 0.0
    """The seconds between two tries of a command."""

    def find_command(self, agent: int) -> Sequence[str]:
        """Return the command of an agent, or ()."""
        text = self.agent_commands.find(agent)
        return ("sh", "-c", text) if text else self.command

    def command_text(self, agent: int) -> str:
        """Return the beginning of the agent's command, as state.json records it."""
        text = self.agent_commands.find(agent) or " ".join(map(quote_word, self.command))
        return text[:_MAX_RECORDED]
