"""argv to a command, to a view, to an exit code; the only place that catches HubError."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from git_hub_session import __version__
from git_hub_session._typing import TYPE_CHECKING, NoReturn
from git_hub_session.cli.context import process_context
from git_hub_session.cli.options import (
    Arguments,
    UnknownOption,
    Usage,
    format_usage,
    parse_arguments,
)
from git_hub_session.cli.output import (
    OutputOptions,
    report_bug,
    report_error,
    write_stderr_line,
    write_stdout,
    write_view,
)
from git_hub_session.cli.reporter import make_reporter
from git_hub_session.commands import COMMANDS
from git_hub_session.errors import HubError, UsageError
from git_hub_session.system.signals import TERMINATION_SIGNALS

if TYPE_CHECKING:
    from git_hub_session.cli.view import View


BUG = 255

# How AgentHub's session_manager.py spells its commands: --status ID, --list, …
_AGENTHUB = {
    "--list": "list",
    "--status": "status",
    "--update": "update",
    "--cleanup": "cleanup",
    "--demo": "demo",
}


class TerminatedBySignal(BaseException):
    """A signal asks us to end: what is on the way out (locks, files written aside) is tidied up."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class LibraryMissing(HubError):
    """Something that is installed along with the package is not there."""

    code = "library-missing"


def run_and_exit() -> NoReturn:
    """The process that is git-hub-session: `main`, and its end.

    It ends by the signal that ended it, so that a shell sees 130 for ^C, 141 for a closed pipe.
    The interpreter is not taken apart, which takes as long as the work of a short command:
    nothing is buffered (see render), and what holds files and locks has let go of them.
    """
    try:
        os._exit(main())  # in here, for a signal between the answer and the end
    except TerminatedBySignal as ended:
        _exit_by_signal(ended.number)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return git's exit code for how it went; a signal raises `Ended`."""
    # A command is over before there is garbage worth collecting; looking for it would take a
    # third of the time in which thousands of sessions are listed.
    gc.disable()
    words = list(sys.argv[1:] if argv is None else argv)
    _reopen_closed_streams()
    _start_trace(words)
    code = _run_guarded(words)
    sys.audit("git_hub_session.exit", code)
    return code


def _start_trace(words: list[str]) -> None:
    wanted = os.environ.get("GIT_HUB_SESSION_TRACE")
    if wanted:
        from git_hub_session.system.trace import start_trace

        for line in start_trace(wanted, words):
            write_stderr_line(line)


def _run_guarded(words: list[str]) -> int:
    try:
        for number in TERMINATION_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _raise_terminated)
        return _run_command(words)
    except BrokenPipeError:
        _exit_by_signal(signal.SIGPIPE)  # nobody reads on: no message
    except HubError as error:
        report_error(error, OutputOptions())
        return error.exit_code
    except Exception:
        from traceback import format_exc

        report_bug(format_exc())
        return BUG


def _raise_terminated(number: int, _frame: FrameType | None) -> NoReturn:
    for other in TERMINATION_SIGNALS:
        # The way out is short, and taken once. Not SIG_IGN: of a signal that is on its way
        # already Python would then say on standard error that it ignores it.
        signal.signal(other, _ignore_signal)
    raise TerminatedBySignal(number)


def _ignore_signal(_number: int, _frame: FrameType | None) -> None:
    """A second signal, while the first is obeyed."""


def _exit_by_signal(number: int) -> NoReturn:
    sys.audit("git_hub_session.exit", -number)
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
    os._exit(128 + number)  # where the signal is blocked


def _reopen_closed_streams() -> None:
    """Closed standard streams lead to /dev/null, as in git: a file of ours must not get their number."""
    if None in (sys.stdin, sys.stdout, sys.stderr):
        fd = os.open(os.devnull, os.O_RDWR)
        while fd < 2:
            fd = os.dup(fd)
        if fd > 2:
            os.close(fd)


