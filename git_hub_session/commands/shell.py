"""git hub-session shell: start a shell in the worktree of an agent."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.agents.environment import write_environment
from git_hub_session.cli.options import QUIET, Arguments, Usage
from git_hub_session.cli.view import ExitView
from git_hub_session.commands._attempt.arguments import parse_one_attempt
from git_hub_session.commands._attempt.off_branch import warn_if_off_branch
from git_hub_session.errors import HubError
from git_hub_session.programs.foreground import run_in_foreground
from git_hub_session.review.attempt import find_worktree

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context

USAGE = Usage(("shell [<options>] [<id>] <agent>",), (QUIET,), max_arguments=2)


def run(context: Context, args: Arguments) -> ExitView:
    """Start the user's shell with the variables of `exec`, and return its exit status."""
    sid, attempt = parse_one_attempt(context, args, "shell")
    project = context.project
    branch, worktree = find_worktree(*attempt, sid, project)
    warn_if_off_branch(context, sid, attempt.agent)
    with project.store.lock_session(sid) as locked:
        variables = write_environment(locked, locked.read(), branch, project)
    shell = project.environ.get("SHELL") or "/bin/sh"
    environ = {**variables, "PWD": worktree.path}
    try:
        return ExitView(run_in_foreground([shell], worktree.path, environ))
    except OSError as error:
        raise HubError(
            f"cannot run '{shell}': {error.strerror}", hint="set SHELL to the path of a shell"
        ) from None
