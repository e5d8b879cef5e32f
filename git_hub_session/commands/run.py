"""git hub-session run: run all steps from init to merge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.agent_options import AGENT_CMD
from git_hub_session.cli.command_line import continue_lines
from git_hub_session.cli.measure_options import JUDGE, TOLERANCE
from git_hub_session.cli.options import DRY_RUN, FORMAT, QUIET, TIMEOUT, YES, Option, Usage
from git_hub_session.cli.retry_options import RETRIES, RETRY_DELAY
from git_hub_session.commands import archive, init, merge, spawn
from git_hub_session.commands import eval as eval_
from git_hub_session.commands import exec as exec_
from git_hub_session.commands._exec.on_view import OnView
from git_hub_session.commands._merge.options import RUN_OPTIONS, parse_options
from git_hub_session.commands._run.arguments import (
    INIT_OPTIONS,
    MEASURE_OPTIONS,
    archive_args,
    check_options,
    eval_args,
    exec_args,
    init_args,
    is_ranked,
    measures_baseline,
    merge_args,
    parse_rounds,
)
from git_hub_session.commands._run.baseline import (
    NO_TIME_LIMIT,
    BaselineView,
    measure_run_baseline,
)
from git_hub_session.commands._run.continue_commands import Continuation
from git_hub_session.commands._run.defaults import (
    ask_run_approval,
    refuse_other_winner,
    with_defaults,
)
from git_hub_session.commands._run.elsewhere import EXECUTOR_OPTIONS, check_run_executors
from git_hub_session.commands._run.steps import Outcome, Plan, interrupted_error, run_steps
from git_hub_session.commands._run.view import RunView
from git_hub_session.errors import HubError, to_hub_error
from git_hub_session.lineage.parent import read_parent
from git_hub_session.merge.next_session import (
    improves_on_baseline,
    is_compared_with_parent,
    is_final,
    is_only_baseline_measured,
)
from git_hub_session.merge.winner import NoImprovement
from git_hub_session.session.baseline import last_evaluation
from git_hub_session.worktree.uncommitted import NoCommits

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context
    from git_hub_session.cli.options import Arguments
    from git_hub_session.cli.view import View
    from git_hub_session.git.ref_names import SessionId

USAGE = Usage(
    (
        "run [<options>] --task <text> [--agent-cmd <command>]",
        "run [<options>] -F <file> [--agent-cmd <command>]",
        "run [<options>] --after <id> [--agent-cmd <command>]",
    ),
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
        *EXECUTOR_OPTIONS,
        Option("--no-commit", "do not commit what the agents leave uncommitted"),
        Option(
            "--rounds", "sessions, each from the winner of the last one (default: 1)", "<number>"
        ),
        JUDGE,
        TOLERANCE,
        *RUN_OPTIONS,
        YES,
        DRY_RUN,
        QUIET,
        *FORMAT,
    ),
)


def run(context: Context, args: Arguments) -> RunView:
    """Run all steps. Stop at the first step that fails, and print how to continue."""
    after = args.value("after")
    after_sid = None if after is None else context.require_session(after, "run")
    typed, args = args, with_defaults(context, args, after_sid)
    # A session after another one inherits what is not typed.
    first = init_args(args if after_sid is None else typed)
    check_options(args)
    check_run_executors(context, args)
    if after_sid is not None:
        refuse_other_winner(context, typed, after_sid)
    parse_options(args)
    rounds = parse_rounds(args)
    ask_run_approval(context, typed, args)
    if after_sid is not None and not args.is_set("dry-run"):
        runner = _Rounds(context, args, rounds)
        return runner.run(lambda: runner.run_after(after_sid, first))
    created = init.initialize(context, first)
    if not args.is_set("dry-run"):
        runner = _Rounds(context, args, rounds - 1)
        return runner.run(lambda: runner.run_first(created))
    context.reporter.show_view(created)
    steps = _plan_steps(context, args, Continuation(created.session, args, _usages()))
    views = {"init": created}
    return RunView(created.session, views, planned_steps=tuple(steps), planned_rounds=rounds)


def _usages() -> dict[str, Usage]:
    """Return the options of the command of each step, and of `run`."""
    commands = {"spawn": spawn, "exec": exec_, "eval": eval_, "archive": archive, "merge": merge}
    return {**{name: command.USAGE for name, command in commands.items()}, "run": USAGE}


class _Rounds:
    """The rounds of a run: each one starts from the winner of the last one."""

    def __init__(self, context: Context, args: Arguments, rounds_left: int) -> None:
        """Plan the rounds. `rounds_left` is the number of rounds after the first one."""
        self._context = context
        self._args = args
        self._rounds_left = rounds_left
        self._time_limit = 0
        self._views: list[RunView] = []

    def run(self, run: Callable[[], RunView]) -> RunView:
        """Call `run`. If a signal ends it, write the finished steps as JSON or porcelain."""
        try:
            return run()
        except BaseException as error:
            if not isinstance(error, Exception) and self._views:
                view = self._views[-1]
                if not view.failed_step:
                    view.failed_step, view.error = (
                        "merge",
                        interrupted_error(error, self._context.reporter),
                    )
                self._context.reporter.write_machine_format(self._combine())
            raise

    def run_first(self, created: init.InitView) -> RunView:
        """Run the steps of a new session, the other rounds, and the merge."""
        self._views.append(RunView(created.session, {"init": created}))
        self._context.reporter.show_view(created)
        self._run_round(created.session)
        if not self._has_failed and is_ranked(self._args):
            self._run_later_rounds(created.session, None)
        return self._combine()

    def run_after(self, sid: SessionId, first: Arguments) -> RunView:
        """Run the rounds after an evaluated session, and the merge.

        Args:
            first: the arguments of `init` for the first new session.
        """
        self._views.append(RunView(sid, {}))
        self._run_later_rounds(sid, first)
        return self._combine()

    def _plan_continuation(self, sid: SessionId, rounds_left: int) -> Continuation:
        return Continuation(sid, self._args, _usages(), self._time_limit, rounds_left)

    @property
    def _plan(self) -> Plan:
        return Plan(partial(_plan_steps, self._context, self._args), _read_outcome)

    @property
    def _has_failed(self) -> bool:
        return bool(self._views[-1].failed_step)

    def _has_only_broken_agents(self) -> bool:
        """Return True if the last round measured the baseline, but could not measure an agent."""
        view = self._views[-1]
        if view.failed_step != "eval" or view.error or view.failures:
            return False
        project = self._context.project
        return is_only_baseline_measured(project.store.read(view.session), project)

    def _run_later_rounds(self, sid: SessionId, first: Arguments | None) -> None:
        """Run rounds as long as they improve, and merge the last winner.

        Args:
            sid: the evaluated session.
            first: the arguments of `init` for the first new session of `run --after`, or None to
                inherit the settings.
        """
        while True:
            # After a session of an earlier run, `init` refuses a winner that does not improve.
            session = self._context.project.store.read(sid)
            is_improved = bool(first) or improves_on_baseline(session, self._context.project)
            if not is_improved and is_compared_with_parent(session, self._context.project.store):
                return self._end_without_improvement(sid)
            if not self._rounds_left or not is_improved or (not first and is_final(session)):
                return self._finish(sid, ("merge",), None)
            created = self._start_next(sid, first)
            if created is None:
                return None
            first = None
            self._run_round(created.session, parent=sid)
            if isinstance(self._views[-1].error, NoCommits) or self._has_only_broken_agents():
                return self._end_without_improvement(created.session)
            if self._has_failed or not is_ranked(self._args):
                return None
            sid = created.session

    def _end_without_improvement(self, sid: SessionId) -> None:
        """Merge the parent of the last session, the winner before it, and archive the session."""
        parent = read_parent(self._context.project.store.read(sid))
        assert parent is not None
        self._context.reporter.note(
            f"no agent of session '{sid}' improves on the baseline: the winner is {parent.text}"
        )
        self._finish(sid, ("merge", "archive"), parent.session_id)

    def _start_next(self, sid: SessionId, first: Arguments | None) -> init.InitView | None:
        """Create the session that starts from the winner of `sid`. Return None after an error."""
        continuation = self._plan_continuation(sid, self._rounds_left)
        commands = [] if first else [continuation.run_command()]
        try:
            created = init.initialize(self._context, first or self._args.subset(after=sid))
        except BrokenPipeError:
            raise
        except (HubError, OSError) as error:
            hub_error = to_hub_error(error)
            if not first:
                # The last command of the steps starts the next round.
                continuation.add_hints(hub_error, "merge", ["spawn", "exec", "eval", "merge"])
            view = self._views[-1]
            view.failed_step, view.error = "init", hub_error
            parent = read_parent(self._context.project.store.read(sid))
            if isinstance(error, NoImprovement) and parent:
                merged = continuation._replace(rounds_left=0, merged_session=parent.session_id)
                view.alternative = merged.merge_command()
            return None
        except BaseException as error:
            if not isinstance(error, Exception):
                self._context.reporter.print_hints(continue_lines(commands))
                view = self._views[-1]
                view.failed_step = "init"
                view.error = interrupted_error(error, self._context.reporter)
            raise
        self._views.append(RunView(created.session, {"init": created}))
        self._rounds_left -= 1
        self._context.reporter.show_view(created)
        self._set_time_limit(sid, first)
        self._args = self._args.with_values(after=sid)
        return created

    def _set_time_limit(self, sid: SessionId, first: Arguments | None) -> None:
        """Use the time limit that the evaluation of `sid` proposes, and print it.

        Keep the limit that the baseline of this run proposes. Do not use a limit for another command.
        """
        has_own_command = first is not None and first.value("eval") is not None
        if self._time_limit or has_own_command or self._args.value("timeout") is not None:
            return
        self._time_limit = last_evaluation(self._context.project.store.read(sid)).time_limit
        if self._time_limit:
            self._print_line(f"Time limit for each measurement: {self._time_limit} s")

    def _print_line(self, line: str) -> None:
        self._context.reporter.write_lines(lambda _: [line])

    def _run_round(self, sid: SessionId, parent: SessionId | None = None) -> None:
        """Run the steps of the last session from `spawn` to `eval`."""
        continuation = self._plan_continuation(sid, self._rounds_left)
        steps = self._plan.make_steps(continuation)
        todo = [name for name in steps if name != "merge"]
        has_limit = bool(self._time_limit) or self._args.value("timeout") is not None
        if not has_limit and "baseline" not in todo and self._args.value("eval") is not None:
            self._print_line(NO_TIME_LIMIT)
        view = run_steps(self._context, continuation, self._plan, todo, self._views[-1])
        baseline = view.steps.get("baseline")
        if isinstance(baseline, BaselineView):
            self._time_limit = baseline.time_limit
        if view.failed_step and parent:
            view.alternative = continuation._replace(merged_session=parent).merge_command()
        self._views[-1] = view

    def _finish(self, sid: SessionId, todo: Sequence[str], merged: SessionId | None) -> None:
        """Merge the last winner, and archive a session that does not improve."""
        continuation = self._plan_continuation(sid, 0)._replace(merged_session=merged)
        view = run_steps(self._context, continuation, self._plan, todo, self._views[-1])
        view.merged_session = (merged or sid) if "merge" in view.steps else None
        self._views[-1] = view

    def _combine(self) -> RunView:
        """Return the view of all rounds."""
        first, *later = self._views
        for view in self._views if later else []:
            if view.failures:
                command = view.failures.command if view is self._views[-1] else ""
                view.failures = view.failures._replace(command=command, session=view.session)
        first.rounds = later
        first.merged_session = self._views[-1].merged_session
        return first


def _plan_steps(
    context: Context, args: Arguments, continuation: Continuation
) -> dict[str, Callable[[], View]]:
    """Return the function of each step after `init`, in order.

    Without an eval command and a judge there is no merge: the user has to rank the agents first.
    """
    sid = continuation.session
    merged_sid = continuation.merged_session or sid
    last_steps = ["eval", "merge"] if is_ranked(args) else ["eval"]
    names = ["spawn", "exec", *last_steps]
    if args.has("on"):  # the workers create the attempts, and measure the base branch
        names.remove("spawn")
    elif measures_baseline(args) and args.value("after") is None:
        names.insert(0, "baseline")
    if continuation.merged_session:
        names.append("archive")
    following = continuation.commands(last_steps)
    steps: dict[str, Callable[[], View]] = {
        "baseline": partial(measure_run_baseline, context, args, sid),
        "spawn": partial(spawn.run, context, args.subset(arguments=[sid])),
        "exec": partial(exec_.run, context, exec_args(args, sid), following=following),
        "eval": partial(eval_.run, context, eval_args(args, sid, continuation.time_limit)),
        "archive": partial(archive.run, context, archive_args(args, sid)),
        "merge": partial(merge.run, context, merge_args(args, merged_sid)),
    }
    return {name: steps[name] for name in names}


def _read_outcome(view: View) -> Outcome:
    if isinstance(view, BaselineView):
        return Outcome(view.time_limit)
    if isinstance(view, exec_.ExecView | OnView) and view.exit_code:
        return Outcome(None, view.failed_agents, view.has_success)
    return Outcome()
