"""git hub-session eval: measure the agents' results and rank them."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.cli.approval import ask_approval, ask_holdout_approval, ask_project_approval
from git_hub_session.cli.command_line import command_line, replace_line
from git_hub_session.cli.measure_options import (
    GUARD,
    HOLDOUT,
    JUDGE,
    NO_GUARD,
    NO_REQUIRE,
    REQUIRE,
    TOLERANCE,
)
from git_hub_session.cli.options import (
    DRY_RUN,
    FORMAT,
    QUIET,
    SESSION_ALIAS,
    TIMEOUT,
    Arguments,
    Option,
    Usage,
)
from git_hub_session.commands._eval.arguments import parse_options
from git_hub_session.commands._eval.current_worktree import measure_current_worktree
from git_hub_session.commands._eval.options import (
    BASELINE,
    WORKER_OPTIONS,
    check_eval_executors,
)
from git_hub_session.commands._eval.view import EvalView, uncommitted_agents
from git_hub_session.commands._executors.options import BOOTSTRAP, CANCEL, ON, has_executors
from git_hub_session.commands._share.automatic import push_automatically
from git_hub_session.errors import HubError
from git_hub_session.evaluation.candidates import INCLUDE_FAILED_HINT
from git_hub_session.evaluation.evaluate import evaluate_session, preview_evaluation
from git_hub_session.evaluation.merged_commit import merge_warning
from git_hub_session.settings.table import HOOK_EVALUATED, SETUP
from git_hub_session.worktree.uncommitted import commit_hint

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context
    from git_hub_session.cli.view import View
    from git_hub_session.git.ref_names import SessionId


_BY_NAME = {option.name: option for option in WORKER_OPTIONS}
USAGE = Usage(
    (
        "eval [<options>] [<id>]",
        "eval --on <executors> [<options>] [<id>]",
        "eval --on <executors> --cancel [<id>]",
        "eval --ranking <list> [<id>]",
        "eval --here [<options>]",
    ),
    (
        *(
            _BY_NAME[name]
            for name in ("eval", "metric", "metric-regex", "metric-file", "direction")
        ),
        BASELINE,
        _BY_NAME["repeat"],
        Option("--budget", "limit of runs for --repeat auto (default: 12 per agent)", "<number>"),
        *(_BY_NAME[name] for name in ("warmup", "prepare", "allow-failures")),
        Option("-j, --jobs", "number of parallel measurements (default: 1)", "<number>"),
        TIMEOUT,
        REQUIRE,
        NO_REQUIRE,
        GUARD,
        NO_GUARD,
        HOLDOUT,
        Option("--in-place", "measure each agent in its own worktree"),
        ON,
        BOOTSTRAP,
        CANCEL,
        JUDGE,
        TOLERANCE,
        Option("--ranking", "record a person's ranking, best agent first", "<list>"),
        Option("--here", "measure the current worktree as it is, and record nothing"),
        Option("-m, --message", "text to record with --ranking", "<text>"),
        _BY_NAME["include-failed"],
        Option("--force", "evaluate even if an agent is still running", no_abbreviation=True),
        DRY_RUN,
        QUIET,
        *FORMAT,
    ),
    max_arguments=1,
    aliases=(SESSION_ALIAS, ("--eval-cmd", "--eval")),
)


def run(context: Context, args: Arguments) -> View:
    """Measure the attempts of each agent and rank the agents, here or on other machines."""
    if args.is_set("here"):
        return measure_current_worktree(context, args, USAGE.options)
    if has_executors(args):
        from git_hub_session.commands._eval.on import evaluate_elsewhere
        from git_hub_session.commands._executors.call import ExecutorCall
        from git_hub_session.distributed.rank import DistributedEvaluation

        sid = context.require_session(args.argument, "eval")
        check_eval_executors(args)
        call = ExecutorCall(context, sid, args, "eval")
        return evaluate_elsewhere(call, args, DistributedEvaluation(sid, context.project))
    return run_here(context, args)


def run_here(context: Context, args: Arguments) -> EvalView:
    """Measure the attempts of each agent on this machine and rank the agents.

    Without an eval command, return the agents unranked.
    """
    sid = context.require_session(args.argument, "eval")
    project = context.project
    session = project.store.read(sid)
    dry_run = args.is_set("dry-run")
    options = parse_options(args, session)
    if options.metric_command is not None and (warning := merge_warning(session, project)):
        context.reporter.warn(warning)
    if options.metric_command is not None and not dry_run:
        is_typed = args.value("eval") is not None
        ask_approval(context, session, options.metric_command.command, is_typed=is_typed)
        ask_holdout_approval(context, session, options.holdout)
        if not options.in_place:
            ask_project_approval(context, SETUP)
    try:
        result = (preview_evaluation if dry_run else evaluate_session)(sid, project, options)
    except HubError as error:
        error.hint = _with_options(error.hint, args, sid)
        raise
    agents = uncommitted_agents(result)
    hint = _with_options(commit_hint(sid, agents), args, sid) if agents else ""
    view = EvalView(result, project.cwd, hint, dry_run=dry_run)
    if (result.run or result.verdict) and not dry_run:
        context.send_event(HOOK_EVALUATED, view.document)
        push_automatically(context, sid)
    return view


def _with_options(hint: str, args: Arguments, sid: SessionId) -> str:
    """Return the hint with the user's options in each `eval` command."""
    options = [option for option in USAGE.options if option is not DRY_RUN]
    names = [option.name for option in options]
    include_failed: dict[str, Any] = {"include-failed": True}
    with_failed = args.subset(*names, **include_failed)
    for general, given in {
        f"git hub-session eval {sid}": args,
        INCLUDE_FAILED_HINT.format(sid): with_failed,
    }.items():
        command = command_line("eval", options, given, arguments=[sid])
        hint = replace_line(hint, general, command)
    return hint
