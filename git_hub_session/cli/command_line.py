"""Write the command line that continues a command, with the options of the user."""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.util.shell import quote_word

if TYPE_CHECKING:
    from git_hub_session.cli.options import Arguments, Option


def command_line(
    verb: str,
    options: Sequence[Option],
    args: Arguments,
    *,
    arguments: Sequence[str] = (),
    command: Sequence[str] = (),
) -> str:
    """Return the shell command `git hub-session <verb>` with the options that `args` has.

    Args:
        options: the options to repeat if they are set.
        arguments: the words after the options.
        command: the command after `--`.
    """
    words = ["git", "hub-session", verb]
    for option in options:
        words += _option_words(option, args)
    words += arguments
    if command:
        words += ["--", *command]
    return " ".join(map(quote_word, words))


def _option_words(option: Option, args: Arguments) -> list[str]:
    """Return the words of an option, or [] if it is not set."""
    flag = f"--{option.name}" if len(option.name) > 1 else f"-{option.name}"
    if not option.value:
        return [flag] if args.is_set(option.name) else []
    value = args.value(option.name)
    if option.value_optional and value is not None:
        return [f"{flag}={value}" if value else flag]
    values = args.values(option.name) if option.repeatable else (value,)
    return [word for value in values if value is not None for word in (flag, value)]


def continue_lines(commands: Sequence[str]) -> list[str]:
    """Return the lines that tell the user to run these commands, in this order."""
    labels = ["continue with", *["then"] * (len(commands) - 1)]
    return [f"{label}: {command}" for label, command in zip(labels, commands, strict=False)]


def replace_line(text: str, old: str, new: str) -> str:
    """Return the text with each line that is `old` replaced with `new`."""
    return "\n".join(new if line == old else line for line in text.splitlines())
