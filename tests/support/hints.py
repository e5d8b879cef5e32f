"""Hints: the lines in the output of a command that say how to continue.

Each hint of the program is typed by a test: the test builds the situation, takes the hint from the
output, does what the hint says, and then the command succeeds. `types` names the hints of a test.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable
from typing import NamedTuple

import pytest

from tests.support.hub import Hub, Result

types = pytest.mark.types
"""The mark of a test that types hints. Its arguments are their templates."""
followed: list[str] = []
"""The hints that the present test has typed or followed."""


def type_hint(hub: Hub, line: str, *, code: int = 0) -> Result:
    """Run the command of a hint in a shell, as a user would."""
    result = hub.call("sh", "-c", line)
    assert result.code == code, (line, result)
    follow_hint(line)
    return result


def follow_hint(line: str) -> None:
    """Note that the test has done what a hint says."""
    followed.append(line)


def hints(result: Result) -> list[str]:
    """Return the hints on both streams, and the commands for a manual fix that `doctor` prints."""
    lines = (line.strip() for line in (result.out + result.err).splitlines())
    matches = (re.fullmatch("(?:hint|manual fix): (.*)", line) for line in lines)
    return [match[1] for match in matches if match]


def match_hint(template: str, line: str) -> re.Match[str] | None:
    """Return the match of a line with a template, in which `{}` is any text."""
    return re.fullmatch("(.*?)".join(map(re.escape, template.split("{}"))), line, re.DOTALL)


def find_hint(result: Result, template: str) -> str:
    """Return the only hint of a result that matches a template."""
    found = [line for line in dict.fromkeys(hints(result)) if match_hint(template, line)]
    assert len(found) == 1, (template, result)
    return found[0]


class Case(NamedTuple):
    """A situation with a hint, and what a user does then."""

    template: str
    command: str
    """The words after `git hub-session`, as in a shell. The command fails, or prints the hint."""
    action: str = "{0}"
    """The shell command that does what the hint says: {0} is the hint, and {1}, {2} and so on are
    the inserted values of the template."""
    situation: Callable[[Hub], object] | str = ""
    """The function or the shell commands (one in each line) that create the situation."""
    then: str | None = ""
    """The words that succeed afterwards, by default the command. None if the action is enough."""


def corrected(
    template: str, command: str, action: str, situation: Callable[[Hub], object] | str = ""
) -> Case:
    """Return a case in which the action is the corrected command."""
    return Case(template, command, f"git hub-session {action}", situation, then=None)


def cases(*rows: Case) -> pytest.MarkDecorator:
    """Return the parametrization of a test with cases. Each case is marked with its template."""
    marked = [
        pytest.param(row, marks=types(row.template), id=f"{row.template} ({row.command})")
        for row in rows
    ]
    return pytest.mark.parametrize("case", marked)


def check_case(hub: Hub, case: Case) -> None:
    """Build the situation, follow the hint, and check that the command then succeeds."""
    if callable(case.situation):
        case.situation(hub)
    else:
        for command in case.situation.splitlines():
            run_shell(hub, command)
    line = find_hint(hub.run(*shlex.split(case.command)), case.template)
    match = match_hint(case.template, line)
    assert match
    run_shell(hub, case.action.format(line, *match.groups()))
    follow_hint(line)
    if case.then is not None:
        again = hub.run(*shlex.split(case.then or case.command))
        assert again.code == 0, (line, again)
        assert line not in hints(again)


def run_shell(hub: Hub, command: str) -> Result:
    """Run a shell command, which must succeed."""
    if command.startswith("git hub-session ") and not set(command) & set("|&;<>$`(){}*~#\n"):
        result = hub.run(*shlex.split(command)[2:])  # a shell would not change the words
    else:
        result = hub.call("sh", "-c", command)
    assert result.code == 0, (command, result)
    return result


def missing_hints(templates: Iterable[str]) -> list[str]:
    """Return the templates of which the present test has followed no hint."""
    return [
        template
        for template in templates
        if not any(match_hint(template, line) for line in followed)
    ]
