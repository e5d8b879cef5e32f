"""The answer of `git hub-session init`."""

from __future__ import annotations

from git_hub_session.escape import escape_control
from git_hub_session.refnames import SessionId
from git_hub_session.session import Config
from git_hub_session.typed import Any, NamedTuple
from git_hub_session.views.view import (
    TextOutput,
    Record,
    TerminalStyle,
    task_lines,
    metric_lines,
    make_record,
)


class InitView(NamedTuple):
    """A session that was made, or would be."""

    session: SessionId
    config: Config
    directory: str
    """Where its files are, relative to where the command was called."""
    dry_run: bool
    exit_code: int = 0
    diagnostics: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        return not self.dry_run

    def document(self) -> dict[str, Any]:
        config = self.config
        return {
            "session_id": self.session,
            "session_dir": self.directory,
            "task": config.task,
            "agent_count": config.agent_count,
            "eval_cmd": config.get("eval_cmd") or None,
            "metric": config.get("metric") or None,
            "direction": config.get("direction") or None,
            "baseline": config.get("baseline") or None,
            "base_branch": config.base_branch,
            "state": "init",
            "dry_run": self.dry_run,
        }

    def records(self) -> list[Record]:
        return [make_record(self.document())]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([self.session])
        config = self.config
        would = "Would initialize" if self.dry_run else "Initialized"
        out = [f"{would} session {self.session} in {escape_control(self.directory)}"]
        out += task_lines(config.task)
        out.append(f"  Agents: {config.agent_count}")
        out.append(f"  Base branch: {escape_control(config.base_branch)}")
        out += metric_lines(config)
        out.append("  State: init")
        return TextOutput(out)
