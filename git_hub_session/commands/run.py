"""git hub-session run: run all steps from init to merge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.agent_options import AGENT_CMD
from git_hub_session.cli.command_line import continue_lines
from git_hub_session.cli.measure_options import JUDGE, TOLERANCE
from git_hub_session.cli.options import DRY_RUN, FORMAT, QUIET, TIMEOUT, YES, Option, Usage
from git_hub_session.cli.retry_options import RETRIES, RETRY_DELAY
from git_hub_session.commands import eval as eval_
from git_hub_session.commands import exec as exec_
from git_hub_session.commands import init, merge, spawn
from git_hub_session.commands._run.arguments import (
    INIT_OPTIONS,
    MEASURE_OPTIONS,
    check_options,
    eval_args,
    exec_args,
    init_args,
    measures_baseline,
    merge_args,
)
from git_hub_session.commands._run.baseline import BaselineView, measure_run_baseline
from git_hub_session.commands._run.continue_commands import Continuation
from git_hub_session.commands._run.view import Failures, RunView
from git_hub_session.errors import HubError, to_hub_error
from git_hub_session.git.ref_names import agent_name
from git_hub_session.session.runs import read_last_run

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context
    from git_hub_session.cli.options import Arguments
    from git_hub_session.cli.view import View

USAGE = Usage(
    ("run [<options>] --task <text> --agent-cmd <command>",),
    (
        *(option for option in init.USAGE.options if option.name in INIT_OPTIONS),
        AGENT_CMD,
        Option("--baseline", "number, 'measure' or 'none' (default: measure)", "<number>"),
        Option("--repeat", "runs per agent, or 'auto' (default: 1)", "<number>"),
        Option("--budget", "largest number of runs with --repeat auto", "<number>"),
        *(option for option in eval_.USAGE.options if option.name in MEASURE_OPTIONS),
        Option("-j, --jobs", "number of parallel agents (default: all)", "<number>"),
        TIMEOUT,
        RETRIES,
        RETRY_DELAY,
        Option("--fail-fast", "stop after the agents' commands if one of them failed"),
        Option("--no-commit", "do not commit what the agents leave uncommitted"),
        JUDGE,
        TOLERANCE,
        *merge.KINDS,
        merge.MESSAGE,
        merge.ALLOW_REGRESSION,
        YES,
        DRY_RUN,
        QUIET,
        *FORMAT,
    ),
)

_STEP_USAGES = {
    "spawn": spawn.USAGE,
    "exec": exec_.USAGE,
    "eval": eval_.USAGE,
    "merge": merge.USAGE,
}


def run(context: Context, args: Arguments) -> RunView:
    """Run all steps. Stop at the first step that fails, and print how to continue."""
    check_options(args)
    merge.parse_options(args)
    created = init.run(context, init_args(args))
    context.reporter.show_view(created)
    continuation = Continuation(created.session, args, _STEP_USAGES)
    steps = _plan_steps(context, args, continuation)
    views: dict[str, View] = {"init": created}
    if args.is_set("dry-run"):
        return RunView(created.session, views, planned_steps=tuple(steps))
    return _run_steps(context, args, continuation, steps, views)


def _plan_steps(
    context: Context, args: Arguments, continuation: Continuation
) -> dict[str, Callable[[], View]]:
    """Return the function of each step after `init`, in order.

    Without an eval command and a judge there is no merge: the user has to rank the agents first.
    """
    sid = continuation.session
    is_ranked = args.value("eval") is not None or args.value("judge") is not None
    last_steps = ["eval", "merge"] if is_ranked else ["eval"]
    names = ["spawn", "exec", *last_steps]
    if measures_baseline(args):
        names.insert(0, "baseline")
    following = continuation.commands(last_steps)
    steps: dict[str, Callable[[], View]] = {
        "baseline": partial(measure_run_baseline, context, args, sid),
        "spawn": partial(spawn.run, context, args.subset(arguments=[sid])),
        "exec": partial(exec_.run, context, exec_args(args, sid), following=following),
        "eval": partial(eval_.run, context, eval_args(args, sid, continuation.time_limit)),
        "merge": partial(merge.run, context, merge_args(args, sid)),
    }
    return {name: steps[name] for name in names}


def _run_steps(
    context: Context,
    args: Arguments,
    continuation: Continuation,
    steps: Mapping[str, Callable[[], View]],
    views: dict[str, View],
) -> RunView:
    """Run the steps after `init`, and add their views to `views`."""
    sid = continuation.session
    failures = None
    names = list(steps)
    for name in names:
        commands = continuation.commands(names[names.index(name) :])
        try:
            view = steps[name]()
        except BrokenPipeError:
            raise
        except (HubError, OSError) as error:
            hub_error = continuation.add_hints(to_hub_error(error), name, names)
            return RunView(sid, views, failed_step=name, error=hub_error, failures=failures)
        except BaseException as error:
            if name != "exec" and not isinstance(error, Exception):  # `exec` says more itself
                context.reporter.hints(continue_lines(commands))
            raise
        context.reporter.show_view(view)
        views[name] = view
        if isinstance(view, BaselineView):
            continuation = continuation._replace(time_limit=view.time_limit)
            steps = _plan_steps(context, args, continuation)
        if isinstance(view, exec_.ExecView) and view.exit_code:
            failures = _read_failures(context, continuation, view)
            if view.has_success and not args.is_set("fail-fast"):
                continue
            commands[0] = failures.command
        if view.exit_code:
            return RunView(
                sid, views, failed_step=name, continue_commands=commands, failures=failures
            )
    return RunView(sid, views, failures=failures)


def _read_failures(context: Context, continuation: Continuation, view: exec_.ExecView) -> Failures:
    session = context.project.store.read(continuation.session)
    reasons = {
        agent: read_last_run(session, agent_name(agent)).failure or "failed"
        for agent in view.failed_agents
    }
    return Failures(reasons, continuation.exec_command(only_failed=True))
