"""Run a worker on a session, and show the agents on which it has worked."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, Any, NamedTuple
from git_hub_session.cli.approval import ask_project_approval
from git_hub_session.cli.view import (
    Record,
    TerminalStyle,
    TextOutput,
    View,
    error_lines,
    make_record,
    warning_lines,
)
from git_hub_session.commands._exec.display import LiveDisplay
from git_hub_session.errors import HubError
from git_hub_session.git.ref_names import agent_name, short_name
from git_hub_session.settings.table import SETUP
from git_hub_session.sharing.choose_remote import choose_remote
from git_hub_session.sharing.remote import Remote
from git_hub_session.util.shell import quote_word
from git_hub_session.worker.observer import WorkObserver

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from git_hub_session.cli.context import Context
    from git_hub_session.cli.options import Arguments
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.worker.claimed_work import ClaimedWork
    from git_hub_session.worker.worked_agent import WorkedAgent


class FinishedWork(NamedTuple):
    """The work of a worker."""

    sid: SessionId
    remote: str
    """The name or the URL of the remote."""
    worked: Sequence[WorkedAgent]
    error: HubError | None
    """The error that has ended the work, or None."""


def run_worker(
    context: Context,
    args: Arguments,
    sid: SessionId,
    make_worker: Callable[[Remote, WorkObserver], ClaimedWork],
) -> FinishedWork:
    """Run a worker on a session. Raise its error if it has worked on no agent."""
    project = context.project
    ask_project_approval(context, SETUP)
    name = choose_remote(project, args.value("remote") or "")
    remote = Remote(project.git, name, note=context.reporter.note)
    display = _Display(context, sid)
    worker = make_worker(remote, display)
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
    return FinishedWork(sid, remote.label, worker.worked, error)


class _Display(LiveDisplay, WorkObserver):
    """Prints the output of the commands, and notes about the progress."""

    def note(self, text: str) -> None:
        self.elapsed.clear()
        self.reporter.note(text)


class WorkerView(View):
    """The agents on which a worker has worked."""

    changed = True
    success = "done"
    """The outcome of an agent without a problem."""
    nothing_left = "nothing left to work on"
    """The text about a session without such an agent."""
    key = "agents"
    """The key of the agents in JSON."""

    def __init__(self, work: FinishedWork) -> None:
        self.work = work

    @property
    def exit_code(self) -> int:
        if self.work.error is not None:
            return self.work.error.exit_code
        return 1 if any(each.is_lost or each.has_failed for each in self.work.worked) else 0

    @property
    def diagnostics(self) -> list[str]:
        lines = []
        for each in self.work.worked:
            if each.is_lost:
                lines += _lost_lines(each)
        if self.work.error is not None:
            lines += error_lines(self.work.error)
        if any(not each.is_published and not each.is_lost for each in self.work.worked):
            remote = quote_word(self.work.remote)
            hint = f"hint: git hub-session push {remote} {self.work.sid}"
            lines += [hint] if hint not in lines else []
        return lines

    def agent_fields(self, worked: WorkedAgent) -> dict[str, Any]:
        """Return the JSON of an agent."""
        return {"agent": worked.branch.agent, "outcome": self.outcome(worked)}

    def document(self) -> dict[str, Any]:
        agents = [self.agent_fields(each) for each in self.work.worked]
        return {"session_id": self.work.sid, self.key: agents}

    def records(self) -> list[Record]:
        head = ("session", self.work.sid)
        return [[head, *make_record(fields)] for fields in self.document()[self.key]]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([])
        if not self.work.worked:
            return TextOutput([], [f"{self.nothing_left} in session {self.work.sid}"])
        return TextOutput(
            [f"{agent_name(each.branch.agent)}: {self.outcome(each)}" for each in self.work.worked]
        )

    def outcome(self, worked: WorkedAgent) -> str:
        """Return the end of the work on an agent in one or two words."""
        if worked.is_lost:
            return "taken over"
        if not worked.is_published:
            return "not published"
        return "failed" if worked.has_failed else self.success


def _lost_lines(worked: WorkedAgent) -> list[str]:
    """Return the lines about an agent that another worker has taken over."""
    branch = worked.branch
    text = f"{agent_name(branch.agent)} was taken over"
    if not worked.tip:
        return warning_lines([text])
    text = f"{text}; the commits of this worker are on '{short_name(branch.ref)}'"
    adopt = f"git hub-session adopt {branch.session} {agent_name(branch.agent)} {worked.tip}"
    return [*warning_lines([text]), f"hint: {adopt}"]
