"""git hub-session restore: bring removed worktrees back, with the work that was saved of them."""

from __future__ import annotations

from git_hub_session.context import Context
from git_hub_session.operations.agents import parse_agent, template_of
from git_hub_session.operations.restore import rehearse, restore
from git_hub_session.operations.returns import Wish
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
    most=1,
)


def run(context: Context, args: Arguments) -> RestoreView:
    """Each worktree comes back whole, or not at all; exit 1 if one does not."""
    sid = context.session_to_change(args.word, "restore")
    agent, count = args.text("agent"), context.store.read(sid).config.agent_count
    wish = Wish(
        0 if agent is None else parse_agent(agent, count or MAX_AGENTS),
        args.text("path") or template_of(context),
    )
    dry_run = args.is_set("dry-run")
    restored = (rehearse if dry_run else restore)(sid, context, wish)
    return RestoreView(restored, context.cwd, dry_run)
