"""git hub-session exec: a command for each agent, in its worktree."""

from __future__ import annotations

from git_hub_session.context import Context
from git_hub_session.errors import HubError, UsageError
from git_hub_session.operations.agents import parse_agents
from git_hub_session.operations.execute import ExecOptions, run_for_agents, preview_exec
from git_hub_session.options import (
    DRY_RUN,
    FORMAT,
    QUIET,
    TIMEOUT,
    Arguments,
    Option,
    Usage,
    parse_jobs,
    parse_timeout,
)
from git_hub_session.session import MAX_AGENTS
from git_hub_session.views.exec import ExecView, live_line

USAGE = Usage(
    ("exec [<options>] [<id>] -- <command> [<argument>...]",),
    (
        Option("--agents", "agents to run for, such as 1-3,5 (default: all)", "<list>"),
        Option("-j, --jobs", "number of parallel commands (default: all)", "<number>"),
        TIMEOUT,
        Option("--force", "run even if the agent is marked as running", no_abbreviation=True),
        DRY_RUN,
        QUIET,
        *FORMAT,
    ),
    max_arguments=1,
    takes_command=True,
)


def run(context: Context, args: Arguments) -> ExecView:
    """Run it for all of them side by side; what it prints is shown as it comes, and kept."""
    if not args.command:
        raise UsageError("which command?", hint="git hub-session exec [<id>] -- <command>")
    sid = context.require_session(args.argument, "exec")
    listed = args.value("agents")
    count = context.store.read(sid).config.agent_count or MAX_AGENTS
    wish = ExecOptions(
        args.command,
        parse_agents(listed, count) if listed is not None else (),
        parse_jobs(args),
        parse_timeout(args),
        args.is_set("force"),
    )
    dry_run = args.is_set("dry-run")
    if dry_run:
        executed = preview_exec(sid, context, wish)
    else:
        executed = run_for_agents(sid, context, wish, _LivePrinter(context))
    return ExecView(executed, context.cwd, dry_run)


class _LivePrinter:
    """Shows what is printed, as long as there is somebody to read it: who has turned away ends no agent's work."""

    def __init__(self, context: Context) -> None:
        self._say = context.say
        self._is_heard = True

    def __call__(self, agent: str, line: bytes) -> None:
        if self._is_heard:
            try:
                self._say(live_line(agent, line))
            except (HubError, BrokenPipeError):
                self._is_heard = False
