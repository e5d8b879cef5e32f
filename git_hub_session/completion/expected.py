"""Find the words that are possible next in a command line, from the usage of the command.

A usage line such as "path [<options>] [<id>] <agent>" lists the arguments of the command. The name
of an argument or of an option's value, such as "<id>", is its kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from git_hub_session._typing import NamedTuple
from git_hub_session.cli.options import HELP, Option, Usage

# A part of a usage line: a group in parentheses, or a word with its brackets and dots.
_PART = r"\([^)]*\)(?:\.\.\.)?|\S+"
_MANY = "..."


class Expected(NamedTuple):
    """The words that are possible at the cursor."""

    kinds: tuple[str, ...] = ()
    """Kinds of values, such as "<id>", and literal words, such as "read"."""
    options: tuple[Option, ...] = ()
    """The options that are possible at the cursor."""
    choices: tuple[str, ...] = ()
    """The allowed values of an option."""
    prefix: str = ""
    """The start of the word that is not part of the value: "--format=", or ''."""
    is_command: bool = False
    """True after `--` if the words there are a command to run."""
    arguments: tuple[str, ...] = ()
    """The earlier words that are not options."""


class _Argument(NamedTuple):
    """One argument of a usage line."""

    kinds: tuple[str, ...]
    is_optional: bool
    is_repeated: bool


def find_expected(usage: Usage, words: Sequence[str]) -> Expected:
    """Return what the last of `words` can be.

    Args:
        words: the words after the name of the command.
    """
    options = (*usage.options, HELP)
    *earlier, current = words
    arguments: list[str] = []
    pending: Option | None = None  # the option that takes the next word as its value
    for index, word in enumerate(earlier):
        if pending is not None:
            pending = None
        elif word == "--":
            if usage.takes_command or usage.takes_paths:
                return Expected(("<path>",) * usage.takes_paths, is_command=usage.takes_command)
            arguments += earlier[index + 1 :]
            return Expected(_argument_kinds(usage, arguments), arguments=tuple(arguments))
        elif word.startswith("-") and word != "-":
            pending = _find_pending_option(word, options)
        else:
            arguments.append(word)
    name, equals, _ = current.partition("=")
    if pending is None and equals and name.startswith("--"):
        pending = _find_long(name, options)
        return _value(pending, f"{name}=", arguments) if pending else Expected()
    if pending is not None:
        return _value(pending, "", arguments)
    kinds = () if current.startswith("-") else _argument_kinds(usage, arguments)
    return Expected(kinds, options if current.startswith("-") else (), arguments=tuple(arguments))


def _value(option: Option, prefix: str, arguments: Sequence[str]) -> Expected:
    return Expected((option.value,), (), option.choices, prefix, arguments=tuple(arguments))


def _find_pending_option(word: str, options: Sequence[Option]) -> Option | None:
    """Return the option that takes the next word as its value, or None."""
    if word.startswith("--"):
        option = None if "=" in word else _find_long(word, options)
        return option if option and option.value and not option.value_optional else None
    for index, letter in enumerate(word[1:], start=1):
        option = next((known for known in options if f"-{letter}" in known.spellings), None)
        if option and option.value:
            return option if index == len(word) - 1 else None
    return None


def _find_long(name: str, options: Sequence[Option]) -> Option | None:
    """Return the option with this long spelling, or the only one that starts with it, or None."""
    spellings = {f"--{option.name}": option for option in options if len(option.name) > 1}
    if name in spellings:
        return spellings[name]
    found = [option for spelling, option in spellings.items() if spelling.startswith(name)]
    return found[0] if len(found) == 1 else None


def _argument_kinds(usage: Usage, earlier: Sequence[str]) -> tuple[str, ...]:
    """Return the kinds of the argument after the earlier arguments, over all usage lines."""
    kinds: dict[str, None] = {}
    for line in usage.lines:
        arguments = _parse_line(line, usage.options)
        for start in _positions_after(arguments, earlier):
            for position in _reachable(arguments, start):
                kinds |= dict.fromkeys(arguments[position].kinds)
    return tuple(kinds)


def _positions_after(arguments: Sequence[_Argument], earlier: Iterable[str]) -> set[int]:
    """Return the possible positions of the next argument."""
    positions = {0}
    for word in earlier:
        following = set()
        for start in positions:
            for position in _reachable(arguments, start):
                if _accepts(arguments[position], word):
                    following.add(position if arguments[position].is_repeated else position + 1)
        positions = following
    return positions


def _reachable(arguments: Sequence[_Argument], start: int) -> list[int]:
    """Return the position `start` and those behind optional arguments."""
    positions = []
    for position in range(start, len(arguments)):
        positions.append(position)
        if not arguments[position].is_optional:
            break
    return positions


def _accepts(argument: _Argument, word: str) -> bool:
    return any(kind.startswith("<") or kind == word for kind in argument.kinds)


def _parse_line(line: str, options: Sequence[Option]) -> list[_Argument]:
    """Return the arguments in a usage line. Skip its options and a command after `--`."""
    with_values = {spelling for option in options if option.value for spelling in option.spellings}
    arguments: list[_Argument] = []
    parts = re.findall(_PART, line)[1:]
    while parts:
        part = parts.pop(0)
        if part == "--":
            break
        word = part.strip("[]().").split(" ")[0]
        if word.startswith("-"):
            if word in with_values and parts:
                parts.pop(0)
        elif part != "[<options>]":
            kinds = tuple(re.split(r"\s*\|\s*", part.strip("[]().")))
            arguments.append(
                _Argument(kinds, part.startswith("["), part.rstrip("]").endswith(_MANY))
            )
    return arguments
