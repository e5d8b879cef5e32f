"""git hub-session path: print the path of an agent's worktree."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.options import FORMAT, QUIET, Arguments, Usage
from git_hub_session.cli.view import TerminalStyle, TextOutput, View
from git_hub_session.errors import HubError, UsageError
from git_hub_session.git.ref_names import (
    AgentBranch,
    SessionId,
    agent_name,
    attempt_name,
    short_name,
)
from git_hub_session.git.worktrees import linked_worktrees
from git_hub_session.session.agents import parse_attempt, require_agent
from git_hub_session.session.model import MAX_AGENTS
from git_hub_session.util.text import escape_control
from git_hub_session.worktree.owner import attempt_worktrees

if TYPE_CHECKING:
    from git_hub_session._typing import Any
    from git_hub_session.cli.context import Context

USAGE = Usage(("path [<options>] [<id>] <agent>",), (QUIET, *FORMAT), max_arguments=2)


def run(context: Context, args: Arguments) -> PathView:
    """Return the worktree of the attempt, or of the agent's last attempt that has one."""
    if not args.arguments:
        raise UsageError("no agent given", hint="git hub-session path [<id>] agent-2")
    number, attempt = parse_attempt(args.arguments[-1], MAX_AGENTS)
    sid = context.find_session(args.arguments[0] if len(args.arguments) > 1 else None)
    project = context.project
    owned = attempt_worktrees(sid, project, linked_worktrees(project.paths.common_dir))
    worktrees = {
        branch: worktree
        for branch, worktree in owned.items()
        if branch.agent == number and attempt in (0, branch.attempt)
    }
    if not worktrees:
        require_agent(number, project.store.read(sid))
        name = attempt_name(AgentBranch(sid, number, attempt)) if attempt else agent_name(number)
        verb = f"restore {sid} --agent {name}" if attempt else f"status {sid}"
        raise HubError(f"{name} of session '{sid}' has no worktree", hint=f"git hub-session {verb}")
    branch, worktree = [*worktrees.items()][-1]
    # A directory without a valid link may belong to another repository.
    if worktree.link_error:
        from git_hub_session.worktree.repair_commands import repair_command

        raise HubError(f"'{worktree.path}': {worktree.link_error}", hint=repair_command(worktree))
    return PathView(sid, worktree.path, branch.ref)


class PathView(View):
    """The absolute path of an agent's worktree, and the full ref of its branch."""

    def __init__(self, session: SessionId, path: str, branch: str) -> None:
        self.session = session
        self.path = path
        self.branch = branch

    def document(self) -> dict[str, Any]:
        return {"session_id": self.session, "branch": short_name(self.branch), "path": self.path}

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        # A terminal gets no control characters. `cd "$(git hub-session path agent-2)"` gets the
        # exact bytes.
        return TextOutput([self.path if style.columns is None else escape_control(self.path)])
