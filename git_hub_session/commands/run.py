"""git hub-session run: run all steps from init to merge."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from shlex import quote

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.measure_options import parse_budget, parse_repeat
from git_hub_session.cli.options import (
    DRY_RUN,
    FORMAT,
    QUIET,
    TIMEOUT,
    YES,
    Arguments,
    Option,
    Usage,
    parse_timeout,
)
from git_hub_session.cli.view import Record, TerminalStyle, TextOutput, View, warning_lines
from git_hub_session.commands import eval as eval_
from git_hub_session.commands import exec as exec_
from git_hub_session.commands import init, merge, spawn
from git_hub_session.errors import HubError, UsageError
from git_hub_session.evaluation.baseline import measure_baseline
from git_hub_session.evaluation.measure import MetricCommand
from git_hub_session.merge.options import merge_command
from git_hub_session.util.numbers import format_number
from git_hub_session.util.text import escape_control

if TYPE_CHECKING:
    from git_hub_session._typing import Any
    from git_hub_session.cli.context import Context
    from git_hub_session.evaluation.quantity import Quantity
    from git_hub_session.git.ref_names import SessionId

_INIT_OPTIONS = (
    "task",
    "file",
    "agents",
    "eval",
    "metric",
    "metric-regex",
    "direction",
    "guard",
    "no-guard",
    "base-branch",
    "id",
)
_MERGE_OPTIONS = ("message", "allow-regression")
_MEASURE, _NONE = "measure", "none"
_BASELINE_REPEATS = 5
"""The measurements of the base branch with `--repeat auto`."""

USAGE = Usage(
    ("run [<options>] --task <text> --agent-cmd <command>",),
    (
        *(option for option in init.USAGE.options if option.name in _INIT_OPTIONS),
        Option("--agent-cmd", "shell command to run as the agent", "<command>"),
        Option("--baseline", "number, 'measure' or 'none' (default: measure)", "<number>"),
        Option("--repeat", "runs per agent, or 'auto' (default: 1)", "<number>"),
        Option("--budget", "largest number of runs with --repeat auto", "<number>"),
        Option("-j, --jobs", "number of parallel agents (default: all)", "<number>"),
        TIMEOUT,
        Option("--no-commit", "do not commit what the agents leave uncommitted"),
        merge.MESSAGE,
        merge.ALLOW_REGRESSION,
        YES,
        DRY_RUN,
        QUIET,
        *FORMAT,
    ),
)


def run(context: Context, args: Arguments) -> RunView:
    """Run all steps. Stop at the first step that fails, and print how to continue."""
    agent_command = (args.value("agent-cmd") or "").strip()
    if not agent_command:
        raise UsageError("option '--agent-cmd' is required", hint="--agent-cmd <command>")
    parse_repeat(args)
    parse_budget(args)
    if (args.value("eval") is None) != (args.value("metric") is None):
        raise UsageError("--eval and --metric must be used together")
    has_baseline = args.value("baseline") not in (None, _MEASURE, _NONE)
    baseline_option = ("baseline",) if has_baseline else ()
    created = init.run(context, args.subset(*_INIT_OPTIONS, *baseline_option, "dry-run"))
    context.reporter.show_view(created)
    sid = created.session
    views: dict[str, View] = {"init": created}
    steps = list(_steps(context, args, sid, agent_command))
    if args.is_set("dry-run"):
        return RunView(sid, views, planned_steps=tuple(name for name, _ in steps))
    for name, run_step in steps:
        continue_command = _continue_command(name, sid, args)
        try:
            view = run_step()
        except HubError as error:
            # The step's own command is better than the general one.
            if "git hub-session" not in error.hint:
                error.hint = f"{error.hint}\ncontinue with: {continue_command}".lstrip()
            raise
        context.reporter.show_view(view)
        views[name] = view
        if view.exit_code:
            if isinstance(view, exec_.ExecView):
                continue_command = _continue_command(name, sid, args, view.failed_agents)
            return RunView(sid, views, failed_step=name, continue_command=continue_command)
    return RunView(sid, views)


def _steps(
    context: Context, args: Arguments, sid: SessionId, agent_command: str
) -> Iterator[tuple[str, Callable[[], View]]]:
    """Yield the name and the function of each step after `init`.

    Without an eval command there is no merge: the user has to rank the agents first.
    """
    is_measured = args.value("eval") is not None
    if is_measured and args.value("baseline") in (None, _MEASURE):
        yield "baseline", partial(_measure_baseline, context, args, sid)
    yield "spawn", partial(spawn.run, context, args.subset(arguments=[sid]))
    command = ("sh", "-c", agent_command)
    commit = {} if args.is_set("no-commit") else {"commit": ""}
    exec_args = args.subset("jobs", "timeout", arguments=[sid], command=command, **commit)
    yield "exec", partial(exec_.run, context, exec_args)
    eval_args = args.subset("eval", "repeat", "budget", "timeout", arguments=[sid])
    yield "eval", partial(eval_.run, context, eval_args)
    if is_measured:
        merge_args = args.subset("yes", *_MERGE_OPTIONS, arguments=[sid])
        yield "merge", partial(merge.run, context, merge_args)


def _measure_baseline(context: Context, args: Arguments, sid: SessionId) -> BaselineView:
    metric = args.value("metric") or ""
    metric_command = MetricCommand(
        args.value("eval") or "",
        metric,
        repeat=parse_repeat(args) or _BASELINE_REPEATS,
        timeout=parse_timeout(args),
        metric_regex=args.value("metric-regex") or "",
    )
    measured = measure_baseline(sid, context.project, metric_command)
    return BaselineView(sid, metric, measured.quantity, measured.notes)


def _continue_command(
    step: str, sid: SessionId, args: Arguments, failed_agents: Sequence[int] = ()
) -> str:
    """Return the command that continues after a failure of this step, with its options.

    Args:
        failed_agents: the numbers of the agents whose command failed.
    """
    if step == "exec":
        agents = [f"--agents {','.join(map(str, failed_agents))}"] if failed_agents else []
        commit = [] if args.is_set("no-commit") else ["--commit"]
        options = [*agents, *_given_options(args, "jobs", "timeout"), *commit]
        agent_command = (args.value("agent-cmd") or "").strip()
        return f"{_command('exec', options, sid)} -- sh -c {quote(agent_command)}"
    if step == "eval":
        return _command(step, _given_options(args, "repeat", "budget", "timeout"), sid)
    if step == "merge":
        return merge_command(sid, merge.parse_options(args.subset(*_MERGE_OPTIONS)))
    return _command("spawn", [], sid)


def _given_options(args: Arguments, *names: str) -> list[str]:
    values = {name: args.value(name) for name in names}
    return [f"--{name} {quote(value)}" for name, value in values.items() if value is not None]


def _command(verb: str, options: Sequence[str], sid: SessionId) -> str:
    return " ".join(["git hub-session", verb, *options, sid])


class BaselineView(View):
    """The metric of the base branch."""

    def __init__(
        self, session: SessionId, metric: str, baseline: Quantity, notes: Sequence[str]
    ) -> None:
        self.session = session
        self.metric = metric
        self.baseline = baseline
        self.notes = notes

    @property
    def diagnostics(self) -> list[str]:
        return warning_lines(self.notes)

    @property
    def changed(self) -> bool:
        return True

    def document(self) -> dict[str, Any]:
        return {
            "session_id": self.session,
            "metric": self.metric,
            "baseline": self.baseline.value,
            "unit": self.baseline.unit or None,
            "notes": list(self.notes),
        }

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([])
        value = f"{format_number(self.baseline.value)} {self.baseline.unit}".rstrip()
        return TextOutput([f"Baseline: {escape_control(self.metric)} {value}"])


class RunView(View):
    """The views of the finished steps.

    After a dry run `planned_steps` has the names of the other steps. After a failure
    `failed_step` has the name of the step, and `continue_command` the command to continue.
    """

    def __init__(
        self,
        session: SessionId,
        steps: Mapping[str, View],
        *,
        planned_steps: tuple[str, ...] = (),
        failed_step: str = "",
        continue_command: str = "",
    ) -> None:
        self.session = session
        self.steps = steps
        self.planned_steps = planned_steps
        self.failed_step = failed_step
        self.continue_command = continue_command

    @property
    def exit_code(self) -> int:
        return max(view.exit_code for view in self.steps.values())

    @property
    def changed(self) -> bool:
        return not self.planned_steps

    @property
    def diagnostics(self) -> list[str]:
        if not self.failed_step:
            return []
        return [
            f"error: the run stopped at '{self.failed_step}'",
            f"hint: continue with: {escape_control(self.continue_command)}",
        ]

    def document(self) -> dict[str, Any]:
        return {
            "session_id": self.session,
            "dry_run": bool(self.planned_steps),
            "stopped": self.failed_step or None,
            "steps": {name: view.document() for name, view in self.steps.items()},
        }

    def records(self) -> list[Record]:
        return [
            [("step", name), *record]
            for name, view in self.steps.items()
            for record in view.records()
        ]

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
