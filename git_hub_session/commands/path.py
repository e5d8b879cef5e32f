"""git hub-session path: where an agent's worktree is."""

from __future__ import annotations

from git_hub_session._typing import Any, NamedTuple
from git_hub_session.cli.context import Context
from git_hub_session.cli.options import FORMAT, QUIET, Arguments, Usage
from git_hub_session.cli.view import Record, TerminalStyle, TextOutput, make_record
from git_hub_session.errors import HubError, UsageError
from git_hub_session.git.ref_names import SessionId, short_name
from git_hub_session.git.worktrees import linked_worktrees
from git_hub_session.session.agents import parse_agent
from git_hub_session.session.model import MAX_AGENTS
from git_hub_session.util.text import escape_control
from git_hub_session.worktree.owner import agent_worktrees

USAGE = Usage(("path [<options>] [<id>] <agent>",), (QUIET, *FORMAT), max_arguments=2)


def run(context: Context, args: Arguments) -> PathView:
    """The worktree of the agent's last attempt that has one; raises HubError where none has."""
    if not args.arguments:
        raise UsageError("which agent?", hint="git hub-session path [<id>] agent-2")
    agent = parse_agent(args.arguments[-1], MAX_AGENTS)
    sid = context.find_session(args.arguments[0] if len(args.arguments) > 1 else None)
    found = agent_worktrees(
        sid, context.project, linked_worktrees(context.project.paths.common_dir)
    ).get(agent)
    if found is None:
        raise HubError(
            f"agent-{agent} of session '{sid}' has no worktree",
            hint=f"'git hub-session status {sid}' shows what there is",
        )
    branch, worktree = found
    if worktree.link_error:  # what lies there may be somebody else's
        from git_hub_session.worktree.repair_commands import repair_command

        raise HubError(f"'{worktree.path}': {worktree.link_error}", hint=repair_command(worktree))
    return PathView(sid, worktree.path, branch.ref)


class PathView(NamedTuple):
    """The worktree of an agent, absolute, and the full ref of its branch."""

    session: SessionId
    path: str
    branch: str
    exit_code: int = 0
    changed: bool = False
    diagnostics: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        return {"session_id": self.session, "branch": short_name(self.branch), "path": self.path}

    def records(self) -> list[Record]:
        return [make_record(self.document())]

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        # For `cd "$(git hub-session path agent-2)"`: a terminal alone is shielded from what is in it.
        return TextOutput([self.path if style.columns is None else escape_control(self.path)])
