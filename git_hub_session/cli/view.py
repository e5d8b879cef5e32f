"""View: the result of a command, and helpers to show it.

A view has three forms: `lines()` as text, `document()` as JSON and `records()` as porcelain.
It decides the content and the words. `cli/output.py` writes it.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.git.ref_names import AgentBranch, short_name
from git_hub_session.util.numbers import format_values
from git_hub_session.util.text import escape_control, truncate

if TYPE_CHECKING:
    from git_hub_session.errors import HubError
    from git_hub_session.session.model import Config

_INFINITE = float("inf")
_SMALLEST_PERCENT = 0.05  # a smaller change would be rounded to 0.0
_COLORS = {"bold": "1", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}

DEFAULT_DIGITS = 12
"""The number of digits of an abbreviated object id without core.abbrev."""

STATE_COLORS = {
    "init": "cyan",
    "running": "yellow",
    "evaluating": "blue",
    "merged": "green",
    "archived": "bold",
    "broken": "red",
}


class TerminalStyle(NamedTuple):
    """The abilities of the output: width, color and characters."""

    columns: int | None
    """The width of a line, or None if lines may have any width."""
    color: bool
    arrow: str
    ellipsis: str
    minus: str
    plus_minus: str = "±"
    digits: int = DEFAULT_DIGITS
    """The number of digits of an abbreviated object id."""

    @property
    def is_unicode(self) -> bool:
        """True if the output shows characters that are not in ASCII."""
        return not self.ellipsis.isascii()

    def abbreviate(self, object_id: str) -> str:
        """Return the first digits of an object id."""
        return object_id[: self.digits]

    def paint(self, text: str, color: str) -> str:
        """Return the text in this color. Return it unchanged if the output shows no colors."""
        return f"\x1b[{_COLORS[color]}m{text}\x1b[m" if self.color and color else text

    def fit(self, text: str, used: int) -> str:
        """Truncate the text to a line that has `used` columns already, but not below ten columns."""
        if self.columns is None:
            return text
        return truncate(text, max(self.columns - used, 10), self.ellipsis)


class TextOutput(NamedTuple):
    """Lines for standard output, and hints for standard error."""

    out: Sequence[str]
    err: Sequence[str] = ()


_NEXT_COMMANDS = {
    "init": "spawn {}",
    "running": "exec {} -- <command>",
    "evaluating": "merge {}",
    "merged": "report {}",
    "archived": "report {}",
}

Record = list[tuple[str, str]]
"""The keys and values of one porcelain record."""


class View(ABC):
    """The result of a command. A subclass has at least `document` and `lines`."""

    wraps = True
    """True if a line that is longer than the terminal is broken between words."""

    @property
    def exit_code(self) -> int:
        """0, or 1 if the answer is no, something was kept, or something is broken."""
        return 0

    @property
    def changed(self) -> bool:
        """True if the command changed something: then a write error on stdout is not fatal."""
        return False

    @property
    def diagnostics(self) -> Sequence[str]:
        """Lines `error: ...` and `warning: ...` for standard error, in every format."""
        return ()

    @property
    def is_paged(self) -> bool:
        """True if a text that is longer than the terminal is shown in a pager."""
        return False

    @property
    def unfinished(self) -> HubError | None:
        """The error of an incomplete change, with the commands that finish it, or None."""
        return None

    @property
    def next_command(self) -> str:
        """The command that usually follows, such as "eval s1", or ''."""
        return ""

    @abstractmethod
    def document(self) -> dict[str, Any]:
        """Return the result as one JSON object."""

    def records(self) -> list[Record]:
        """Return the result as porcelain records."""
        return [make_record(self.document())]

    @abstractmethod
    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        """Return the result as text. If `quiet`, return only requested output and errors."""


class ExitView(View):
    """The exit status of a program that has used the terminal itself, such as `git diff`."""

    def __init__(self, status: int) -> None:
        self.status = status

    @property
    def exit_code(self) -> int:
        return self.status

    def document(self) -> dict[str, Any]:
        return {"exit_code": self.status}

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        return TextOutput([])


def command_after(sid: str, state: str) -> str:
    """Return the command that usually follows in this state of a session, or ''."""
    return _NEXT_COMMANDS.get(state, "").format(sid)


def make_record(document: dict[str, Any]) -> Record:
    """Return the pairs of a record.

    A list yields one pair for each element, and True yields its key only. None and False yield
    nothing.
    """
    record: Record = []
    for key, value in document.items():
        for element in value if isinstance(value, list) else [value]:
            if element is True:
                record.append((key, ""))
            elif element is not None and element is not False:
                record.append((key, str(element)))
    return record


def agent_fields(branch: AgentBranch) -> dict[str, Any]:
    """Return the fields that identify one attempt of an agent."""
    return {"agent": branch.agent, "attempt": branch.attempt, "branch": short_name(branch.ref)}


def warning_lines(messages: Iterable[str]) -> list[str]:
    """Return the messages as diagnostics."""
    return [f"warning: {escape_control(message)}" for message in messages]


def error_lines(error: HubError) -> list[str]:
    """Return an error and its hints in git's form."""
    kind = "error" if error.exit_code in (1, 129) else "fatal"
    hints = [f"hint: {escape_control(line)}" for line in error.hint.splitlines()]
    return [f"{kind}: {escape_control(error.message)}", *hints]


