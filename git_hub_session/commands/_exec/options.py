"""The options of `exec`. `work` shares those that say how to run the command of an agent."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.agents.exec_options import COMMIT_ALWAYS, COMMIT_SUCCESS, ExecOptions
from git_hub_session.cli.agent_options import parse_agent_commands
from git_hub_session.cli.options import TIMEOUT, Option, parse_timeout
from git_hub_session.cli.retry_options import (
    RETRIES,
    RETRY_DELAY,
    parse_retries,
    parse_retry_delay,
)

if TYPE_CHECKING:
    from git_hub_session.cli.options import Arguments

_COMMIT = Option(
    "--commit",
    "commit the agents' changes: on success (default), or always",
    "<when>",
    choices=(COMMIT_SUCCESS, COMMIT_ALWAYS),
    value_optional=True,
)
RUN_OPTIONS = (TIMEOUT, RETRIES, RETRY_DELAY, _COMMIT)


def parse_run_options(args: Arguments, count: int) -> ExecOptions:
    """Return the command in the arguments and the values of RUN_OPTIONS, or raise UsageError.

    Args:
        count: the number of agents.
    """
    commit = args.value("commit")
    return ExecOptions(
        args.command,
        parse_agent_commands(args, count),
        timeout=parse_timeout(args),
        commit="" if commit is None else commit or COMMIT_SUCCESS,
        retries=parse_retries(args),
        retry_delay=parse_retry_delay(args),
    )
