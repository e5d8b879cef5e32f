"""Read the executors: command prefixes that start workers elsewhere.

They are in the user's own configuration. The repository's configuration and the file .hubsession do
not count: an agent can write there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from git_hub_session._typing import TYPE_CHECKING, NamedTuple
from git_hub_session.errors import HubError, UsageError
from git_hub_session.settings.table import EXECUTOR_KEYS, executor_key
from git_hub_session.util.numbers import parse_int
from git_hub_session.util.shell import quote_word

if TYPE_CHECKING:
    from git_hub_session.session.project import Project

SSH = "ssh:"
"""The start of the name of an executor that connects to a host with ssh."""
SLURM = "slurm"
"""The name of the executor that submits jobs to Slurm, unless the user gives it a command."""
MAX_WORKERS = 999
"""The largest number of workers of an executor."""
_MIXED_HINT = f"start one command with --on {SLURM}, and one with the other executors"
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_HOST = r"(?:[A-Za-z0-9_][A-Za-z0-9._-]*@)?[A-Za-z0-9][A-Za-z0-9._:-]*"
_USER_SCOPES = ("system", "global", "command")
_LIST = ("config", "-z", "--show-scope", "--show-origin", "--list")


class NoSuchExecutor(HubError):
    """An executor that the user's own configuration does not define."""

    code = "no-such-executor"


class Executor(NamedTuple):
    """A place where workers run."""

    name: str
    command: str
    """The command prefix in the syntax of sh, or '' to connect to `host` with ssh."""
    workers: int
    """The number of parallel workers, or 0 for any number of jobs of Slurm."""
    path: str = ""
    """The directory of the clone at the far end, or '' for the default."""
    setup: str = ""
    """The shell command that runs in the clone before each worker, or ''."""
    remote: str = ""
    """The URL of the shared remote as the far end sees it, or '' for the URL here."""
    options: str = ""
    """The options for `sbatch`, in the syntax of sh."""

    @property
    def is_slurm(self) -> bool:
        """True if the executor submits jobs to Slurm."""
        return self.name == SLURM and not self.command

    @property
    def host(self) -> str:
        """The host of an executor without a command."""
        return self.name.removeprefix(SSH)


class UserSettings(NamedTuple):
    """The settings of the user, and those of the repository that count for no executor."""

    values: Mapping[str, str]
    origins: Mapping[str, str]
    """The origins of the settings that only the repository has, such as "file:.git/config"."""


def read_user_settings(project: Project) -> UserSettings:
    """Return git's settings of the system, of the user and of the command line.

    git itself names the scope: a file that the repository's configuration includes belongs to the
    repository.
    """
    fields = project.git.run(_LIST).decode("utf-8", "replace").split("\0")[:-1]
    values: dict[str, str] = {}
    origins: dict[str, str] = {}
    for scope, origin, text in zip(fields[::3], fields[1::3], fields[2::3], strict=True):
        name, _, value = text.partition("\n")
        if scope in _USER_SCOPES:
            values[name] = value
        else:
            origins[name] = origin
    return UserSettings(values, origins)


def parse_executors(text: str, settings: UserSettings) -> list[Executor]:
    """Return the executors in a list such as "gpu1*2,ssh:host".

    Raises:
        UsageError: the list is not valid.
        NoSuchExecutor: the user's own configuration does not define an executor.
        HubError: a setting has a wrong value.
    """
    executors = [_parse_executor(word.strip(), settings) for word in text.split(",")]
    for executor in executors:
        if [each.name for each in executors].count(executor.name) > 1:
            raise UsageError(f"executor '{executor.name}' is given twice")
    if len(executors) > 1 and any(executor.is_slurm for executor in executors):
        raise UsageError(f"'{SLURM}' and other executors exclude each other", hint=_MIXED_HINT)
    return executors


def _parse_executor(word: str, settings: UserSettings) -> Executor:
    name, star, number = word.partition("*")
    if not re.fullmatch(f"{_NAME}|{SSH}{_HOST}", name):
        raise UsageError(
            f"not an executor: '{word}'", hint="--on takes names such as gpu1,ssh:host"
        )
    workers = _parse_workers(number) if star else None
    if star and not workers:
        raise UsageError(f"not a number of workers: '{word}'", hint="use 1 or more, such as gpu1*2")
    found = {key: settings.values.get(executor_key(name, key), "") for key in EXECUTOR_KEYS}
    if not found["command"] and name != SLURM and not name.startswith(SSH):
        raise _missing_error(name, settings)
    if name == SLURM and not found["command"] and not workers and not found["slots"]:
        workers = 0
    return Executor(
        name,
        found["command"],
        _configured_workers(name, found["slots"]) if workers is None else workers,
        found["path"],
        found["setup"],
        found["remote"],
        found["options"],
    )


def _parse_workers(text: str) -> int | None:
    return parse_int(text, MAX_WORKERS)


def _configured_workers(name: str, text: str) -> int:
    number = _parse_workers(text or "1")
    if not number:
        key = executor_key(name, "slots")
        raise HubError(
            f"bad value for {key}: '{text}'", hint=f"git config --global {quote_word(key)} 1"
        )
    return number


def _missing_error(name: str, settings: UserSettings) -> NoSuchExecutor:
    key = executor_key(name, "command")
    hint = f"git config --global {key} {quote_word(f'ssh {name}')}"
    origin = settings.origins.get(key, "").removeprefix("file:")
    if origin:
        message = f"{key} is set in '{origin}', but only your own configuration can set it"
        return NoSuchExecutor(message, hint=hint)
    return NoSuchExecutor(f"no such executor: '{name}'", hint=hint)
