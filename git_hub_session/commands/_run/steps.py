"""Run the steps of one session, and stop at the first one that fails."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.cli.command_line import continue_lines
from git_hub_session.commands._run.view import RunView, read_failures
from git_hub_session.errors import HubError, to_hub_error

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context
    from git_hub_session.cli.reporter import Reporter
    from git_hub_session.cli.view import View
    from git_hub_session.commands._run.continue_commands import Continuation


class Outcome(NamedTuple):
    """The part of the result of a step on which the later steps depend."""

    time_limit: int | None = None
    """The time limit that the baseline proposes, or None after another step."""
    failed_agents: Sequence[int] | None = None
    """The agents whose command failed, if `exec` has failed, or None."""
    has_success: bool = True
    """False if the command succeeded for no agent."""


class Plan(NamedTuple):
    """The steps of a session."""

    make_steps: Callable[[Continuation], Mapping[str, Callable[[], View]]]
    """Return the function of each step, in order."""
    read_outcome: Callable[[View], Outcome]


class Interrupted(HubError):
    """A run that a signal has ended."""

    code = "interrupted"


def run_steps(
    context: Context, continuation: Continuation, plan: Plan, todo: Sequence[str], view: RunView
) -> RunView:
    """Run the steps in `todo`, and return `view` with their views.

    If a signal ends a step, add the finished steps and the commands that continue to `view`.
    """
    sid, failures = continuation.session, view.failures
    steps = plan.make_steps(continuation)
    views = view.steps = dict(view.steps)
    names = list(steps)
    for name in todo:
        commands = continuation.commands(names[names.index(name) :])
        try:
            result = _run_step(continuation, name, steps[name], commands, context.reporter)
        except BrokenPipeError:
            raise
        except (HubError, OSError) as error:
            hub_error = continuation.add_hints(to_hub_error(error), name, names)
            return RunView(sid, views, failed_step=name, error=hub_error, failures=failures)
        except BaseException as error:
            if not isinstance(error, Exception):
                view.failed_step, view.error = name, interrupted_error(error, context.reporter)
            raise
        views[name] = result
        context.reporter.show_view(result)
        outcome = plan.read_outcome(result)
        if outcome.time_limit is not None:
            continuation = continuation._replace(time_limit=outcome.time_limit)
            steps = plan.make_steps(continuation)
        if outcome.failed_agents is not None:
            failures = read_failures(context.project, continuation, outcome.failed_agents)
            if outcome.has_success and not continuation.args.is_set("fail-fast"):
                continue
            commands[0] = failures.command or commands[0]
        if result.exit_code:
            return RunView(
                sid, views, failed_step=name, continue_commands=commands, failures=failures
            )
    return RunView(sid, views, failures=failures)


def _run_step(
    continuation: Continuation,
    name: str,
    step: Callable[[], View],
    commands: Sequence[str],
    reporter: Reporter,
) -> View:
    """Run a step. If a signal ends it, print the commands that continue."""
    try:
        return step()
    except BaseException as error:
        hints = continuation.hints_after_signal(name, commands)
        if hints and not isinstance(error, Exception):
            reporter.print_hints(continue_lines(hints))
        raise


def interrupted_error(error: BaseException, reporter: Reporter) -> HubError:
    """Return the error of a run that a signal ended, with the hints that the step has printed."""
    number = getattr(error, "number", signal.SIGINT)
    message = f"the run was ended by {signal.Signals(number).name}"
    return Interrupted(message, hint="\n".join(reporter.last_hints))
