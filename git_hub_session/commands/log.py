"""git hub-session log: show the state changes, the evaluations or the attempts of a session."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.options import FORMAT, QUIET, SESSION_ALIAS, Arguments, Option, Usage
from git_hub_session.cli.table import Column, table_lines
from git_hub_session.cli.view import (
    Record,
    TerminalStyle,
    TextOutput,
    View,
    make_record,
    warning_lines,
)
from git_hub_session.errors import UsageError
from git_hub_session.git.ref_names import agent_name
from git_hub_session.lineage.parent import find_ancestors
from git_hub_session.session.baseline import describe_verdict
from git_hub_session.session.evaluation_log import (
    LOG_FILE,
    entry_fields,
    evaluation_name,
    group_evaluations,
    read_evaluations,
)
from git_hub_session.session.history import read_history
from git_hub_session.util.clock import format_age_since
from git_hub_session.util.numbers import format_number, format_values
from git_hub_session.util.text import describe_pass, escape_control

if TYPE_CHECKING:
    from git_hub_session._typing import Any
    from git_hub_session.cli.context import Context
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.lineage.parent import Parent
    from git_hub_session.session.evaluation_log import EvaluationEntry, EvaluationLog
    from git_hub_session.session.history import Transition

USAGE = Usage(
    ("log [<options>] [<id>]",),
    (
        Option("--evaluations", "show all recorded evaluations"),
        Option("--graph", "show the commits of all attempts as a graph"),
        Option("--frontier", "show the attempts that no other attempt contains"),
        QUIET,
        *FORMAT,
    ),
    max_arguments=1,
    aliases=(SESSION_ALIAS,),
)


def run(context: Context, args: Arguments) -> View:
    """Return the history, the evaluations, the graph or the frontier of a session."""
    _check_options(args)
    if args.is_set("frontier"):
        from git_hub_session.commands._log.frontier import read_frontier

        wanted = None if args.argument is None else context.find_session(args.argument)
        return read_frontier(wanted, context.project)
    sid = context.find_session(args.argument)
    if args.is_set("graph"):
        from git_hub_session.commands._log.graph import read_graph

        return read_graph(sid, context)
    store = context.project.store
    now = context.project.now()
    if not args.is_set("evaluations"):
        session = store.read(sid)
        ancestors = [parent for parent, _ in find_ancestors(session, store.read)]
        return LogView(sid, read_history(session)[::-1], ancestors, now)
    with store.open_directory(sid) as directory:
        return EvaluationsView(sid, read_evaluations(directory), now)


def _check_options(args: Arguments) -> None:
    """Raise UsageError for options that exclude each other, or have no effect on git's output."""
    given = [name for name in ("graph", "evaluations", "frontier") if args.is_set(name)]
    if len(given) > 1:
        raise UsageError(f"--{given[0]} and --{given[1]} exclude each other")
    if not args.is_set("graph"):
        return
    if args.is_set("z") or args.value("format") not in (None, "text"):
        raise UsageError("--graph has only text output")


_SHORTENED = f"the oldest entries of {LOG_FILE} are not shown"


class LogView(View):
    """The state changes of a session, newest first, and then its earlier sessions."""

    def __init__(
        self,
        session: SessionId,
        history: tuple[Transition, ...],
        ancestors: Sequence[Parent],
        now: float,
    ) -> None:
        self.session = session
        self.history = history
        self.ancestors = ancestors
        self.now = now

    @property
    def is_paged(self) -> bool:
        return True

    def document(self) -> dict[str, Any]:
        return {
            "session_id": self.session,
            "history": [_transition_fields(step) for step in self.history],
            "ancestors": [ancestor._asdict() for ancestor in self.ancestors],
        }

    def records(self) -> list[Record]:
        return [
            *(make_record(_transition_fields(step)) for step in self.history),
            *(
                [("ancestor", ancestor.session_id), *make_record(ancestor._asdict())[1:]]
                for ancestor in self.ancestors
            ),
        ]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        out = []
        for step in self.history:
            age = format_age_since(step.at, self.now)
            change = f"{escape_control(step.source)} {style.arrow} {escape_control(step.target)}"
            out.append(f"{escape_control(step.at)}  {change}  ({age})")
            out.append(f"    by {escape_control(step.by)}, {escape_control(step.verb)}")
            out += [f"    {escape_control(line)}" for line in step.reason.splitlines()]
        if self.ancestors:
            out.append("Started from")
        for ancestor in reversed(self.ancestors):
            out.append(f"    {ancestor.text} ({style.abbreviate(ancestor.commit)})")
        err = [] if out or quiet else [f"no history is recorded for session '{self.session}'"]
        return TextOutput(out, err)


