"""git hub-session path: where an agent's worktree is."""

from __future__ import annotations

from git_hub_session.context import Context
from git_hub_session.errors import HubError, UsageError
from git_hub_session.operations.agents import parse_agent
from git_hub_session.operations.ownership import agent_worktrees
from git_hub_session.options import FORMAT, QUIET, Arguments, Usage
from git_hub_session.session import MAX_AGENTS
from git_hub_session.views.path import PathView
from git_hub_session.worktrees import linked_worktrees

USAGE = Usage(("path [<options>] [<id>] <agent>",), (QUIET, *FORMAT), max_arguments=2)


def run(context: Context, args: Arguments) -> PathView:
    """The worktree of the agent's last attempt that has one; raises HubError where none has."""
    if not args.arguments:
        raise UsageError("which agent?", hint="git hub-session path [<id>] agent-2")
    agent = parse_agent(args.arguments[-1], MAX_AGENTS)
    sid = context.find_session(args.arguments[0] if len(args.arguments) > 1 else None)
    found = agent_worktrees(sid, context, linked_worktrees(context.paths.common_dir)).get(agent)
    if found is None:
        raise HubError(
            f"agent-{agent} of session '{sid}' has no worktree",
            hint=f"'git hub-session status {sid}' shows what there is",
        )
    branch, worktree = found
    if worktree.link_error:  # what lies there may be somebody else's
        from git_hub_session.operations.links import repair_command

        raise HubError(f"'{worktree.path}': {worktree.link_error}", hint=repair_command(worktree))
    return PathView(sid, worktree.path, branch.ref)
