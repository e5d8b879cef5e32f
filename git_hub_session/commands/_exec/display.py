"""Print the output of the agents' commands while they run."""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.agents.run_monitor import RunObserver
from git_hub_session.commands._exec.live_output import LiveOutput
from git_hub_session.commands._exec.table import run_fields
from git_hub_session.settings.table import HOOK_AGENT_DONE
from git_hub_session.util.text import decode_terminal_line

if TYPE_CHECKING:
    from git_hub_session.agents.run_monitor import AgentRun
    from git_hub_session.cli.context import Context
    from git_hub_session.git.ref_names import SessionId


class LiveDisplay(RunObserver):
    """Prints the output of the agents, and the time that they take. Sends the events."""

    def __init__(self, context: Context, sid: SessionId) -> None:
        self._context = context
        self._sid = sid
        self.reporter = context.reporter
        self._output = LiveOutput(context)
        self.elapsed = self._output.elapsed
        self.success_by_agent: dict[int, bool] | None = None
        """True for each agent whose command succeeded, or None before the first command."""

    def on_plan(self, agent_runs: Sequence[AgentRun]) -> None:
        self.success_by_agent = {agent_run.branch.agent: False for agent_run in agent_runs}

    def on_start(self, agent: str) -> None:
        self.elapsed.start(agent)

    def on_wait(self) -> float | None:
        return self.elapsed.update()

    def on_end(self, agent_run: AgentRun) -> None:
        self.elapsed.end(agent_run.agent)
        if self.success_by_agent is not None:
            self.success_by_agent[agent_run.branch.agent] = agent_run.has_not_failed
        self._context.start_event(
            HOOK_AGENT_DONE, lambda: {"session_id": self._sid, **run_fields(agent_run)}
        )

    def on_output(self, agent: str, line: bytes) -> None:
        self._output.write(live_line(agent, line))


def live_line(agent: str, line: bytes) -> str:
    """Return the text that shows one line of output of an agent's running command."""
    return f"{agent} | {decode_terminal_line(line)}\n"
