"""The options of the commands that run workers on executors."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.options import Option
from git_hub_session.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from git_hub_session.cli.options import Arguments

ON = Option(
    "--on",
    "executors that run workers, such as gpu1*2,ssh:host (see the manual)",
    "<executors>",
)
BOOTSTRAP = Option("--bootstrap", "install git hub-session on executors that do not have it")
CANCEL = Option("--cancel", "end the workers of the session on these executors")


def has_executors(args: Arguments) -> bool:
    """Return True if an option starts or ends workers on executors."""
    return args.has(ON.name) or any(args.is_set(each.name) for each in (BOOTSTRAP, CANCEL))


def check_executor_options(args: Arguments, excluded: Iterable[str]) -> None:
    """Raise UsageError for options that exclude each other.

    Args:
        excluded: the names of the options that --on excludes.
    """
    if not args.has(ON.name):
        name = (CANCEL if args.is_set(CANCEL.name) else BOOTSTRAP).name
        raise UsageError(f"--{name} needs the executors", hint="give --on <executors>")
    for name in excluded:
        if args.has(name):
            raise UsageError(f"--{ON.name} and --{name} exclude each other")
    if args.is_set(CANCEL.name) and args.is_set(BOOTSTRAP.name):
        raise UsageError(f"--{CANCEL.name} and --{BOOTSTRAP.name} exclude each other")
    if args.is_set(CANCEL.name) and args.command:
        raise UsageError("--cancel and a command after '--' exclude each other")
