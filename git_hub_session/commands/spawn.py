"""git hub-session spawn: a branch and a worktree for each agent."""

from __future__ import annotations

from git_hub_session.context import Context
from git_hub_session.errors import UsageError
from git_hub_session.operations.agents import parse_agent, parse_agents, template_of
from git_hub_session.operations.births import Wish
from git_hub_session.operations.spawn import rehearse, spawn
from git_hub_session.options import DRY_RUN, FORMAT, JOBS, QUIET, Arguments, Option, Usage, jobs
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
    most=1,
)


def run(context: Context, args: Arguments) -> SpawnView:
    """Add the agents that are missing; all of them or none."""
    sid = context.session_to_change(args.word, "spawn")
    wish = _wish(context, args, context.store.read(sid).config.agent_count or MAX_AGENTS)
    dry_run = args.is_set("dry-run")
    spawned = (rehearse if dry_run else spawn)(sid, context, wish)
    return SpawnView(spawned, context.cwd, dry_run)


def _wish(context: Context, args: Arguments, count: int) -> Wish:
    listed, again, base = args.text("agents"), args.text("retry"), args.text("base")
    if listed is not None and again is not None:
        raise UsageError("--agents and --retry exclude each other")
    return Wish(
        parse_agents(listed, count) if listed is not None else (),
        parse_agent(again, count) if again is not None else 0,
        "" if base is None else context.git.commit(base, context.place.git_dir),
        args.text("path") or template_of(context),
        jobs(args),
    )
