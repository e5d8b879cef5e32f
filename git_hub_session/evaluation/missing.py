"""Recognize an eval command that fails because its worktree lacks something."""

from __future__ import annotations

import re
from collections.abc import Mapping

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import Refused

if TYPE_CHECKING:
    from git_hub_session.evaluation.units import Measurement

# The exit status of a shell for a command that it cannot execute, or cannot find.
_SHELL_ERRORS = (126, 127)
_MAX_NAME = 200
_DIRECTORIES = r"(?:node_modules|\.?venv|site-packages|vendor|target|build|dist)"
_MISSING = (
    rf"(No module named [^\s;]{{1,{_MAX_NAME}}})",  # Python
    rf"(Cannot find (?:module|package) [^\s;]{{1,{_MAX_NAME}}})",  # Node
    rf"(cannot load such file -- [^\s()]{{1,{_MAX_NAME}}})",  # Ruby
    rf"({_DIRECTORIES}(?:/[\w@.+-]{{1,80}}){{0,9}})['\"]?: (?:No such file|not found|cannot open)",
    rf"No such file or directory:? ['\"](?:[^'\"\n]{{0,{_MAX_NAME}}}/)?({_DIRECTORIES})[/'\"]",
)
MISSING_HINT = (
    "set hubsession.setup to the command that prepares a new worktree\n"
    "list the ignored files that a new worktree needs in .worktreeinclude"
)


class IncompleteWorktree(Refused):
    """The eval command fails alike in all temporary worktrees: they lack something."""

    code = "incomplete-worktree"


def find_missing(status: int, output: str) -> str:
    """Return the error of a failed command that misses something, such as "No module named 'x'".

    Return '' if nothing is missing.

    Args:
        status: the exit status of the command.
        output: the end of its output.
    """
    found = [match[1] for match in (re.search(pattern, output) for pattern in _MISSING) if match]
    if found:
        return found[0]
    return f"exit code {status}" if status in _SHELL_ERRORS else ""


def is_shell_error(missing: str) -> bool:
    """Return True if a shell could not execute the command.

    Args:
        missing: the result of find_missing().
    """
    return missing in {f"exit code {status}" for status in _SHELL_ERRORS}


def refuse_incomplete(measurements: Mapping[str, Measurement], directory: str) -> None:
    """Raise IncompleteWorktree if all measurements failed because the same thing is missing.

    Args:
        measurements: the measurements in temporary worktrees, by the name of the target.
        directory: the directory of the logs.
    """
    missing = {measurement.missing for measurement in measurements.values()}
    if len(missing) != 1 or missing == {""}:
        return
    first = next(iter(measurements))
    raise IncompleteWorktree(
        f"the eval command fails alike in each temporary worktree: {missing.pop()}",
        hint=f"{MISSING_HINT}\nmeasure in the agents' own worktrees with --in-place\n"
        f"read its output in {directory}/{first}.log",
    )
