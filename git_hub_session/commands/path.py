"""git hub-session path: print the path of an agent's worktree."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.options import FORMAT, QUIET, Arguments, Usage
from git_hub_session.cli.view import TerminalStyle, TextOutput, View
from git_hub_session.commands._attempt.arguments import parse_one_attempt
from git_hub_session.commands._attempt.off_branch import warn_if_off_branch
from git_hub_session.git.ref_names import SessionId, short_name
from git_hub_session.review.attempt import find_worktree
from git_hub_session.util.text import escape_control

if TYPE_CHECKING:
    from git_hub_session._typing import Any
    from git_hub_session.cli.context import Context
    from git_hub_session.worktree.reattach import OffBranchWork

USAGE = Usage(("path [<options>] [<id>] <agent>",), (QUIET, *FORMAT), max_arguments=2)


def run(context: Context, args: Arguments) -> PathView:
    """Return the worktree of the attempt, or of the agent's last attempt that has one."""
    sid, attempt = parse_one_attempt(context, args, "path")
    project = context.project
    branch, worktree = find_worktree(*attempt, sid, project)
    works = warn_if_off_branch(context, sid, attempt.agent)
    work = next((work for work in works if work.branch == branch), None)
    return PathView(sid, worktree.path, branch.ref, work)


class PathView(View):
    """The absolute path of an agent's worktree, and the full ref of its branch."""

    wraps = False

    def __init__(
        self, session: SessionId, path: str, branch: str, off_branch: OffBranchWork | None
    ) -> None:
        self.session = session
        self.path = path
        self.branch = branch
        self.off_branch = off_branch

    def document(self) -> dict[str, Any]:
        return {
            "session_id": self.session,
            "branch": short_name(self.branch),
            "path": self.path,
            "off_branch": self.off_branch.reason if self.off_branch else None,
            "hint": self.off_branch.hint if self.off_branch else None,
        }

    def lines(self, style: TerminalStyle, *, quiet: bool) -> TextOutput:
        # A terminal gets no control characters. `cd "$(git hub-session path agent-2)"` gets the
        # exact bytes.
        return TextOutput([self.path if style.columns is None else escape_control(self.path)])
