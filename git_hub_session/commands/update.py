"""git hub-session update: change the state of a session."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.options import DRY_RUN, FORMAT, QUIET, Arguments, Option, Usage
from git_hub_session.cli.view import TerminalStyle, TextOutput, View, command_after
from git_hub_session.commands._share.automatic import push_automatically
from git_hub_session.errors import Refused, UsageError
from git_hub_session.session.model import MAX_AGENTS
from git_hub_session.session.record import with_decision, with_transition
from git_hub_session.session.state import FINISHED, State, parse_state
from git_hub_session.util.clock import format_iso

if TYPE_CHECKING:
    from git_hub_session._typing import Any
    from git_hub_session.cli.context import Context
    from git_hub_session.git.ref_names import SessionId
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project

USAGE = Usage(
    (
        "update [<options>] --state <state> [<id>]",
        "update [<options>] --resolve (merged | archived) [<id>]",
    ),
    (
        Option("--state", "new state", "<state>"),
        Option(
            "--resolve",
            "choose between two final states of clones",
            "<state>",
            choices=("merged", "archived"),
        ),
        Option("--winner", "choose between the winners that clones have merged", "<agent>"),
        Option("--if-state", "update only if the session is in this state", "<state>"),
        Option("--reason", "reason to record in the history", "<text>"),
        DRY_RUN,
        QUIET,
        *FORMAT,
    ),
    max_arguments=1,
)


class UnexpectedState(Refused):
    """The session is not in the state that --if-state requires."""

    code = "other-state"


def run(context: Context, args: Arguments) -> UpdateView:
    """Move the session to --state, or settle its ending with --resolve.

    With --if-state, compare its state under the same lock.
    """
    ending = args.value("resolve")
    if ending and args.value("state") is not None:
        raise UsageError("--resolve and --state exclude each other")
    winner = _parse_winner(args, ending)
    target = State(ending) if ending else _required_state(args)
    expected_text = args.value("if-state")
    expected = parse_state(expected_text) if expected_text is not None else None
    sid = context.require_session(args.argument, "update")
    project = context.project
    identity = project.identity
    sources: list[State] = []  # `change` adds the state before the update

    def change(session: Session) -> Session:
        sources.append(session.state)
        if expected is not None and session.state != expected:
            raise UnexpectedState(f"session '{sid}' is '{session.state}', not '{expected}'")
        at = format_iso(project.now())
        reason = args.value("reason") or ""
        if ending:
            return with_decision(session, target, at=at, by=identity, reason=reason, winner=winner)
        changed = with_transition(session, target, at=at, by=identity, verb="update", reason=reason)
        if target in FINISHED:
            _refuse_other_branches(session, project)
        return changed

    if args.is_set("dry-run"):
        change(project.store.read(sid))
    else:
        project.store.update(sid, change)
        push_automatically(context, sid)
    return UpdateView(sid, str(sources[-1]), str(target), dry_run=args.is_set("dry-run"))


def _parse_winner(args: Arguments, ending: str | None) -> tuple[int, int] | None:
    """Return the numbers in --winner, with 0 for the only attempt. Return None without --winner."""
    text = args.value("winner")
    if text is None:
        return None
    if ending != State.MERGED:
        raise UsageError("--winner requires --resolve merged")
    from git_hub_session.session.agents import parse_attempt

    return parse_attempt(text, MAX_AGENTS)


def _refuse_other_branches(session: Session, project: Project) -> None:
    """Raise Refused if the commits of an agent are not on its branch."""
    from git_hub_session.worktree.reattach import refuse_other_branches

    refuse_other_branches(session, project)


def _required_state(args: Arguments) -> State:
    """Return the value of --state. Raise UsageError if it is missing."""
    text = args.value("state")
    if text is None:
        raise UsageError(
            "option '--state' is required", hint=f"--state takes one of {', '.join(State)}"
        )
    return parse_state(text)


class UpdateView(View):
    """A change of state that was made, or would be made."""

    def __init__(self, session: SessionId, source: str, target: str, *, dry_run: bool) -> None:
        self.session = session
        self.source = source
        self.target = target
        self.dry_run = dry_run

    @property
    def changed(self) -> bool:
        return not self.dry_run

    @property
    def next_command(self) -> str:
        return command_after(self.session, self.target)

    def document(self) -> dict[str, Any]:
        return {
            "session_id": self.session,
            "from": self.source,
            "to": self.target,
            "dry_run": self.dry_run,
        }

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        would = "Would update session" if self.dry_run else "Session"
        line = f"{would} {self.session}: {self.source} {style.arrow} {self.target}"
        return TextOutput([] if quiet else [line])