def _run_command(words: list[str]) -> int:
    output = OutputOptions(format="json") if _wants_json(words) else OutputOptions()
    try:
        words = _translate_agenthub_options(words)
        if not words or words[0] in ("-h", "--help", "--version"):
            return _print_overview(words[0] if words else "")
        if words[0] not in COMMANDS:
            raise _unknown_command(words[0])
    except UsageError as error:
        report_error(error, output, _format_overview() if output.format == "text" else "")
        return error.exit_code
    # Not importlib: it loads `warnings`, and both take as long as the command itself.
    module = __import__(COMMANDS[words[0]].module, fromlist=["run"])
    usage: Usage = module.USAGE
    try:
        args = parse_arguments(usage, words[1:])
        if args.is_set("help"):
            write_stdout(format_usage(usage))
            return UsageError.exit_code
        output = _parse_output_options(args)
    except UsageError as error:
        report_error(
            _with_suggestion(error), output, format_usage(usage) if output.format == "text" else ""
        )
        return error.exit_code
    try:
        view: View = module.run(process_context(make_reporter(output)), args)
        write_view(view, output)
    except BrokenPipeError:
        raise
    except HubError as error:
        report_error(error, output)
        return error.exit_code
    except ModuleNotFoundError as fault:
        if (fault.name or "").startswith(__package__):
            raise
        report_error(_library_missing(fault), output)
        return LibraryMissing.exit_code
    except (OSError, MemoryError) as fault:
        report_error(_system_error(fault, words[0]), output)
        return HubError.exit_code
    return view.exit_code


def _system_error(fault: OSError | MemoryError, command: str) -> HubError:
    if isinstance(fault, MemoryError):
        return HubError("out of memory")
    return HubError(f"{fault.filename or command}: {fault.strerror or fault}")


def _library_missing(fault: ModuleNotFoundError) -> LibraryMissing:
    return LibraryMissing(
        f"cannot load '{fault.name}'",
        hint=f"'{sys.executable}' has no such module: 'make install' or pip brings all that is needed",
    )


def _print_overview(word: str) -> int:
    """`git hub-session` alone is a usage error; -h prints the same as an answer, as git's commands do."""
    if word == "--version":
        write_stdout(f"git-hub-session version {__version__}\n")
        return 0
    if not word:
        report_error(UsageError("which command?"), OutputOptions(), _format_overview())
        return UsageError.exit_code
    write_stdout(_format_overview())
    return UsageError.exit_code if word == "-h" else 0


def _format_overview() -> str:
    lines = ["usage: git hub-session <command> [<options>]", ""]
    lines += [f"    {name:<10} {command.summary}" for name, command in COMMANDS.items()]
    lines += ["", "Run 'git hub-session <command> -h' for the options of a command,"]
    lines += ["or 'git help hub-session' for the manual."]
    return "\n".join(lines) + "\n"


def _unknown_command(word: str) -> UsageError:
    if word.startswith("-"):
        hint = _suggest(word.partition("=")[0], [*_AGENTHUB, "--version"])
        return UsageError(f"unknown option '{word}' before the command", hint=hint)
    return UsageError(
        f"'{word}' is not a git hub-session command", hint=_suggest(word, [*COMMANDS])
    )


def _with_suggestion(error: UsageError) -> UsageError:
    if isinstance(error, UnknownOption) and not error.hint:
        error.hint = _suggest(error.given, error.known)
    return error


def _suggest(word: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches  # only somebody who mistyped waits for it

    close = get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else ""


def _wants_json(words: Sequence[str]) -> bool:
    """Whether errors are to be JSON too, even those of the parser: the last --format says."""
    options = list(words[: words.index("--")]) if "--" in words else list(words)
    formats = [
        word.partition("=")[2] if "=" in word else "".join(options[at + 1 : at + 2])
        for at, word in enumerate(options)
        if word.partition("=")[0] == "--format"
    ]
    return formats[-1:] == ["json"]


def _parse_output_options(args: Arguments) -> OutputOptions:
    format_, nul = args.value("format"), args.is_set("z")
    if nul and format_ in ("text", "json"):
        raise UsageError(f"-z goes with --format=porcelain, not with {format_}")
    return OutputOptions(
        "porcelain" if nul else format_ or "text",
        nul,
        "auto" if args.value("color") is None else args.value("color") or "always",
        args.is_set("quiet"),
    )


def _translate_agenthub_options(words: list[str]) -> list[str]:
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
    if option == "--demo":
        rest = []  # AgentHub's takes --format, and plays the same whatever it says
    return [_AGENTHUB[option], *rest]
