"""The agents after the work of executors, and the executors that failed."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.cli.table import Column, table_lines
from git_hub_session.cli.view import (
    Record,
    TerminalStyle,
    TextOutput,
    View,
    error_lines,
    make_record,
)
from git_hub_session.commands._executors.results import (
    cancel_lines,
    error_and_hint_lines,
    result_fields,
)
from git_hub_session.git.ref_names import AgentBranch, agent_name
from git_hub_session.session.attempts import attempts_by_agent
from git_hub_session.session.runs import RunState, read_last_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from git_hub_session.errors import HubError
    from git_hub_session.executors.launcher import FarResult
    from git_hub_session.git.repository import GitRepo
    from git_hub_session.session.model import Session


_FAILED = (RunState.FAILED, RunState.TIMED_OUT)


class _AgentRow(NamedTuple):
    """An agent as this clone knows it after the fetch."""

    agent: int
    state: RunState
    attempt: int
    """The last attempt, or 0."""
    commit: str
    """The object id of the last commit of the attempt, or ''."""


class OnView(View):
    """The agents after the work of executors."""

    changed = True

    def __init__(
        self,
        session: Session,
        agents: Sequence[int],
        results: Sequence[FarResult],
        error: HubError | None,
        repo: GitRepo,
    ) -> None:
        """Read the state of the agents.

        Args:
            error: the error of the fetch, or None.
        """
        self.session = session
        self.results = results
        self.error = error
        attempts = attempts_by_agent(session.id, repo)
        self.rows = [_read_row(session, agent, attempts.get(agent, []), repo) for agent in agents]
        self.show_command = ""
        """The command that shows the workers that go on without their connection."""
        self.cancels = any(result.cancels for result in results)

    @property
    def exit_code(self) -> int:
        has_failed = self.error is not None or any(each.has_failed for each in self.results)
        is_done = self.cancels or all(row.state is RunState.DONE for row in self.rows)
        return 1 if has_failed or not is_done else 0

    @property
    def failed_agents(self) -> list[int]:
        """The numbers of the agents whose command failed."""
        return [row.agent for row in self.rows if row.state in _FAILED]

    @property
    def has_success(self) -> bool:
        """True if all commands have ended, and one of them succeeded."""
        states = {row.state for row in self.rows}
        return (
            self.error is None and RunState.DONE in states and states <= {RunState.DONE, *_FAILED}
        )

    @property
    def diagnostics(self) -> list[str]:
        lines = error_and_hint_lines(self.results, self.show_command)
        return lines + (error_lines(self.error) if self.error is not None else [])

    @property
    def next_command(self) -> str:
        return f"eval {self.session.id}"

    def document(self) -> dict[str, Any]:
        return {
            "session_id": self.session.id,
            "workers": [result_fields(each) for each in self.results],
            "agents": [
                {
                    "agent": row.agent,
                    "attempt": row.attempt or None,
                    "status": row.state.value or None,
                    "commit": row.commit or None,
                }
                for row in self.rows
            ],
        }

    def records(self) -> list[Record]:
        document = self.document()
        head = ("session", self.session.id)
        return [
            [head, *make_record(fields)]
            for key in ("workers", "agents")
            for fields in document[key]
        ]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([])
        if self.cancels:
            return TextOutput([*cancel_lines(self.results)])
        states = [row.state.value for row in self.rows]
        columns = (
            Column("AGENT", [agent_name(row.agent) for row in self.rows]),
            Column("STATUS", [state or "never ran" for state in states]),
            Column("ATTEMPT", [str(row.attempt or "") for row in self.rows], right=True),
            Column("COMMIT", [style.abbreviate(row.commit) for row in self.rows]),
        )
        return TextOutput(table_lines(columns, style, ""))


def _read_row(session: Session, agent: int, attempts: Sequence[int], repo: GitRepo) -> _AgentRow:
    attempt = attempts[-1] if attempts else 0
    commit = repo.tip(AgentBranch(session.id, agent, attempt).ref) if attempt else ""
    return _AgentRow(agent, read_last_run(session, agent_name(agent)).state, attempt, commit)
