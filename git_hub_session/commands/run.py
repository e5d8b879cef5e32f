"""git hub-session run: run all steps from init to merge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.command_line import command_line, continue_lines
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
    parse_jobs,
    parse_timeout,
)
from git_hub_session.cli.retry_options import (
    RETRIES,
    RETRY_DELAY,
    parse_retries,
    parse_retry_delay,
)
from git_hub_session.cli.view import TerminalStyle, TextOutput, View, warning_lines
from git_hub_session.commands import eval as eval_
from git_hub_session.commands import exec as exec_
from git_hub_session.commands import init, merge, spawn
from git_hub_session.commands._run_view import Failures, RunView
from git_hub_session.errors import HubError, UsageError, to_hub_error
from git_hub_session.evaluation.baseline import measure_baseline
from git_hub_session.evaluation.measure import MetricCommand
from git_hub_session.git.ref_names import agent_name
from git_hub_session.session.runs import read_last_run
from git_hub_session.util.numbers import format_number
from git_hub_session.util.text import escape_control

if TYPE_CHECKING:
    from git_hub_session._typing import Any
    from git_hub_session.cli.context import Context
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.metric.quantity import Quantity

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
_OUTPUT_OPTIONS = ("quiet", "format", "z", "color")
_EXEC_OPTIONS = ("jobs", "timeout", "retries", "retry-delay")
_EVAL_OPTIONS = ("eval", "repeat", "budget", "timeout")
_MERGE_OPTIONS = ("message", "allow-regression", "yes")
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
        RETRIES,
        RETRY_DELAY,
        Option("--fail-fast", "stop after the agents' commands if one of them failed"),
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
    if not (args.value("agent-cmd") or "").strip():
        raise UsageError("option '--agent-cmd' is required", hint="--agent-cmd <command>")
    _check_options(args)
    has_baseline = args.value("baseline") not in (None, _MEASURE, _NONE)
    baseline_option = ("baseline",) if has_baseline else ()
    created = init.run(context, args.subset(*_INIT_OPTIONS, *baseline_option, "dry-run"))
    context.reporter.show_view(created)
    steps = _plan_steps(context, args, created.session)
    views: dict[str, View] = {"init": created}
    if args.is_set("dry-run"):
        return RunView(created.session, views, planned_steps=tuple(steps))
    return _run_steps(context, args, created.session, steps, views)


def _check_options(args: Arguments) -> None:
    """Raise UsageError for a wrong option of a later step, before anything is created."""
    for parse in (parse_repeat, parse_budget, parse_jobs, parse_timeout, parse_retries):
        parse(args)
    parse_retry_delay(args)
    if (args.value("eval") is None) != (args.value("metric") is None):
        raise UsageError("--eval and --metric must be used together")


def _plan_steps(context: Context, args: Arguments, sid: SessionId) -> dict[str, Callable[[], View]]:
    """Return the function of each step after `init`, in order.

    Without an eval command there is no merge: the user has to rank the agents first.
    """
    last_steps = ["eval"] if args.value("eval") is None else ["eval", "merge"]
    names = ["spawn", "exec", *last_steps]
    if _measures_baseline(args):
        names.insert(0, "baseline")
    following = _continue_commands(last_steps, args, sid)
    steps: dict[str, Callable[[], View]] = {
        "baseline": partial(_measure_baseline, context, args, sid),
        "spawn": partial(spawn.run, context, args.subset(arguments=[sid])),
        "exec": partial(exec_.run, context, _exec_args(args, sid), following=following),
        "eval": partial(eval_.run, context, _eval_args(args, sid)),
        "merge": partial(merge.run, context, args.subset(*_MERGE_OPTIONS, arguments=[sid])),
    }
    return {name: steps[name] for name in names}


def _measures_baseline(args: Arguments) -> bool:
    return args.value("eval") is not None and args.value("baseline") in (None, _MEASURE)


def _exec_args(args: Arguments, sid: SessionId) -> Arguments:
    command = ("sh", "-c", (args.value("agent-cmd") or "").strip())
    commit = {} if args.is_set("no-commit") else {"commit": ""}
    names = (*_EXEC_OPTIONS, *_OUTPUT_OPTIONS)
    return args.subset(*names, arguments=[sid], command=command, **commit)


def _eval_args(args: Arguments, sid: SessionId) -> Arguments:
    """Return the arguments of `eval`.

    `eval` measures the baseline again, in the same rounds as the agents. The measurement before
    the agents only shows that the eval command works.
    """
    baseline = {"baseline": _MEASURE} if _measures_baseline(args) else {}
    return args.subset(*_EVAL_OPTIONS, *_OUTPUT_OPTIONS, arguments=[sid], **baseline)


def _run_steps(
    context: Context,
    args: Arguments,
    sid: SessionId,
    steps: Mapping[str, Callable[[], View]],
    views: dict[str, View],
) -> RunView:
    """Run the steps after `init`, and add their views to `views`."""
    failures = None
    names = list(steps)
    for name in names:
        commands = _continue_commands(names[names.index(name) :], args, sid)
        try:
            view = steps[name]()
        except BrokenPipeError:
            raise
        except (HubError, OSError) as error:
            hub_error = _with_hints(to_hub_error(error), name, names, args, sid)
            return RunView(sid, views, failed_step=name, error=hub_error, failures=failures)
        except BaseException as error:
            if name != "exec" and not isinstance(error, Exception):  # `exec` says more itself
                context.reporter.hints(continue_lines(commands))
            raise
        context.reporter.show_view(view)
        views[name] = view
        if isinstance(view, exec_.ExecView) and view.exit_code:
            failures = _read_failures(context, args, sid, view)
            if view.has_success and not args.is_set("fail-fast"):
                continue
            commands[0] = failures.command
        if view.exit_code:
            return RunView(
                sid, views, failed_step=name, continue_commands=commands, failures=failures
            )
    return RunView(sid, views, failures=failures)


def _read_failures(
    context: Context, args: Arguments, sid: SessionId, view: exec_.ExecView
) -> Failures:
    session = context.project.store.read(sid)
    reasons = {
        agent: read_last_run(session, agent_name(agent)).failure or "failed"
        for agent in view.failed_agents
    }
    return Failures(reasons, _exec_command(_exec_args(args, sid), only_failed=True))


def _exec_command(exec_args: Arguments, *, only_failed: bool = False) -> str:
    names = [option.name for option in exec_.USAGE.options]
    given = exec_args.subset(*names, failed=only_failed)
    sid, command = exec_args.arguments, exec_args.command
    return command_line("exec", exec_.USAGE.options, given, arguments=sid, command=command)


def _continue_commands(steps: Sequence[str], args: Arguments, sid: SessionId) -> list[str]:
    """Return the commands that do these steps, with all options of the user.

    No command measures only the baseline: `eval` measures it.
    """
    output = args.subset(*_OUTPUT_OPTIONS)
    eval_args = _eval_args(args, sid)
    merge_args = args.subset(*_MERGE_OPTIONS, *_OUTPUT_OPTIONS)
    commands = {
        "spawn": command_line("spawn", spawn.USAGE.options, output, arguments=[sid]),
        "exec": _exec_command(_exec_args(args, sid)),
        "eval": command_line("eval", eval_.USAGE.options, eval_args, arguments=[sid]),
        "merge": command_line("merge", merge.USAGE.options, merge_args, arguments=[sid]),
    }
    return [commands[step] for step in steps if step in commands]


def _with_hints(
    error: HubError, step: str, steps: Sequence[str], args: Arguments, sid: SessionId
) -> HubError:
    """Add the commands that continue the run.

    Leave out a hint that only repeats one of them without the user's options. If a hint replaces
    the command of the step that failed, add only the commands of the later steps.
    """
    hints = error.hint.splitlines()
    general = {f"git hub-session {name} {sid}": name for name in steps}
    general |= {line: name for name in steps for line in _continue_commands([name], args, sid)}
    general[f"git hub-session exec {sid} -- <command>"] = "exec"
    special = [hint for hint in hints if hint not in general]
    repeated = [steps.index(general[hint]) for hint in hints if hint in general]
    first = min(repeated, default=steps.index(step))
    replacements = tuple(f"git hub-session {name} " for name in (step, "update"))
    if not repeated and any(hint.startswith(replacements) for hint in special):
        first += 1
    if any(hint.startswith("git hub-session adopt ") for hint in special):
        first = min(first, steps.index("eval"))  # the adopted commit is not measured
    commands = _continue_commands(steps[first:], args, sid)
    error.hint = "\n".join([*special, *continue_lines(commands)])
    return error


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
