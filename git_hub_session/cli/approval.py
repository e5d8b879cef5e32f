"""Ask before a command runs that came with the repository."""

from __future__ import annotations

from shlex import quote

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import HubError, Refused

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context
    from git_hub_session.session.model import Session


def ask_approval(context: Context, session: Session, command: str, *, is_typed: bool) -> None:
    """Ask before an eval command runs that came with the repository. Record the approval.

    Raises:
        Refused: the user did not approve the command.
    """
    common_dir = context.project.paths.common_dir
    approvals = context.project.approvals
    if not is_typed and not approvals.is_approved(common_dir, command):
        question = f"Run the eval command of session '{session.id}': {command}?"
        if not context.reporter.ask(question):
            raise Refused(
                f"the eval command of session '{session.id}' is not approved: {command}",
                hint=f"git hub-session eval {session.id} --eval {quote(command)}",
            )
    try:
        approvals.approve(common_dir, command)
    except HubError as error:
        context.reporter.note(f"warning: the approval was not saved: {error.message}")
