"""Ask before the program runs a command or copies files that came with the repository."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import HubError, NotApproved, Refused
from git_hub_session.session.approvals import find_unapproved, refuse_unapproved
from git_hub_session.settings.table import PROJECT_FILE
from git_hub_session.util.shell import quote_word

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context
    from git_hub_session.session.model import Config, Session
    from git_hub_session.settings.table import Setting


def confirm(context: Context, question: str, *, retry: str, refusal: str) -> None:
    """Ask before something that cannot be undone.

    Args:
        retry: the command that does it without a question.
        refusal: the message if the user does not approve it.

    Raises:
        NotApproved: the user cannot answer.
        Refused: the user does not approve it.
    """
    answer = context.reporter.ask(question)
    if answer is None:
        raise NotApproved(
            "cannot ask for confirmation: standard input is not a terminal (use --yes)", hint=retry
        )
    if not answer:
        raise Refused(refusal)


def holdout_approval(directory: str) -> str:
    """Return the text that records the approval of a directory with holdout files, or ''."""
    return f"holdout {directory}" if directory else ""


def ask_holdout_approval(context: Context, session: Session, typed: str | None) -> None:
    """Ask before files that config.yaml names are copied to a place where an attempt reads them.

    Args:
        typed: the directory that the user typed, or None. It approves only itself.

    Raises:
        Refused: the user did not approve the directory.
    """
    directory = session.config.holdout
    text = holdout_approval(directory)
    if typed is not None:
        if text and typed == directory:
            _save_approval(context, text)
        return
    if not text or context.project.approvals.is_approved(text):
        return
    question = f"Copy the files of '{directory}' into the measured worktrees of '{session.id}'?"
    if not context.reporter.ask(question):
        raise NotApproved(
            f"the holdout directory of session '{session.id}' is not approved: '{directory}'",
            hint=f"git hub-session eval {session.id} --holdout {quote_word(directory)}",
        )
    _save_approval(context, text)


def _save_approval(context: Context, *texts: str) -> None:
    """Record the approval of each text. Print one warning if that is not possible."""
    try:
        for text in texts:
            context.project.approvals.approve(text)
    except HubError as error:
        note = (
            "warning: 'git hub-session eval' will ask again, because the approval was not saved:"
            f" {error.message}"
        )
        if error.hint:
            context.reporter.note_with_hint(note, error.hint)
        else:
            context.reporter.note(note)


def ask_approval(
    context: Context, session: Session, command: str, *, is_typed: bool, retry: str = ""
) -> None:
    """Ask before an eval command runs that came with the repository. Record the approval.

    Args:
        is_typed: True if the user typed the command.
        retry: the command that approves it, or '' for `eval` of the session.

    Raises:
        Refused: the user did not approve the command.
    """
    if not is_typed and not context.project.approvals.is_approved(command):
        question = f"Run the eval command of session '{session.id}': {command}?"
        if not context.reporter.ask(question):
            raise NotApproved(
                f"the eval command of session '{session.id}' is not approved: {command}",
                hint=retry or f"git hub-session eval {session.id} --eval {quote_word(command)}",
            )
    _save_approval(context, command)


def ask_project_approval(context: Context, *settings: Setting) -> None:
    """Ask before commands of the file .hubsession run. Record the approval.

    Raises:
        Refused: the user did not approve a command.
    """
    for setting in settings:
        for command in find_unapproved(setting, context.project):
            question = f"Run the command of {setting.key} in '{PROJECT_FILE}': {command}?"
            if not context.reporter.ask(question):
                refuse_unapproved(setting, context.project)
            _save_approval(context, command)


def approve_typed(context: Context, config: Config) -> None:
    """Approve the eval command and the holdout: their author is the user, not the repository."""
    texts = (config.get("eval_cmd"), holdout_approval(config.holdout))
    _save_approval(context, *filter(None, texts))