def error_fields(error: HubError) -> dict[str, str]:
    """Return the fields of an error in JSON."""
    return {"code": error.code, "message": error.message, "hint": error.hint}


def relative_path(path: str, directory: str) -> str:
    """Return the path relative to `directory`, or '' for ''."""
    return os.path.relpath(path, directory) if path else path


def task_lines(task: str) -> list[str]:
    """Return the lines that show a task: `  Task: ...` and its indented other lines."""
    first, *more = task.split("\n")
    return [
        f"  Task: {escape_control(first)}",
        *(f"        {escape_control(line)}" for line in more),
    ]


def metric_lines(config: Config) -> list[str]:
    """Return the lines for the evaluation settings of a session."""
    out = []
    if config.get("eval_cmd"):
        out.append(f"  Eval: {escape_control(config.get('eval_cmd'))}")
    if config.get("metric"):
        direction = escape_control(config.get("direction")) or "?"
        out.append(f"  Metric: {escape_control(config.get('metric'))} ({direction})")
    if config.get("baseline"):
        out.append(f"  Baseline: {escape_control(config.get('baseline'))}")
    out += [f"  Require: {escape_control(text)}" for text in config.require]
    out += [f"  Guard: {escape_control(path)}" for path in config.guard or ()]
    if config.holdout:
        out.append(f"  Holdout: {escape_control(config.holdout)}")
    return out


def metric_text(
    name: str, value: float, baseline: float | None, style: TerminalStyle, *, unit: str = ""
) -> str:
    """Return a metric and its change since the baseline, such as "ms: 180 → 142 (−21.1 %)"."""
    name = escape_control(name)
    unit = f" {escape_control(unit)}" if unit else ""
    if baseline is None:
        return f"{name}: {format_values(value)[0]}{unit}"
    old, new = (f"{number}{unit}" for number in format_values(baseline, value))
    return f"{name}: {old} {style.arrow} {new}{format_change(value, baseline, style)}"


def format_change(value: float, baseline: float | None, style: TerminalStyle) -> str:
    """Return the relative change since the baseline, such as " (−21.1 %)", or ''."""
    percent = 100 * ((value - baseline) / abs(baseline)) if baseline else _INFINITE
    if not abs(percent) < _INFINITE:  # the ratio is too large, or has no meaning
        return ""
    is_tiny = 0 < abs(percent) < _SMALLEST_PERCENT
    change = f"{percent:+.1g}" if is_tiny else f"{percent:+.1f}"
    return f" ({change.replace('-', style.minus)} %)"
