"""The result of `run` as text, JSON and porcelain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.cli.command_line import continue_lines
from git_hub_session.cli.view import (
    Record,
    TerminalStyle,
    TextOutput,
    View,
    error_fields,
    error_lines,
    make_record,
    warning_lines,
)
from git_hub_session.errors import HubError
from git_hub_session.git.ref_names import agent_name
from git_hub_session.util.text import escape_control

if TYPE_CHECKING:
    from git_hub_session._typing import Any
    from git_hub_session.git.ref_names import SessionId


class Failures(NamedTuple):
    """The agents whose command failed, although the run may go on."""

    reasons: Mapping[int, str]
    """The reason for each agent, such as "failed with exit code 1"."""
    command: str
    """The command that runs these agents again."""


class RunView(View):
    """The views of the finished steps.

    After a dry run `planned_steps` has the names of the other steps. After a failure
    `failed_step` has the name of the step. Either `error` is its error, with the commands that
    continue, or `continue_commands` has these commands.
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
    ) -> None:
        self.session = session
        self.steps = steps
        self.planned_steps = planned_steps
        self.failed_step = failed_step
        self.error = error
        self.continue_commands = continue_commands
        self.failures = failures

    @property
    def exit_code(self) -> int:
        """0, also if some agents failed, but the run went on to its end."""
        if self.error is not None:
            return self.error.exit_code
        return self.steps[self.failed_step].exit_code if self.failed_step else 0

    @property
    def changed(self) -> bool:
        return not self.planned_steps

    @property
    def diagnostics(self) -> list[str]:
        if self.error is not None:
            return [*self._failure_lines(), *error_lines(self.error)]
        if not self.failed_step:
            return self._failure_lines()
        hints = continue_lines(self.continue_commands)
        stopped = HubError(f"the run stopped at '{self.failed_step}'", hint="\n".join(hints))
        stopped.exit_code = self.exit_code
        return [*self._failure_lines(), *error_lines(stopped)]

    def _failure_lines(self) -> list[str]:
        """Return warnings about the failed agents, and the command that runs them again."""
        if self.failures is None:
            return []
        warnings = [
            f"{agent_name(agent)}: {reason}" for agent, reason in self.failures.reasons.items()
        ]
        # A merged session runs no commands. At 'exec', this command already continues the run.
        is_known = self.failed_step == "exec" or "merge" in self.steps
        again = escape_control(f"hint: run again with: {self.failures.command}")
        return [*warning_lines(warnings), *([] if is_known else [again])]

    def document(self) -> dict[str, Any]:
        failures = self.failures.reasons if self.failures else {}
        return {
            "session_id": self.session,
            "dry_run": bool(self.planned_steps),
            "stopped": self.failed_step or None,
            "steps": {name: view.document() for name, view in self.steps.items()},
            "error": error_fields(self.error) if self.error else None,
            "failed": [{"agent": agent, "failure": failures[agent]} for agent in failures],
        }

    def records(self) -> list[Record]:
        records = [
            [("step", name), *record]
            for name, view in self.steps.items()
            for record in view.records()
        ]
        if self.error is not None:
            records.append([("step", self.failed_step), *make_record(error_fields(self.error))])
        return records

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([self.session])
        texts = _STEP_TEXTS
        if "merge" not in self.planned_steps:
            texts = {**_STEP_TEXTS, "eval": "show the agents' changes"}
        return TextOutput([f"Would then {texts[name]}" for name in self.planned_steps])


_STEP_TEXTS = {
    "baseline": "measure the base branch",
    "spawn": "create the agents' branches and worktrees",
    "exec": "run the agent command in each worktree",
    "eval": "measure and rank the agents",
    "merge": "ask, and merge the winner",
}
