"""git hub-session work: work on the agents of a shared session until none is left."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.cli.agent_options import AGENT_CMD, ONLY, parse_only_agents, with_agent_command
from git_hub_session.cli.approval import ask_project_approval
from git_hub_session.cli.options import FORMAT, QUIET, Option, Usage
from git_hub_session.cli.view import (
    Record,
    TerminalStyle,
    TextOutput,
    View,
    error_lines,
    make_record,
    warning_lines,
)
from git_hub_session.commands._eval.options import FOR_EVALUATION, WORKER_OPTIONS
from git_hub_session.commands._exec.display import LiveDisplay
from git_hub_session.commands._exec.options import RUN_OPTIONS, parse_run_options
from git_hub_session.commands._exec.table import run_fields
from git_hub_session.commands._share.claim_options import read_claim_options
from git_hub_session.errors import HubError, UsageError
from git_hub_session.git.ref_names import agent_name, parse_session_id, short_name
from git_hub_session.session.model import MAX_AGENTS
from git_hub_session.settings.table import SETUP
from git_hub_session.sharing.choose_remote import choose_remote
from git_hub_session.sharing.remote import Remote
from git_hub_session.util.numbers import MAX_COUNT, parse_int
from git_hub_session.util.shell import quote_word
from git_hub_session.worker.claimed_work import WorkObserver
from git_hub_session.worker.work import Worker, WorkOptions
from git_hub_session.worktree.paths import worktree_template

if TYPE_CHECKING:
    from collections.abc import Sequence

    from git_hub_session.cli.context import Context
    from git_hub_session.cli.options import Arguments
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.worker.work import WorkedAgent

_MEASURE_OPTIONS = tuple(option for option in WORKER_OPTIONS if option not in RUN_OPTIONS)
USAGE = Usage(
    (
        "work [<options>] <id> -- <command> [<argument>...]",
        "work [<options>] --agent-cmd <command> <id>",
        "work --measure <evaluation> [<options>] <id>",
    ),
    (
        AGENT_CMD,
        ONLY,
        Option("--remote", "remote to work through (default: hubsession.remote)", "<remote>"),
        Option("--max", "largest number of agents to work on (default: all)", "<number>"),
        *RUN_OPTIONS,
        FOR_EVALUATION,
        *_MEASURE_OPTIONS,
        QUIET,
        *FORMAT,
    ),
    max_arguments=1,
    takes_command=True,
)

_CALL = "git hub-session work <id> -- <command>"


def run(context: Context, args: Arguments) -> View:
    """Work on one agent after the other: run its command, or measure it."""
    if args.has(FOR_EVALUATION.name):
        from git_hub_session.commands._eval.worker import measure_as_worker
        from git_hub_session.worker.measure import MeasureWorker

        return measure_as_worker(context, args, MeasureWorker)
    for option in _MEASURE_OPTIONS:
        if args.has(option.name):
            raise UsageError(f"--{option.name} requires --{FOR_EVALUATION.name}")
    args = with_agent_command(context, args, _CALL)
    if args.argument is None:
        raise UsageError("no session given", hint=_CALL)
    sid = parse_session_id(args.argument)
    project = context.project
    ask_project_approval(context, SETUP)
    remote = Remote(
        project.git, choose_remote(project, args.value("remote") or ""), note=context.reporter.note
    )
    display = _Display(context, sid)
    worker = Worker(sid, project, remote, _parse_options(context, args), display)
    error: HubError | None = None
    try:
        worker.run()
    except HubError as failure:
        if not worker.worked:
            raise
        error = failure
    finally:
        display.elapsed.clear()
        context.finish_events()
    return WorkView(sid, remote.label, worker.worked, error)


def _parse_options(context: Context, args: Arguments) -> WorkOptions:
    project = context.project
    return WorkOptions(
        parse_run_options(args, MAX_AGENTS),
        read_claim_options(context),
        parse_only_agents(args),
        _parse_maximum(args),
        worktree_template(project.settings, project.paths),
    )


def _parse_maximum(args: Arguments) -> int:
    text = args.value("max")
    number = MAX_COUNT if text is None else parse_int(text, MAX_COUNT)
    if not number:
        raise UsageError(f"not a number of agents: '{text}'", hint="--max takes 1 or more")
    return number


class _Display(LiveDisplay, WorkObserver):
    """Prints the output of the commands, and notes about the progress."""

    def note(self, text: str) -> None:
        self.elapsed.clear()
        self.reporter.note(text)


class WorkView(View):
    """The agents on which the worker has worked."""

    def __init__(
        self, sid: SessionId, remote: str, worked: Sequence[WorkedAgent], error: HubError | None
    ) -> None:
        self.sid = sid
        self.remote = remote
        self.worked = worked
        self.error = error

    @property
    def exit_code(self) -> int:
        if self.error is not None:
            return self.error.exit_code
        return 1 if any(each.is_lost or _has_failed(each) for each in self.worked) else 0

    @property
    def diagnostics(self) -> list[str]:
        lines = []
        for each in self.worked:
            if each.is_lost:
                name = short_name(each.branch.ref)
                agent = agent_name(each.branch.agent)
                lines += warning_lines(
                    [f"{agent} was taken over; the commits of this worker are on '{name}'"]
                )
            if each.is_lost and each.tip:
                lines.append(f"hint: {_adopt_command(each)}")
        if self.error is not None:
            lines += error_lines(self.error)
        if any(not each.is_published and not each.is_lost for each in self.worked):
            lines.append(f"hint: git hub-session push {quote_word(self.remote)} {self.sid}")
        return lines

    def document(self) -> dict[str, Any]:
        return {
            "session_id": self.sid,
            "remote": self.remote,
            "agents": [_worked_fields(each) for each in self.worked],
        }

    def records(self) -> list[Record]:
        head = ("session", self.sid)
        return [[head, *make_record(fields)] for fields in self.document()["agents"]]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([])
        if not self.worked:
            return TextOutput([], [f"nothing left to work on in session {self.sid}"])
        return TextOutput([f"{agent_name(w.branch.agent)}: {_outcome(w)}" for w in self.worked])


def _has_failed(worked: WorkedAgent) -> bool:
    run = worked.agent_run
    return run is not None and (bool(run.reason) or not run.has_not_failed)


def _outcome(worked: WorkedAgent) -> str:
    if worked.is_lost:
        return "taken over"
    if not worked.is_published:
        return "not published"
    return "failed" if _has_failed(worked) else "done"


def _adopt_command(worked: WorkedAgent) -> str:
    branch = worked.branch
    return f"git hub-session adopt {branch.session} {agent_name(branch.agent)} {worked.tip}"


def _worked_fields(worked: WorkedAgent) -> dict[str, Any]:
    run = worked.agent_run
    return {
        "agent": worked.branch.agent,
        "attempt": worked.branch.attempt or None,
        "outcome": _outcome(worked),
        "commit": worked.tip or None,
        "run": run_fields(run) if run else None,
    }
