"""The answer of `git hub-session exec`."""

from __future__ import annotations

from git_hub_session.escape import padded, spoken, visible, width
from git_hub_session.refnames import short
from git_hub_session.typed import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.views.view import Answer, Record, Style, record, relative

if TYPE_CHECKING:
    from git_hub_session.operations.execute import Executed, Turn


def live_line(agent: str, line: bytes) -> str:
    """A line that the command of an agent printed, as it is shown while it runs."""
    return f"{agent} | {spoken(line)}\n"


class ExecView(NamedTuple):
    """How the command ended for each agent; `here` is the directory that paths are shown from."""

    executed: Executed
    here: str
    dry_run: bool

    @property
    def exit_code(self) -> int:
        return 0 if all(_is_good(turn) for turn in self.executed.turns) else 1

    @property
    def changed(self) -> bool:
        return not self.dry_run

    @property
    def faults(self) -> tuple[str, ...]:
        return tuple(f"warning: {visible(note)}" for note in self.executed.notes)

    def document(self) -> dict[str, Any]:
        return {
            "session_id": self.executed.session,
            "run": self.executed.run or None,
            "dry_run": self.dry_run,
            "agents": [_turn(turn) for turn in self.executed.turns],
        }

    def records(self) -> list[Record]:
        head = ("session", self.executed.session)
        return [[head, *record(_turn(turn))] for turn in self.executed.turns]

    def lines(self, style: Style, *, quiet: bool) -> Answer:
        if quiet:
            return Answer([])
        if self.dry_run:
            return Answer(
                [
                    f"Would run it for {turn.agent} in {visible(relative(turn.path, self.here))}"
                    for turn in self.executed.turns
                ]
            )
        rows = [("AGENT", "EXIT", "TIME", "COMMITS", "OUTPUT")]
        rows += [_row(turn, self.here) for turn in self.executed.turns]
        widths = [max(width(row[at]) for row in rows) for at in range(4)]
        out = []
        for row, turn in zip(rows, (None, *self.executed.turns), strict=True):
            cells = [padded(row[0], widths[0]), padded(row[1], widths[1])]
            cells += [row[at].rjust(widths[at]) for at in (2, 3)]
            if turn is not None and not _is_good(turn):
                cells[1] = style.paint(cells[1], "red")
            out.append("  ".join([*cells, row[4]]))
        return Answer(out)


def _is_good(turn: Turn) -> bool:
    return turn.ending is None or not (turn.ending.status or turn.ending.cut_off)


def _row(turn: Turn, here: str) -> tuple[str, str, str, str, str]:
    ending = turn.ending
    if ending is None:
        return (turn.agent, "-", "-", "-", "-")
    return (
        turn.agent,
        ending.cut_off or str(ending.status),
        f"{ending.seconds:.1f}s",
        str(turn.commits),
        visible(relative(turn.log, here)),
    )


def _turn(turn: Turn) -> dict[str, Any]:
    ending = turn.ending
    return {
        "agent": turn.branch.agent,
        "attempt": turn.branch.attempt,
        "branch": short(turn.branch.ref),
        "path": turn.path,
        "exit_code": ending.status if ending else None,
        "cut_off": (ending.cut_off or None) if ending else None,
        "seconds": round(ending.seconds, 3) if ending else None,
        "commits": turn.commits if ending else None,
        "output": turn.log or None,
    }
