"""git hub-session restore: bring removed worktrees back, with the work that was saved of them."""

from __future__ import annotations

from git_hub_session.context import Context
from git_hub_session.operations.agents import parse_agent, worktree_template
from git_hub_session.operations.restore import preview_restore, restore_worktrees
from git_hub_session.operations.returns import RestoreOptions
from git_hub_session.options import DRY_RUN, FORMAT, QUIET, Arguments, Option, Usage
from git_hub_session.session import MAX_AGENTS
from git_hub_session.views.restore import RestoreView

USAGE = Usage(
    ("restore [<options>] [<id>]",),
    (
        Option("--agent", "restore only this agent (default: all)", "<agent>"),
        Option("--path", "path template (default: hubsession.worktreePath)", "<template>"),
        DRY_RUN,
        QUIET,
        *FORMAT,
    ),
    max_arguments=1,
)


def run(context: Context, args: Arguments) -> RestoreView:
    """Each worktree comes back whole, or not at all; exit 1 if one does not."""
    sid = context.require_session(args.argument, "restore")
    agent, count = args.value("agent"), context.store.read(sid).config.agent_count
    wish = RestoreOptions(
        0 if agent is None else parse_agent(agent, count or MAX_AGENTS),
        args.value("path") or worktree_template(context),
    )
    dry_run = args.is_set("dry-run")
    restored = (preview_restore if dry_run else restore_worktrees)(sid, context, wish)
    return RestoreView(restored, context.cwd, dry_run)
