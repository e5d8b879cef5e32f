"""The answer of `git hub-session run`: those of its steps, which were shown as they came."""

from __future__ import annotations

from collections.abc import Mapping

from git_hub_session.escape import escape_control
from git_hub_session.refnames import SessionId
from git_hub_session.typed import Any, NamedTuple
from git_hub_session.views.view import TextOutput, Record, TerminalStyle, View, make_record


class BaselineView(NamedTuple):
    """The metric as it was before the agents began."""

    session: SessionId
    metric: str
    value: float
    exit_code: int = 0
    changed: bool = True
    diagnostics: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        return {"session_id": self.session, "metric": self.metric, "baseline": self.value}

    def records(self) -> list[Record]:
        return [make_record(self.document())]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        return TextOutput(
            [] if quiet else [f"Baseline: {escape_control(self.metric)} {self.value:.6g}"]
        )


class RunView(NamedTuple):
    """A tournament as far as it came, by the names of its steps."""

    session: SessionId
    steps: Mapping[str, View]
    planned_steps: tuple[str, ...] = ()
    """The steps that would follow, where only the first was rehearsed."""
    stopped: str = ""
    """The step that failed."""
    by_hand: str = ""
    """What one types to go on."""

    @property
    def exit_code(self) -> int:
        return max(view.exit_code for view in self.steps.values())

    @property
    def changed(self) -> bool:
        return not self.planned_steps

    @property
    def diagnostics(self) -> tuple[str, ...]:
        if not self.stopped:
            return ()
        return (
            f"error: the tournament stopped at '{self.stopped}'",
            f"hint: by hand it goes on with: {escape_control(self.by_hand)}",
        )

    def document(self) -> dict[str, Any]:
        return {
            "session_id": self.session,
            "dry_run": bool(self.planned_steps),
            "stopped": self.stopped or None,
            "steps": {name: view.document() for name, view in self.steps.items()},
        }

    def records(self) -> list[Record]:
        return [
            [("step", name), *one] for name, view in self.steps.items() for one in view.records()
        ]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([self.session])
        would = (
            _STEP_TEXTS
            if "merge" in self.planned_steps
            else {**_STEP_TEXTS, "eval": "show what they made"}
        )
        return TextOutput([f"Would then {would[name]}" for name in self.planned_steps])


_STEP_TEXTS = {
    "baseline": "measure the base branch",
    "spawn": "make the agents' branches and worktrees",
    "exec": "run the agent command in each",
    "eval": "measure what they made",
    "merge": "ask, and merge the best",
}
