"""git hub-session spawn: create a branch and a worktree for each agent."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, Any
from git_hub_session.agents.spawn import preview_spawn, spawn_agents
from git_hub_session.agents.spawn_plan import SpawnOptions
from git_hub_session.agents.uncommitted_main import uncommitted_warning
from git_hub_session.cli.agent_options import AGENTS, ONLY, parse_selected_agents
from git_hub_session.cli.approval import ask_project_approval
from git_hub_session.cli.options import (
    DRY_RUN,
    FORMAT,
    JOBS,
    QUIET,
    Arguments,
    Option,
    Usage,
    parse_jobs,
)
from git_hub_session.cli.view import (
    Record,
    TerminalStyle,
    TextOutput,
    View,
    agent_fields,
    command_after,
    make_record,
    relative_path,
    warning_lines,
)
from git_hub_session.commands._share.automatic import push_automatically
from git_hub_session.errors import UsageError
from git_hub_session.git.command import NoSuchCommit
from git_hub_session.git.ref_names import agent_name, parse_agent_name, short_name
from git_hub_session.session.agents import find_attempt_commit, parse_agent
from git_hub_session.session.model import MAX_AGENTS
from git_hub_session.session.state import NEW_SESSION_HINT, State
from git_hub_session.settings.table import HOOK_SPAWNED, SETUP
from git_hub_session.util.text import escape_control
from git_hub_session.worktree.paths import worktree_template

if TYPE_CHECKING:
    from git_hub_session.agents.spawn_plan import PlannedAgent, SpawnResult
    from git_hub_session.cli.context import Context
    from git_hub_session.session.model import Session
    from git_hub_session.session.project import Project


USAGE = Usage(
    ("spawn [<options>] [<id>]",),
    (
        ONLY,
        AGENTS,
        Option("--retry", "create the next attempt of this agent", "<agent>"),
        Option(
            "--base",
            "commit or attempt to start from (default: the session's base commit)",
            "<commit>",
        ),
        Option("--path", "path template (default: hubsession.worktreePath)", "<template>"),
        JOBS,
        DRY_RUN,
        QUIET,
        *FORMAT,
    ),
    max_arguments=1,
)


def run(context: Context, args: Arguments) -> SpawnView:
    """Create all missing agents. If one cannot be created, create no agent."""
    sid = context.require_session(args.argument, "spawn")
    project = context.project
    options = _parse_options(context, args, project.store.read(sid))
    dry_run = args.is_set("dry-run")
    if not dry_run:
        ask_project_approval(context, SETUP)
    result = (preview_spawn if dry_run else spawn_agents)(sid, project, options)
    warning = uncommitted_warning(project) if result.created else ""
    if warning:
        context.reporter.note(f"warning: {warning}")
    view = SpawnView(result, project.cwd, dry_run=dry_run)
    if result.created and not dry_run:
        context.send_event(HOOK_SPAWNED, view.document)
        push_automatically(context, sid)
    return view


def _parse_options(context: Context, args: Arguments, session: Session) -> SpawnOptions:
    count = session.config.agent_count or MAX_AGENTS
    project = context.project
    numbers = parse_selected_agents(args, count, context.reporter)
    retry = args.value("retry")
    base = args.value("base")
    if numbers and retry is not None:
        raise UsageError("--only and --retry exclude each other")
    commit = "" if base is None else _resolve_base(project, session, base)
    return SpawnOptions(
        numbers,
        parse_agent(retry, count) if retry is not None else 0,
        commit,
        args.value("path") or worktree_template(project.settings, project.paths),
        parse_jobs(args),
    )


def _resolve_base(project: Project, session: Session, text: str) -> str:
    """Return the commit of an attempt of the session ("agent-2/attempt-1"), or of any revision."""
    commit = find_attempt_commit(text, session, project.repo)
    if commit:
        return commit
    try:
        return project.git.resolve_commit(text, project.paths.git_dir)
    except NoSuchCommit as error:
        number = parse_agent_name(text.partition("/")[0])
        if not 0 < number <= (session.config.agent_count or MAX_AGENTS):
            error.hint = "leave out --base to start from the session's base commit"
            raise
        raise _no_attempt_error(agent_name(number), session, error) from None


def _no_attempt_error(name: str, session: Session, error: NoSuchCommit) -> NoSuchCommit:
    """Return the error for an attempt that is not there, with the command that is possible."""
    sid = session.id
    if session.agent_record(name).attempt:
        error.hint = f"git hub-session status {sid}"
        return error
    hint = f"git hub-session spawn --only {name} {sid}"
    if session.state not in (State.INIT, State.RUNNING):
        hint = NEW_SESSION_HINT
    return NoSuchCommit(f"{name} of session '{sid}' has no attempt yet", hint=hint)


class SpawnView(View):
    """The agents that were created, or would be created."""

    def __init__(self, result: SpawnResult, cwd: str, *, dry_run: bool) -> None:
        self.result = result
        self.cwd = cwd
        self.dry_run = dry_run

    @property
    def exit_code(self) -> int:
        return 1 if self.result.hook_errors else 0

    @property
    def changed(self) -> bool:
        return not self.dry_run

    @property
    def diagnostics(self) -> list[str]:
        return warning_lines((*self.result.hook_errors, *self.result.notes))

    @property
    def next_command(self) -> str:
        return command_after(self.result.session.id, str(self.result.state))

    def document(self) -> dict[str, Any]:
        return {
            "session_id": self.result.session.id,
            "state": str(self.result.state),
            "base_commit": self.result.base,
            "dry_run": self.dry_run,
            "spawned": [_created_fields(agent) for agent in self.result.created],
            "present": [agent_fields(branch) for branch in self.result.present],
        }

    def records(self) -> list[Record]:
        head = ("session", self.result.session.id)
        document = self.document()
        return [
            [head, ("outcome", outcome), *make_record(fields)]
            for outcome in ("spawned", "present")
            for fields in document[outcome]
        ]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        if quiet:
            return TextOutput([])
        session = self.result.session
        out = [self._agent_line(agent) for agent in self.result.created]
        err = [] if out else ["nothing to spawn: all agents exist"]
        if out:
            bases = dict.fromkeys(style.abbreviate(agent.base) for agent in self.result.created)
            out.append(f"  Base: {', '.join(bases)}")
        if self.result.state != session.state:
            would = "Would update session" if self.dry_run else "Session"
            out.append(f"{would} {session.id}: {session.state} {style.arrow} {self.result.state}")
        return TextOutput(out, err)

    def _agent_line(self, agent: PlannedAgent) -> str:
        verb = "Would spawn" if self.dry_run else "Spawned"
        path = escape_control(relative_path(agent.path, self.cwd))
        return (
            f"{verb} {agent_name(agent.branch.agent)} in {path} on {short_name(agent.branch.ref)}"
        )


def _created_fields(agent: PlannedAgent) -> dict[str, Any]:
    return {**agent_fields(agent.branch), "path": agent.path, "base": agent.base}
