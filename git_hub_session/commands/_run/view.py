"""The result of `run` as text, JSON and porcelain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.cli.command_line import continue_lines
from git_hub_session.cli.view import (
    Record,
    TerminalStyle,
    TextOutput,
    View,
    command_after,
    error_fields,
    error_lines,
    make_record,
    warning_lines,
)
from git_hub_session.errors import HubError
from git_hub_session.git.ref_names import agent_name
from git_hub_session.session.runs import read_last_run
from git_hub_session.util.text import escape_control

if TYPE_CHECKING:
    from git_hub_session._typing import Any
    from git_hub_session.commands._run.continue_commands import Continuation
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.project import Project


class Failures(NamedTuple):
    """The agents whose command failed, although the run may go on."""

    reasons: Mapping[int, str]
    """The reason for each agent, such as "failed with exit code 1"."""
    command: str
    """The command that runs these agents again, or '' if their session has ended."""
    session: str = ""
    """The session of the agents, or '' if the run has one session."""

    @property
    def warnings(self) -> list[str]:
        """A warning for each agent."""
        session = f" of session {self.session}" if self.session else ""
        return [f"{agent_name(agent)}{session}: {reason}" for agent, reason in self.reasons.items()]


def read_failures(project: Project, continuation: Continuation, agents: Iterable[int]) -> Failures:
    """Return the failures of the commands of `agents`, and the command that runs them again."""
    session = project.store.read(continuation.session)
    reasons = {
        agent: read_last_run(session, agent_name(agent)).failure or "failed" for agent in agents
    }
    # A worker runs no agent again whose command has failed.
    is_elsewhere = continuation.args.has("on")
    command = "" if is_elsewhere else continuation.exec_command(only_failed=True)
    return Failures(reasons, command)


class RunView(View):
    """The views of the finished steps.

    After a dry run, `planned_steps` has the names of the other steps. After a failure, `failed_step`
    is the step that failed. `error` is its error, whose hint has the commands that continue. Without
    an error, `continue_commands` has these commands. `alternative` is the command that merges the
    winner of the last round instead, or ''. `rounds` has the views of the later sessions.
    `merged_session` is the session whose winner was merged, or None.
    """

    def __init__(
        self,
        session: SessionId,
        steps: Mapping[str, View],
        *,
        planned_steps: tuple[str, ...] = (),
        failed_step: str = "",
        error: HubError | None = None,
        continue_commands: Sequence[str] = (),
        failures: Failures | None = None,
        rounds: Sequence[RunView] = (),
        alternative: str = "",
        planned_rounds: int = 1,
    ) -> None:
        self.merged_session: SessionId | None = None
        self.session = session
        self.steps = steps
        self.planned_steps = planned_steps
        self.failed_step = failed_step
        self.error = error
        self.continue_commands = continue_commands
        self.failures = failures
        self.rounds = rounds
        self.alternative = alternative
        self.planned_rounds = planned_rounds

    @property
    def exit_code(self) -> int:
        """0, also if some agents failed, but the run went on to its end."""
        if self.rounds:
            return self.rounds[-1].exit_code
        if self.error is not None:
            return self.error.exit_code
        return self.steps[self.failed_step].exit_code if self.failed_step else 0

    @property
    def changed(self) -> bool:
        return not self.planned_steps

    @property
    def next_command(self) -> str:
        return command_after(self.merged_session, "merged") if self.merged_session else ""

    @property
    def diagnostics(self) -> list[str]:
        later = [line for view in self.rounds for line in view.diagnostics]
        return [*self._failure_lines(), *self._error_lines(), *later]

    def _error_lines(self) -> list[str]:
        """Return the error of the step that failed, with the commands that help."""
        if not self.failed_step:
            return []
        error = self.error
        if error is None:
            error = self.steps[self.failed_step].unfinished
            error = error or HubError(f"the run stopped at '{self.failed_step}'")
            hints = [*error.hint.splitlines(), *continue_lines(self.continue_commands)]
            error.hint = "\n".join(hints)
            error.exit_code = self.exit_code
        best = [f"hint: or merge the best winner so far: {self.alternative}"]
        return [*error_lines(error), *(map(escape_control, best) if self.alternative else [])]

    def _failure_lines(self) -> list[str]:
        """Return warnings about the failed agents, and the command that runs them again."""
        if self.failures is None or not self.failures.reasons:
            return []
        # A merged session runs no commands. At 'exec', this command already continues the run.
        command = self.failures.command
        is_known = self.failed_step == "exec" or "merge" in self.steps or not command
        again = escape_control(f"hint: run again with: {command}")
        return [*warning_lines(self.failures.warnings), *([] if is_known else [again])]

    def document(self) -> dict[str, Any]:
        last = self.rounds[-1] if self.rounds else self
        return {
            "session_id": self.session,
            "dry_run": bool(self.planned_steps),
            "stopped": last.failed_step or None,
            "steps": self._step_documents(),
            "error": error_fields(last.error) if last.error else None,
            "failed": self._failure_fields(),
            "rounds": [
                {
                    "session_id": view.session,
                    "steps": view._step_documents(),
                    "failed": view._failure_fields(),
                }
                for view in self.rounds
            ],
            "alternative": last.alternative or None,
        }

    def _step_documents(self) -> dict[str, Any]:
        return {name: view.document() for name, view in self.steps.items()}

    def _failure_fields(self) -> list[dict[str, Any]]:
        failures = self.failures.reasons if self.failures else {}
        return [{"agent": agent, "failure": failures[agent]} for agent in failures]

    def records(self) -> list[Record]:
        records = [
            [("step", name), *record]
            for name, view in self.steps.items()
            for record in view.records()
        ]
        if self.error is not None:
            records.append([("step", self.failed_step), *make_record(error_fields(self.error))])
        return [*records, *(record for view in self.rounds for record in view.records())]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([self.merged_session or self.session])
        texts = _STEP_TEXTS
        if "merge" not in self.planned_steps:
            texts = {**_STEP_TEXTS, "eval": "show the agents' changes"}
        out = [f"Would then {texts[name]}" for name in self.planned_steps]
        if self.planned_rounds > 1:
            times = "once" if self.planned_rounds == 2 else f"up to {self.planned_rounds - 1} times"
            out.insert(-1, f"Would then start from the winner and repeat this {times}")
        return TextOutput(out)


_STEP_TEXTS = {
    "baseline": "measure the base branch",
    "spawn": "create the agents' branches and worktrees",
    "exec": "run the agent command in each worktree",
    "eval": "measure and rank the agents",
    "merge": "ask, and merge the winner",
}
