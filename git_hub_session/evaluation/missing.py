"""Recognize an eval command that fails because its worktree lacks something."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from itertools import chain

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.errors import Refused
from git_hub_session.evaluation.guard import benchmark_words
from git_hub_session.util.paths import normalize_relative
from git_hub_session.util.shell import quote_word
from git_hub_session.util.text import quote_list

if TYPE_CHECKING:
    from git_hub_session.evaluation.targets import MeasureTarget
    from git_hub_session.evaluation.units import Measurement
    from git_hub_session.session.project import Project

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


def uncommitted_files(command: str, worktree: str, project: Project) -> list[str]:
    """Return the files that the command names, and that only the main worktree has.

    The paths are relative to the caller's directory.

    Args:
        worktree: the worktree in which the command failed.
    """
    top = project.paths.main_worktree
    names = dict.fromkeys(map(normalize_relative, benchmark_words(command)))
    return [
        os.path.relpath(f"{top}/{name}", project.cwd)
        for name in names
        if name and top and os.path.isfile(f"{top}/{name}")
        if not os.path.lexists(f"{worktree}/{name}")
    ]


def find_uncommitted(
    command: str,
    measurements: Mapping[str, Measurement],
    targets: Sequence[MeasureTarget],
    project: Project,
) -> tuple[str, ...]:
    """Return the files that the command names, and that a directory with a failed run lacks."""
    failed = [target for target in targets if measurements[target.name].reason]
    files = (uncommitted_files(command, target.directory, project) for target in failed)
    return tuple(dict.fromkeys(chain.from_iterable(files)))


def uncommitted_notes(files: Sequence[str]) -> list[str]:
    """Return the note about files that the command names and that are not committed."""
    return [f"the eval command names files that are not committed: {quote_list(files)}"] * bool(
        files
    )


def commit_files_command(files: Sequence[str]) -> str:
    """Return the command that adds the files to the branch of the main worktree."""
    paths = " ".join(map(quote_word, files))
    return f"git add --force -- {paths} && git commit -m 'Add the benchmark'"


def refuse_incomplete(
    measurements: Mapping[str, Measurement], directory: str, uncommitted: Sequence[str]
) -> None:
    """Raise IncompleteWorktree if all measurements failed because the same thing is missing.

    Args:
        measurements: the measurements in temporary worktrees, by the name of the target.
        directory: the directory of the logs.
        uncommitted: the files that the command names, and that are not committed.
    """
    missing = {measurement.missing for measurement in measurements.values()}
    if len(missing) != 1 or missing == {""}:
        return
    first = next(iter(measurements))
    message = f"the eval command fails alike in each temporary worktree: {missing.pop()}"
    hint = f"{MISSING_HINT}\nmeasure in the agents' own worktrees with --in-place"
    if uncommitted:
        message += f" (not committed: {quote_list(uncommitted)})"
        hint = commit_files_command(uncommitted)
    raise IncompleteWorktree(message, f"{hint}\nread its output in {directory}/{first}.log")
