"""git hub-session run: a whole tournament, which is the other commands one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from shlex import quote

from git_hub_session._typing import Any, NamedTuple
from git_hub_session.cli.context import Context
from git_hub_session.cli.options import (
    DRY_RUN,
    FORMAT,
    QUIET,
    TIMEOUT,
    YES,
    Arguments,
    Option,
    Usage,
    parse_repeat,
    parse_timeout,
)
from git_hub_session.cli.view import Record, TerminalStyle, TextOutput, View, make_record
from git_hub_session.commands import eval as eval_
from git_hub_session.commands import exec as exec_
from git_hub_session.commands import init, merge, spawn
from git_hub_session.errors import HubError, UsageError
from git_hub_session.evaluation.measure import MetricCommand, measure_baseline
from git_hub_session.git.ref_names import SessionId
from git_hub_session.util.text import escape_control

_INIT = ("task", "file", "agents", "eval", "metric", "direction", "base-branch", "id")
_MEASURE, _NONE = "measure", "none"

USAGE = Usage(
    ("run [<options>] --task <text> --agent-cmd <command>",),
    (
        *(option for option in init.USAGE.options if option.name in _INIT),
        Option("--agent-cmd", "shell command to run as the agent", "<command>"),
        Option("--baseline", "number, 'measure' or 'none' (default: measure)", "<number>"),
        Option("--repeat", "runs per agent; the median counts (default: 1)", "<number>"),
        Option("-j, --jobs", "number of parallel agents (default: all)", "<number>"),
        TIMEOUT,
        YES,
        DRY_RUN,
        QUIET,
        *FORMAT,
    ),
)


def run(context: Context, args: Arguments) -> RunView:
    """init, the baseline, spawn, exec, eval and merge; what fails ends it, and how to go on is said."""
    agent, dry_run = (args.value("agent-cmd") or "").strip(), args.is_set("dry-run")
    if not agent:
        raise UsageError("which command is an agent?", hint="--agent-cmd <command>")
    if (args.value("eval") is None) != (args.value("metric") is None):
        raise UsageError("--eval and --metric go together")
    given = () if args.value("baseline") in (None, _MEASURE, _NONE) else ("baseline",)
    made = init.run(context, args.subset(*_INIT, *given, "dry-run"))
    context.reporter.show_view(made)
    views: dict[str, View] = {"init": made}
    steps = _steps(context, args, made.session, agent)
    if dry_run:
        return RunView(made.session, views, planned_steps=tuple(name for name, _ in steps))
    for name, play in steps:
        by_hand = _continue_command(name, made.session, agent)
        try:
            view = play()
        except HubError as fault:
            if "git hub-session" not in fault.hint:  # that of the step knows better
                fault.hint = f"{fault.hint}\nby hand it goes on with: {by_hand}".lstrip()
            raise
        context.reporter.show_view(view)
        views[name] = view
        if view.exit_code:
            return RunView(made.session, views, stopped=name, by_hand=by_hand)
    return RunView(made.session, views)


def _steps(
    context: Context, args: Arguments, sid: SessionId, agent: str
) -> Iterator[tuple[str, Callable[[], View]]]:
    """What follows `init`, each with its name; without an eval command somebody has to judge."""
    is_measured = args.value("eval") is not None
    if is_measured and args.value("baseline") in (None, _MEASURE):
        yield "baseline", lambda: _measure_baseline(context, args, sid)
    yield "spawn", lambda: spawn.run(context, args.subset(words=[sid]))
    command = ("sh", "-c", agent)
    agents = args.subset("jobs", "timeout", words=[sid], command=command)
    yield "exec", lambda: exec_.run(context, agents)
    measuring = args.subset("eval", "repeat", "timeout", words=[sid])
    yield "eval", lambda: eval_.run(context, measuring)
    if is_measured:
        yield "merge", lambda: merge.run(context, args.subset("yes", words=[sid]))


def _measure_baseline(context: Context, args: Arguments, sid: SessionId) -> BaselineView:
    command, metric = args.value("eval") or "", args.value("metric") or ""
    recipe = MetricCommand(command, metric, repeat=parse_repeat(args), timeout=parse_timeout(args))
    return BaselineView(sid, metric, measure_baseline(sid, context.project, recipe))


def _continue_command(step: str, sid: SessionId, agent: str) -> str:
    """What one types to go on where a step failed."""
    if step == "exec":
        return f"git hub-session exec {sid} -- sh -c {quote(agent)}"
    return f"git hub-session {'spawn' if step == 'baseline' else step} {sid}"


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
