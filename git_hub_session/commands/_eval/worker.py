"""Measure agents for `eval --on`, until no agent is left (work --measure)."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.cli.agent_options import parse_only_agents
from git_hub_session.cli.approval import ask_project_approval
from git_hub_session.cli.view import (
    Record,
    TerminalStyle,
    TextOutput,
    View,
    error_lines,
    make_record,
)
from git_hub_session.commands._eval.arguments import parse_options
from git_hub_session.commands._eval.options import FOR_EVALUATION
from git_hub_session.commands._share.claim_options import read_claim_options
from git_hub_session.distributed.key import MeasureOptions, parse_key, read_session_at
from git_hub_session.errors import HubError, UsageError
from git_hub_session.git.ref_names import agent_name, parse_session_id
from git_hub_session.settings.table import SETUP
from git_hub_session.sharing.choose_remote import choose_remote
from git_hub_session.sharing.fetch import fetch_sessions
from git_hub_session.sharing.remote import Remote
from git_hub_session.worker.claimed_work import WorkObserver

if TYPE_CHECKING:
    from collections.abc import Sequence

    from git_hub_session.cli.context import Context
    from git_hub_session.cli.options import Arguments
    from git_hub_session.distributed.key import EvaluationKey
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.model import Session
    from git_hub_session.worker.measure import MeasuredAgent, MeasureWorker


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
    project = context.project
    ask_project_approval(context, SETUP)
    name = choose_remote(project, args.value("remote") or "")
    remote = Remote(project.git, name, note=context.reporter.note)
    claims = read_claim_options(context)
    [fetched] = fetch_sessions([sid], project, remote, shared=claims.shared, dry_run=False)
    if fetched.error is not None:
        raise fetched.error
    session = read_session_at(sid, project, key)
    options = _parse_measure_options(args, session, key)
    agents, notes = parse_only_agents(args), _Notes(context)
    worker = worker_type(sid, project, remote, options, notes, claims=claims, agents=agents)
    error: HubError | None = None
    try:
        worker.run()
    except HubError as failure:
        if not worker.measured:
            raise
        error = failure
    return MeasuredView(sid, worker.measured, error)


def _parse_measure_options(args: Arguments, session: Session, key: EvaluationKey) -> MeasureOptions:
    options = parse_options(args, session)
    is_measured = bool(options.metric_command and options.metric_command.metric)
    options = options._replace(baseline=None, measure_baseline=is_measured)
    return MeasureOptions(key, options)


class _Notes(WorkObserver):
    """Prints notes about the progress."""

    def __init__(self, context: Context) -> None:
        self._reporter = context.reporter

    def note(self, text: str) -> None:
        self._reporter.note(text)


class MeasuredView(View):
    """The agents that the worker has measured."""

    changed = True

    def __init__(
        self, sid: SessionId, measured: Sequence[MeasuredAgent], error: HubError | None
    ) -> None:
        self.sid = sid
        self.measured = measured
        self.error = error

    @property
    def exit_code(self) -> int:
        if self.error is not None:
            return self.error.exit_code
        return 1 if any(each.is_lost for each in self.measured) else 0

    @property
    def diagnostics(self) -> list[str]:
        return error_lines(self.error) if self.error is not None else []

    def document(self) -> dict[str, Any]:
        return {
            "session_id": self.sid,
            "measured": [
                {"agent": each.agent, "outcome": _outcome(each)} for each in self.measured
            ],
        }

    def records(self) -> list[Record]:
        head = ("session", self.sid)
        return [[head, *make_record(fields)] for fields in self.document()["measured"]]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([])
        if not self.measured:
            return TextOutput([], [f"nothing left to measure in session {self.sid}"])
        return TextOutput([f"{agent_name(each.agent)}: {_outcome(each)}" for each in self.measured])


def _outcome(measured: MeasuredAgent) -> str:
    if measured.is_lost:
        return "taken over"
    return "measured" if measured.is_published else "not published"
