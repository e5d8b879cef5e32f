"""What a command answers: plain values that can be shown as text, as JSON and as porcelain.

A view has three forms: `lines()` for people, `document()` for JSON,
`records()` for porcelain (one list of (key, value) for each thing). A view decides what
is shown and in which words; writing it is render's work.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from git_hub_session._typing import Any, NamedTuple, Protocol
from git_hub_session.session.model import Config
from git_hub_session.util.text import escape_control, truncate

_COLORS = {"bold": "1", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}

STATE_COLORS = {
    "init": "cyan",
    "running": "yellow",
    "evaluating": "blue",
    "merged": "green",
    "archived": "bold",
    "broken": "red",
}


class TerminalStyle(NamedTuple):
    """What the place that we write to can do; `columns` is None where lines need not fit."""

    columns: int | None
    color: bool
    arrow: str
    ellipsis: str

    def paint(self, text: str, color: str) -> str:
        """`text` in that colour, where there are any; '' is none."""
        return f"\x1b[{_COLORS[color]}m{text}\x1b[m" if self.color and color else text

    def fit(self, text: str, used: int) -> str:
        """`text` cut to what is left of a line after `used` columns; never to less than ten."""
        return (
            text
            if self.columns is None
            else truncate(text, max(self.columns - used, 10), self.ellipsis)
        )


class TextOutput(NamedTuple):
    """Lines for standard output, and hints to people for standard error."""

    out: Sequence[str]
    err: Sequence[str] = ()


Record = list[tuple[str, str]]


class View(Protocol):
    """An answer."""

    @property
    def exit_code(self) -> int:
        """0, or 1 where the answer is no, something was kept, or something is broken."""

    @property
    def changed(self) -> bool:
        """Whether the command changed something: a failure to show it is then no failure."""

    @property
    def diagnostics(self) -> Sequence[str]:
        """What went wrong on the way, `error: …` or `warning: …`: for standard error, in every form."""

    def document(self) -> dict[str, Any]:
        """The answer as one JSON object."""

    def records(self) -> list[Record]:
        """The answer as porcelain records."""

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        """The answer as text for people."""


def make_record(document: dict[str, Any]) -> Record:
    """What is None, False or an empty list is left out; True is the bare key."""
    found: Record = []
    for key, value in document.items():
        for one in value if isinstance(value, list) else [value]:
            if one is True:
                found.append((key, ""))
            elif one is not None and one is not False:
                found.append((key, str(one)))
    return found


def relative_path(path: str, here: str) -> str:
    """`path` as it is called from `here`."""
    return os.path.relpath(path, here) if path else path


def task_lines(task: str) -> list[str]:
    """The lines `  Task: …` of a task that may have more than one."""
    first, *more = task.split("\n")
    return [
        f"  Task: {escape_control(first)}",
        *(f"        {escape_control(line)}" for line in more),
    ]


def metric_lines(config: Config) -> list[str]:
    """The lines of what is measured: `  Eval: …`, `  Metric: … (lower)`, `  Baseline: …`, as far as there are any."""
    out = []
    if config.get("eval_cmd"):
        out.append(f"  Eval: {escape_control(config.get('eval_cmd'))}")
    if config.get("metric"):
        direction = escape_control(config.get("direction")) or "?"
        out.append(f"  Metric: {escape_control(config.get('metric'))} ({direction})")
    if config.get("baseline"):
        out.append(f"  Baseline: {escape_control(config.get('baseline'))}")
    return out
