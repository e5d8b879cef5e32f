"""Measure agents for `eval --on`, until no agent is left (work --measure)."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.agent_options import parse_only_agents
from git_hub_session.commands._eval.arguments import parse_options
from git_hub_session.commands._eval.options import FOR_EVALUATION
from git_hub_session.commands._share.claim_options import read_claim_options
from git_hub_session.commands._share.worker import WorkerView, run_worker
from git_hub_session.distributed.key import MeasureOptions, parse_key, read_session_at
from git_hub_session.errors import UsageError
from git_hub_session.git.ref_names import parse_session_id
from git_hub_session.sharing.fetch import fetch_sessions

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context
    from git_hub_session.cli.options import Arguments
    from git_hub_session.distributed.key import EvaluationKey
    from git_hub_session.session.model import Session
    from git_hub_session.sharing.remote import Remote
    from git_hub_session.worker.measure import MeasureWorker
    from git_hub_session.worker.observer import WorkObserver


_EXCLUDED = ("agent-cmd", "max", "retries", "retry-delay", "commit")


def measure_as_worker(
    context: Context, args: Arguments, worker_type: type[MeasureWorker]
) -> MeasuredView:
    """Measure one agent after the other, and publish each measurement.

    The eval command is typed: the caller of `eval --on` has approved it. It is not recorded as
    approved on this machine.
    """
    if args.argument is None or args.value("eval") is None or args.command:
        raise UsageError(
            f"--{FOR_EVALUATION.name} needs --eval and a session, and no command",
            hint="use eval --on, which starts workers",
        )
    for name in _EXCLUDED:
        if args.has(name):
            raise UsageError(f"--{FOR_EVALUATION.name} and --{name} exclude each other")
    sid = parse_session_id(args.argument)
    key = parse_key(args.value(FOR_EVALUATION.name) or "")
    agents = parse_only_agents(args)

    def make_worker(remote: Remote, observer: WorkObserver) -> MeasureWorker:
        claims = read_claim_options(context)
        project = context.project
        [fetched] = fetch_sessions([sid], project, remote, shared=claims.shared, dry_run=False)
        if fetched.error is not None:
            raise fetched.error
        options = _parse_measure_options(args, read_session_at(sid, project, key), key)
        return worker_type(sid, project, remote, options, observer, claims=claims, agents=agents)

    return MeasuredView(run_worker(context, args, sid, make_worker))


def _parse_measure_options(args: Arguments, session: Session, key: EvaluationKey) -> MeasureOptions:
    options = parse_options(args, session)
    is_measured = bool(options.metric_command and options.metric_command.metric)
    options = options._replace(baseline=None, measure_baseline=is_measured)
    return MeasureOptions(key, options)


class MeasuredView(WorkerView):
    """The agents that the worker has measured."""

    success = "measured"
    nothing_left = "nothing left to measure"
    key = "measured"
