"""The answer of `git hub-session exec`."""

from __future__ import annotations

from git_hub_session.escape import pad, decode_terminal_line, escape_control, display_width
from git_hub_session.refnames import short_name
from git_hub_session.typed import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.views.view import TextOutput, Record, TerminalStyle, make_record, relative_path

if TYPE_CHECKING:
    from git_hub_session.operations.execute import ExecResult, AgentRun


def live_line(agent: str, line: bytes) -> str:
    """A line that the command of an agent printed, as it is shown while it runs."""
    return f"{agent} | {decode_terminal_line(line)}\n"


class ExecView(NamedTuple):
    """How the command ended for each agent; `here` is the directory that paths are shown from."""

    executed: ExecResult
    here: str
    dry_run: bool

    @property
    def exit_code(self) -> int:
        return 0 if all(_has_succeeded(turn) for turn in self.executed.turns) else 1

    @property
    def changed(self) -> bool:
        return not self.dry_run

    @property
    def diagnostics(self) -> tuple[str, ...]:
        return tuple(f"warning: {escape_control(note)}" for note in self.executed.notes)

    def document(self) -> dict[str, Any]:
        return {
            "session_id": self.executed.session,
            "run": self.executed.run or None,
            "dry_run": self.dry_run,
            "agents": [_run_fields(turn) for turn in self.executed.turns],
        }

    def records(self) -> list[Record]:
        head = ("session", self.executed.session)
        return [[head, *make_record(_run_fields(turn))] for turn in self.executed.turns]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([])
        if self.dry_run:
            return TextOutput(
                [
                    f"Would run it for {turn.agent} in {escape_control(relative_path(turn.path, self.here))}"
                    for turn in self.executed.turns
                ]
            )
        rows = [("AGENT", "EXIT", "TIME", "COMMITS", "OUTPUT")]
        rows += [_row(turn, self.here) for turn in self.executed.turns]
        widths = [max(display_width(row[at]) for row in rows) for at in range(4)]
        out = []
        for row, turn in zip(rows, (None, *self.executed.turns), strict=True):
            cells = [pad(row[0], widths[0]), pad(row[1], widths[1])]
            cells += [row[at].rjust(widths[at]) for at in (2, 3)]
            if turn is not None and not _has_succeeded(turn):
                cells[1] = style.paint(cells[1], "red")
            out.append("  ".join([*cells, row[4]]))
        return TextOutput(out)


def _has_succeeded(turn: AgentRun) -> bool:
    return turn.result is None or not (turn.result.status or turn.result.stop_reason)


def _row(turn: AgentRun, here: str) -> tuple[str, str, str, str, str]:
    ending = turn.result
    if ending is None:
        return (turn.agent, "-", "-", "-", "-")
    return (
        turn.agent,
        ending.stop_reason or str(ending.status),
        f"{ending.seconds:.1f}s",
        str(turn.commits),
        escape_control(relative_path(turn.log, here)),
    )


def _run_fields(turn: AgentRun) -> dict[str, Any]:
    ending = turn.result
    return {
        "agent": turn.branch.agent,
        "attempt": turn.branch.attempt,
        "branch": short_name(turn.branch.ref),
        "path": turn.path,
        "exit_code": ending.status if ending else None,
        "cut_off": (ending.stop_reason or None) if ending else None,
        "seconds": round(ending.seconds, 3) if ending else None,
        "commits": turn.commits if ending else None,
        "output": turn.log or None,
    }
