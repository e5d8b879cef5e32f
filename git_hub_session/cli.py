"""argv to a command, to a view, to an exit code; the only place that catches HubError."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING

from git_hub_session import __version__
from git_hub_session.commands import COMMANDS
from git_hub_session.context import context_of_process
from git_hub_session.errors import HubError, UsageError
from git_hub_session.options import Arguments, UnknownOption, Usage, parse, usage_text
from git_hub_session.render import Output, complain, fail, say, show, tell

if TYPE_CHECKING:
    from git_hub_session.views import View

INTERRUPTED = 130
BROKEN_PIPE = 141
BUG = 255

# How AgentHub's session_manager.py spells its commands: --status ID, --list, …
_AGENTHUB = {
    "--list": "list",
    "--status": "status",
    "--update": "update",
    "--cleanup": "cleanup",
    "--demo": "demo",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return git's exit code for how it went."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(words)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Nobody reads on: no message. What is left in the buffer must not be tried at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return BROKEN_PIPE
    except Exception:
        from traceback import format_exc

        complain(format_exc())
        return BUG


def _run(words: list[str]) -> int:
    output = Output(format="json") if _wants_json(words) else Output()
    try:
        words = _translated(words)
        if not words or words[0] in ("-h", "--help", "--version"):
            return _about(words[0] if words else "")
        if words[0] not in COMMANDS:
            raise UnknownCommand(words[0])
    except UsageError as error:
        fail(error, output, _overview() if output.format == "text" else "")
        return error.exit_code
    module = import_module(COMMANDS[words[0]].module)
    usage: Usage = module.USAGE
    try:
        args = parse(usage, words[1:])
        if args.is_set("help"):
            say(usage_text(usage))
            return UsageError.exit_code
        output = _output(args)
    except UsageError as error:
        fail(_with_guess(error), output, usage_text(usage) if output.format == "text" else "")
        return error.exit_code
    try:
        note = _unheard if output.quiet else tell
        view: View = module.run(context_of_process(note, say), args)
        show(view, output)
    except BrokenPipeError:
        raise
    except HubError as error:
        fail(error, output)
        return error.exit_code
    except OSError as fault:
        fail(HubError(f"{fault.filename or words[0]}: {fault.strerror or fault}"), output)
        return HubError.exit_code
    return view.exit_code


def _unheard(_text: str) -> None:
    """What is told with -q."""


def _about(word: str) -> int:
    """`git hub-session` alone is a usage error; -h prints the same as an answer, as git's commands do."""
    if word == "--version":
        say(f"git-hub-session version {__version__}\n")
        return 0
    if not word:
        fail(UsageError("which command?"), Output(), _overview())
        return UsageError.exit_code
    say(_overview())
    return UsageError.exit_code if word == "-h" else 0


def _overview() -> str:
    lines = ["usage: git hub-session <command> [<options>]", ""]
    lines += [f"    {name:<10} {command.summary}" for name, command in COMMANDS.items()]
    lines += ["", "'git hub-session <command> -h' shows a command's options,"]
    lines += ["'git help hub-session' the manual."]
    return "\n".join(lines) + "\n"


class UnknownCommand(UsageError):
    """No such command."""

    def __init__(self, word: str) -> None:
        super().__init__(
            f"'{word}' is not a git hub-session command", hint=_guess(word, list(COMMANDS))
        )


def _with_guess(error: UsageError) -> UsageError:
    if isinstance(error, UnknownOption) and not error.hint:
        error.hint = _guess(error.given, error.known)
    return error


def _guess(word: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches  # only somebody who mistyped waits for it

    close = get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else ""


def _wants_json(words: Sequence[str]) -> bool:
    """Whether errors are to be JSON too, even those of the parser."""
    return "--format=json" in words or any(pair == ("--format", "json") for pair in pairwise(words))


def _output(args: Arguments) -> Output:
    format_, nul = args.text("format"), args.is_set("z")
    if nul and format_ in ("text", "json"):
        raise UsageError(f"-z goes with --format=porcelain, not with {format_}")
    return Output(
        "porcelain" if nul else format_ or "text",
        nul,
        "auto" if args.text("color") is None else args.text("color") or "always",
        args.is_set("quiet"),
    )


def _translated(words: list[str]) -> list[str]:
    """AgentHub's spelling as ours: `--format json --status ID` is `status ID --format json`."""
    if not words or not words[0].startswith("--") or words[0] in ("--help", "--version"):
        return words
    options = words[: words.index("--")] if "--" in words else words
    found = [
        (at, *word.partition("="))
        for at, word in enumerate(options)
        if word.partition("=")[0] in _AGENTHUB
    ]
    if not found:
        return words
    if len(found) > 1:
        raise UsageError(f"{found[0][1]} and {found[1][1]} exclude each other")
    at, option, equals, value = found[0]
    rest = words[:at] + ([value] if equals else []) + words[at + 1 :]
    return [_AGENTHUB[option], *rest]
