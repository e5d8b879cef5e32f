"""git hub-session spawn: a branch and a worktree for each agent."""

from __future__ import annotations

from git_hub_session.context import Context
from git_hub_session.errors import UsageError
from git_hub_session.operations.agents import parse_agent, parse_agents, worktree_template
from git_hub_session.operations.births import SpawnOptions
from git_hub_session.operations.spawn import preview_spawn, spawn_agents
from git_hub_session.options import (
    DRY_RUN,
    FORMAT,
    JOBS,
    QUIET,
    Arguments,
    Option,
    Usage,
    parse_jobs,
)
from git_hub_session.session import MAX_AGENTS
from git_hub_session.views.spawn import SpawnView

USAGE = Usage(
    ("spawn [<options>] [<id>]",),
    (
        Option("--agents", "agents to create, such as 1-3,5 (default: all)", "<list>"),
        Option("--retry", "create the next attempt of this agent", "<agent>"),
        Option("--base", "commit to start from (default: the base branch)", "<commit>"),
        Option("--path", "path template (default: hubsession.worktreePath)", "<template>"),
        JOBS,
        DRY_RUN,
        QUIET,
        *FORMAT,
    ),
    max_arguments=1,
)


def run(context: Context, args: Arguments) -> SpawnView:
    """Add the agents that are missing; all of them or none."""
    sid = context.require_session(args.argument, "spawn")
    wish = _parse_options(context, args, context.store.read(sid).config.agent_count or MAX_AGENTS)
    dry_run = args.is_set("dry-run")
    spawned = (preview_spawn if dry_run else spawn_agents)(sid, context, wish)
    return SpawnView(spawned, context.cwd, dry_run)


def _parse_options(context: Context, args: Arguments, count: int) -> SpawnOptions:
    listed, again, base = args.value("agents"), args.value("retry"), args.value("base")
    if listed is not None and again is not None:
        raise UsageError("--agents and --retry exclude each other")
    return SpawnOptions(
        parse_agents(listed, count) if listed is not None else (),
        parse_agent(again, count) if again is not None else 0,
        "" if base is None else context.git.resolve_commit(base, context.paths.git_dir),
        args.value("path") or worktree_template(context),
        parse_jobs(args),
    )
