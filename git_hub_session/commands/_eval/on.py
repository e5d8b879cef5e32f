"""Measure the agents with workers on executors, and rank them (eval --on)."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.approval import ask_approval
from git_hub_session.cli.command_line import command_line
from git_hub_session.commands._eval.arguments import parse_options
from git_hub_session.commands._eval.on_view import FarEvalView
from git_hub_session.commands._eval.options import FOR_EVALUATION, WORKER_OPTIONS
from git_hub_session.commands._executors.base import refuse_unpublished_base
from git_hub_session.commands._executors.job_work import JobWork
from git_hub_session.commands._executors.options import BOOTSTRAP, CANCEL, ON
from git_hub_session.distributed.key import MeasureOptions, make_key
from git_hub_session.distributed.unmeasured import unmeasured_agents
from git_hub_session.errors import HubError, Refused
from git_hub_session.session.agents import base_now
from git_hub_session.session.guarded import holdout_directory
from git_hub_session.settings.table import HOOK_EVALUATED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from git_hub_session.cli.options import Arguments
    from git_hub_session.commands._executors.call import ExecutorCall
    from git_hub_session.distributed.rank import CollectedResult, DistributedEvaluation
    from git_hub_session.evaluation.result import EvalOptions
    from git_hub_session.session.model import Session

_CALL_OPTIONS = (ON, BOOTSTRAP, *WORKER_OPTIONS)


def evaluate_elsewhere(
    call: ExecutorCall, args: Arguments, evaluation: DistributedEvaluation
) -> FarEvalView:
    """Publish the session, measure on the executors, fetch the measurements and rank the agents.

    Raises:
        Refused: there is nothing to measure, or another machine cannot measure it.
        RemoteFailed, PushRefused: the session cannot be published.
        NotApproved: the user did not approve the eval command.
    """
    session = call.context.project.store.read(call.sid)
    again = command_line("eval", _CALL_OPTIONS, args, arguments=[call.sid])
    if args.is_set(CANCEL.name):
        results = call.cancel_workers()
        error = call.fetch_session()
        return FarEvalView(evaluation.measure_nothing(), results, [error], again)
    options = _parse_eval_options(call, args, session)
    call.fetch_if_published()
    call.publish_session()
    candidates, guard = evaluation.list_candidates(options)
    session = call.context.project.store.read(call.sid)
    base = base_now(session, call.context.project.repo)
    refuse_unpublished_base(call, session, base, [each.commit for each in candidates])
    worker_args = _worker_arguments(args, options, guard)
    line = command_line("work", WORKER_OPTIONS, worker_args, arguments=[call.sid])
    key = make_key(session, base, line)
    worker_args = worker_args.with_values(**{FOR_EVALUATION.name: key.text})
    worker_options = (FOR_EVALUATION, *WORKER_OPTIONS)
    line = command_line("work", worker_options, worker_args, arguments=[call.sid])
    measure_options = MeasureOptions(key, options._replace(guard=guard))
    jobs = _job_work(call, line, session, measure_options)
    results = call.run_workers(line, again, jobs)
    errors = [call.fetch_session()]
    collected = evaluation.rank(measure_options)
    return _publish_ranking(call, collected, FarEvalView(collected, results, errors, again))


def _job_work(call: ExecutorCall, line: str, session: Session, options: MeasureOptions) -> JobWork:
    """Return the work of jobs of Slurm. Each of them measures one agent."""

    def find_left(session: Session) -> list[int]:
        session = session._replace(base_tip=options.key.base)
        return unmeasured_agents(session, call.context.project, options)

    agents = find_left(session)

    def find_ended(session: Session) -> list[int]:
        left = find_left(session)
        return [agent for agent in agents if agent not in left]

    return JobWork(line, agents, find_ended, options.key.id)


def _parse_eval_options(call: ExecutorCall, args: Arguments, session: Session) -> EvalOptions:
    """Return the options, and ask for the approval of the eval command."""
    context = call.context
    options = parse_options(args, session)._replace(baseline=None)
    if options.metric_command is None:
        raise Refused(
            f"session '{call.sid}' has no eval command",
            hint="give --eval, --metric and --direction",
        )
    if holdout_directory(session, context.project):
        raise Refused(
            "the holdout files are only on this machine", hint=f"git hub-session eval {call.sid}"
        )
    is_typed = args.value("eval") is not None
    ask_approval(context, session, options.metric_command.command, is_typed=is_typed)
    return options


def _worker_arguments(args: Arguments, options: EvalOptions, guard: Sequence[str]) -> Arguments:
    """Return the arguments of the workers. They depend on no setting of another machine."""
    metric_command = options.metric_command
    assert metric_command is not None
    names = [option.name for option in WORKER_OPTIONS]
    args = args.subset(*names).without("guard", "no-guard", "require", "no-require")
    values: dict[str, str | bool | tuple[str, ...]] = {
        "eval": metric_command.command,
        "metric": metric_command.metric,
        "guard" if guard else "no-guard": tuple(guard) or True,
    }
    if metric_command.metric:
        values["direction"] = options.direction
    if metric_command.metric_regex:
        values["metric-regex"] = metric_command.metric_regex
    requirements = tuple(each.text for each in metric_command.requirements)
    values["require" if requirements else "no-require"] = requirements or True
    return args.with_values(**values)


def _publish_ranking(
    call: ExecutorCall, collected: CollectedResult, view: FarEvalView
) -> FarEvalView:
    """Publish a recorded ranking, and send the event."""
    if not collected.unmeasured:
        try:
            call.publish_session()
        except HubError as error:
            view.errors.append(error)
        call.context.send_event(HOOK_EVALUATED, view.document)
    return view
