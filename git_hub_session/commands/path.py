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

USAGE = Usage(("path [<options>] [<id>] <agent>",), (QUIET, *FORMAT), most=2)


def run(context: Context, args: Arguments) -> PathView:
    """The worktree of the agent's last attempt that has one; raises HubError where none has."""
    if not args.words:
        raise UsageError("which agent?", hint="git hub-session path [<id>] agent-2")
    agent = parse_agent(args.words[-1], MAX_AGENTS)
    sid = context.session_to_look_at(args.words[0] if len(args.words) > 1 else None)
    found = agent_worktrees(sid, context, linked_worktrees(context.place.common_dir)).get(agent)
    if found is None:
        raise HubError(
            f"agent-{agent} of session '{sid}' has no worktree",
            hint=f"'git hub-session status {sid}' shows what there is",
        )
    branch, worktree = found
    if worktree.fault:  # what lies there may be somebody else's
        from git_hub_session.operations.links import way_back

        raise HubError(f"'{worktree.path}': {worktree.fault}", hint=way_back(worktree))
    return PathView(sid, worktree.path, branch.ref)
