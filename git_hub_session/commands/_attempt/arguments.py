"""The session and the attempts that a command line names: `[<id>] <agent> [<agent>]`."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import HubError, UsageError
from git_hub_session.git.ref_names import SessionId, agent_name
from git_hub_session.session.agents import parse_attempt
from git_hub_session.session.model import MAX_AGENTS

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context
    from git_hub_session.cli.options import Arguments


class NamedAttempt(NamedTuple):
    """An attempt by its numbers, as the user names it."""

    agent: int
    attempt: int
    """The number of the attempt, or 0 for the last one."""


class NamedAttempts(NamedTuple):
    """The attempts that a command line names, and their session."""

    session: SessionId
    attempts: tuple[NamedAttempt, ...]


def parse_one_attempt(
    context: Context, args: Arguments, command: str
) -> tuple[SessionId, NamedAttempt]:
    """Return the session and the attempt in `[<id>] <agent>`."""
    named = parse_attempts(context, args, command, most=1)
    return named.session, named.attempts[0]


def parse_attempts(context: Context, args: Arguments, command: str, *, most: int) -> NamedAttempts:
    """Return the session and the attempts in `[<id>] <agent> [<agent>]`.

    Of two words, the first one is the id of a session if there is a session with exactly this id, or
    if the word does not name an agent.

    Args:
        command: the name of the command, for the hint.
        most: the largest number of attempts.

    Raises:
        UsageError: no agent is given, or a word does not name an agent.
        NoSuchSession, AmbiguousId: as Context.find_session.
    """
    words = list(args.arguments)
    if not words:
        raise UsageError("no agent given", hint=f"git hub-session {command} [<id>] agent-2")
    if len(words) == 1 and words[0] in context.project.store.ids():
        raise _no_agent_error(SessionId(words[0]), context, command)
    sid = None
    if len(words) > most or (len(words) > 1 and _names_session(words[0], context)):
        sid = words.pop(0)
    attempts = tuple(NamedAttempt(*parse_attempt(word, MAX_AGENTS)) for word in words)
    return NamedAttempts(context.find_session(sid), attempts)


def _no_agent_error(sid: SessionId, context: Context, command: str) -> UsageError:
    """Return the error for a session without an agent. The hint names the winner."""
    from git_hub_session.report.winner import find_winner

    winner = find_winner(context.project.store.read(sid))
    agent = agent_name(winner.agent if winner else 1)
    return UsageError("no agent given", hint=f"git hub-session {command} {sid} {agent}")


def _names_session(word: str, context: Context) -> bool:
    if word in context.project.store.ids():
        return True
    try:
        parse_attempt(word, MAX_AGENTS)
    except HubError:
        return True
    return False
