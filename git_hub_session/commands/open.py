"""git hub-session open: open the worktree of an agent in an editor."""

from __future__ import annotations

import os

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.options import QUIET, Arguments, Usage
from git_hub_session.cli.view import ExitView
from git_hub_session.commands._attempt.arguments import parse_one_attempt
from git_hub_session.commands._attempt.off_branch import warn_if_off_branch
from git_hub_session.errors import GitFailed, HubError
from git_hub_session.git.environment import strip_local_variables
from git_hub_session.programs.foreground import run_in_foreground
from git_hub_session.review.attempt import find_worktree
from git_hub_session.settings.table import EDITOR

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context
    from git_hub_session.session.project import Project

USAGE = Usage(("open [<options>] [<id>] <agent>",), (QUIET,), max_arguments=2)


def run(context: Context, args: Arguments) -> ExitView:
    """Open the worktree in the user's editor, and return the exit status of the editor."""
    sid, attempt = parse_one_attempt(context, args, "open")
    project = context.project
    _, worktree = find_worktree(*attempt, sid, project)
    warn_if_off_branch(context, sid, attempt.agent)
    editor = _find_editor(project)
    environ = {**strip_local_variables(project.environ), "PWD": worktree.path}
    # As git does, let a shell split the command into words.
    arguments = ["/bin/sh", "-c", f'{editor} "$@"', editor, worktree.path]
    return ExitView(run_in_foreground(arguments, worktree.path, environ))


def _find_editor(project: Project) -> str:
    """Return the command of hubsession.editor, or else the editor of git."""
    own = project.settings.value(EDITOR)
    if own:
        return own
    try:
        return os.fsdecode(project.git.run(["var", "GIT_EDITOR"])).removesuffix("\n")
    except GitFailed as error:
        reason = error.reason.removeprefix("fatal: ")
        hint = "git config hubsession.editor <command>"
        raise HubError(f"git names no editor: {reason}", hint=hint) from error