class EvaluationsView(View):
    """The recorded evaluations of a session, newest first."""

    def __init__(self, session: SessionId, log: EvaluationLog, now: float) -> None:
        self.session = session
        self.entries = log.entries[::-1]
        self.is_shortened = log.is_shortened
        self.now = now

    @property
    def diagnostics(self) -> list[str]:
        return warning_lines([_SHORTENED] if self.is_shortened else [])

    @property
    def is_paged(self) -> bool:
        return True

    def document(self) -> dict[str, Any]:
        return {
            "session_id": self.session,
            "evaluations": [_entry_fields(entry) for entry in self.entries],
        }

    def records(self) -> list[Record]:
        return [make_record(_entry_fields(entry)) for entry in self.entries]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        out = [
            line
            for group in group_evaluations(self.entries)
            for line in self._group_lines(group, style)
        ]
        err = [] if out or quiet else [f"no evaluation is recorded for session '{self.session}'"]
        return TextOutput(out, err)

    def _group_lines(self, group: Sequence[EvaluationEntry], style: TerminalStyle) -> Iterator[str]:
        """Yield the lines of one evaluation, the best agent first."""
        first = group[0]
        age = format_age_since(first.at, self.now)
        yield f"{escape_control(first.at)}  {escape_control(evaluation_name(first))}  ({age})"
        yield f"    by {escape_control(first.by)}"
        verdict = describe_verdict(first.verdict, has_no_improvement=first.improves is False)
        yield from (f"    {escape_control(line)}" for line in verdict.splitlines())
        ranked = sorted(group, key=lambda entry: (entry.rank is None, entry.rank, entry.agent))
        names = [_entry_name(entry, self.entries) for entry in ranked]
        ranks = ["-" if entry.rank is None else str(entry.rank) for entry in ranked]
        commits = [escape_control(style.abbreviate(entry.commit)) or "?" for entry in ranked]
        columns = (
            Column("RANK", ranks, right=True),
            Column("AGENT", names),
            Column("COMMIT", commits),
            Column("", _format_values(ranked), empty=""),
        )
        yield from table_lines(columns, style, "    ", below=" " * 6)[1:]


def _entry_name(entry: EvaluationEntry, entries: Sequence[EvaluationEntry]) -> str:
    """Return the name of the agent, with the attempt if the log has several of the agent."""
    name = agent_name(entry.agent)
    attempts = {other.attempt for other in entries if other.agent == entry.agent}
    return f"{name}/attempt-{entry.attempt}" if len(attempts) > 1 else name


def _format_values(entries: Sequence[EvaluationEntry]) -> list[str]:
    """Return the metric, the value and the number of repetitions of each entry, or the reason."""
    texts = []
    values = format_values(*(entry.value for entry in entries))
    for entry, value in zip(entries, values, strict=True):
        if not value:
            texts.append(escape_control(entry.reason) or describe_pass(entry.passed) or "-")
            continue
        count = len(entry.values)
        repeated = f" (median of {count})" if count > 1 else ""
        tie = ", tie" if entry.tie else ""
        reason = f", {escape_control(entry.reason)}" if entry.reason else ""
        unit = f" {escape_control(entry.unit)}" if entry.unit else ""
        if entry.machine:
            ratio = "" if entry.ratio is None else f"ratio {format_number(entry.ratio, 4)}, "
            unit += f" ({ratio}on {escape_control(entry.machine.host)})"
        texts.append(f"{escape_control(entry.metric)}: {value}{unit}{repeated}{tie}{reason}")
    return texts


_WORKER_KEYS = ("part_of", "base_reason")
"""The keys that only the measurements of workers have."""


def _transition_fields(step: Transition) -> dict[str, Any]:
    fields = {
        "at": step.at,
        "from": step.source,
        "to": step.target,
        "by": step.by,
        "verb": step.verb,
    }
    return {**fields, "reason": step.reason} if step.reason else fields


def _entry_fields(entry: EvaluationEntry) -> dict[str, Any]:
    """Return the fields of an entry. An empty text is null."""
    fields = {name: None if value == "" else value for name, value in entry_fields(entry).items()}
    return {name: fields[name] for name in fields if name not in _WORKER_KEYS}
