"""Run the agents and their measurements with workers on executors (run --on)."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.measure_options import AUTO
from git_hub_session.commands._executors.host_repository import choose_host_repository
from git_hub_session.commands._executors.options import (
    BOOTSTRAP,
    ON,
    check_executor_options,
    has_executors,
)
from git_hub_session.commands._run.arguments import MEASURE, NONE
from git_hub_session.errors import Refused, UsageError
from git_hub_session.executors.executor import parse_executors, read_user_settings
from git_hub_session.settings.table import HOLDOUT

if TYPE_CHECKING:
    from git_hub_session.cli.context import Context
    from git_hub_session.cli.options import Arguments

EXECUTOR_OPTIONS = (ON, BOOTSTRAP)
_EXCLUDED = ("after", "rounds", "jobs", "budget", "in-place", "judge", "tolerance", "holdout")


def check_run_executors(context: Context, args: Arguments) -> None:
    """Raise an error about --on before anything is created.

    Raises:
        UsageError: options exclude each other, or the list of executors is not valid.
        NoSuchExecutor: the user's own configuration does not define an executor.
        NoRemote: there is no remote to share the session.
        Refused: another machine cannot measure the agents.
    """
    if not has_executors(args):
        return
    check_executor_options(args, _EXCLUDED)
    if args.value("baseline") not in (None, MEASURE, NONE):
        raise UsageError(f"--{ON.name} and '--baseline <number>' exclude each other")
    if args.value("repeat") == AUTO:
        raise UsageError(f"--{ON.name} and '--repeat {AUTO}' exclude each other")
    project = context.project
    executors = parse_executors(args.value(ON.name) or "", read_user_settings(project))
    choose_host_repository(executors, project)
    if project.settings.value(HOLDOUT):
        raise Refused("the holdout files are only on this machine")
