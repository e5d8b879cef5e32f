"""The entry point: parse argv, run the command, print its view and return the exit code.

It is the only module that turns a HubError into an exit code.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType

from git_hub_session import __version__
from git_hub_session._typing import TYPE_CHECKING, NoReturn
from git_hub_session.cli.context import Context, process_project
from git_hub_session.cli.options import Arguments, format_usage
from git_hub_session.cli.output import (
    OutputOptions,
    report_bug,
    report_error,
    write_stderr_line,
    write_stdout,
    write_view,
)
from git_hub_session.cli.parser import END_OF_OPTIONS, UnknownOption, parse_arguments
from git_hub_session.cli.reporter import make_reporter
from git_hub_session.commands import COMMANDS
from git_hub_session.errors import HubError, UsageError
from git_hub_session.system.signals import TERMINATION_SIGNALS

if TYPE_CHECKING:
    from git_hub_session.cli.view import View
    from git_hub_session.session.project import Project


BUG = 255
"""The exit status if the program has a bug."""
_OVERVIEW_COMMAND = "git hub-session -h"
_OVERVIEW_OPTIONS = ("-h", "--help", "--version")

# The options of AgentHub's session_manager.py, and the commands that replace them.
_AGENTHUB_OPTIONS = {
    "--list": "list",
    "--status": "status",
    "--update": "update",
    "--cleanup": "cleanup",
    "--demo": "demo",
}


class TerminatedBySignal(BaseException):
    """A termination signal. `finally` clauses release locks and remove temporary files."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class LibraryMissing(HubError):
    """A library that the package needs is not installed."""

    code = "library-missing"


def run_and_exit() -> NoReturn:
    """Run `main` for this process and end the process.

    A signal ends the process as that signal does, so that a shell sees 130 for ^C and 141 for
    a closed pipe. The interpreter is not finalized, because that takes as long as a short
    command. Nothing is lost: `cli.output` does not buffer, and files and locks are closed.
    """
    try:
        os._exit(main())  # inside `try`: a signal can arrive after the answer
    except TerminatedBySignal as termination:
        _exit_by_signal(termination.number)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    Raises:
        TerminatedBySignal: a termination signal arrived.
    """
    # A command ends before it has garbage that is worth collecting. The collector would take a
    # third of the time that `list` needs for thousands of sessions.
    gc.disable()
    arguments = list(sys.argv[1:] if argv is None else argv)
    _reopen_closed_streams()
    _start_trace(arguments)
    exit_code = _run_guarded(arguments)
    sys.audit("git_hub_session.exit", exit_code)
    return exit_code


def _start_trace(arguments: list[str]) -> None:
    target = os.environ.get("GIT_HUB_SESSION_TRACE")
    if target:
        from git_hub_session.system.trace import start_trace

        for line in start_trace(target, arguments):
            write_stderr_line(line)


def _run_guarded(arguments: list[str]) -> int:
    try:
        for number in TERMINATION_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _raise_terminated)
        return _run_arguments(arguments)
    except BrokenPipeError:
        _exit_by_signal(signal.SIGPIPE)  # without a message: the reader of the output has gone
    except HubError as error:
        report_error(error, OutputOptions())
        return error.exit_code
    except Exception as error:
        system_error = _system_error(error, arguments[0] if arguments else "git hub-session")
        if system_error is not None:  # the module of the command cannot be read
            report_error(system_error, OutputOptions("json" if _wants_json(arguments) else "text"))
            return system_error.exit_code
        from traceback import format_exc

        report_bug(format_exc())
        return BUG


def _raise_terminated(number: int, _frame: FrameType | None) -> NoReturn:
    for other in TERMINATION_SIGNALS:
        # A second signal must not interrupt the cleanup. Do not use SIG_IGN: Python would print
        # on standard error that it ignores a signal that is already pending.
        signal.signal(other, _ignore_signal)
    raise TerminatedBySignal(number)


def _ignore_signal(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the first signal already ends the process."""


def _exit_by_signal(number: int) -> NoReturn:
    sys.audit("git_hub_session.exit", -number)
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
    os._exit(128 + number)  # if the signal is blocked


def _reopen_closed_streams() -> None:
    """Open /dev/null for each closed standard stream, as git does.

    Otherwise a file that the command opens would get the number of the stream.
    """
    if None in (sys.stdin, sys.stdout, sys.stderr):
        fd = os.open(os.devnull, os.O_RDWR)
        while fd < 2:
            fd = os.dup(fd)
        if fd > 2:
            os.close(fd)


def _run_arguments(arguments: list[str]) -> int:
    project = process_project()
    format_ = "json" if _wants_json(arguments) else "text"
    output = OutputOptions(format_, setting=project.file_setting)
    command = ""
    is_help = arguments[:1] == ["help"]
    try:
        arguments = _translate_help(_translate_agenthub_options(arguments))
        if not arguments:
            return _report_missing_command()
        if arguments[0] in _OVERVIEW_OPTIONS:
            return _print_overview(arguments)
        if arguments[0] not in COMMANDS:
            raise _unknown_command(arguments[0])
        command = arguments[0]
        # Do not use importlib: importing it and `warnings` takes as long as a short command.
        module = __import__(COMMANDS[command].module, fromlist=["run"])
        args = parse_arguments(module.USAGE, arguments[1:])
        if args.is_set("help"):
            write_stdout(format_usage(module.USAGE))
            return 0 if is_help else UsageError.exit_code  # git's -h exits with 129, too
        output = _parse_output_options(args, project)
    except UsageError as error:
        report_error(_with_hint(error, command), output)
        return error.exit_code
    context = Context(project, make_reporter(output))
    return _run_command(command, lambda: module.run(context, args), output)


def _run_command(name: str, run: Callable[[], View], output: OutputOptions) -> int:
    """Run one command, write its view, and return the exit code."""
    try:
        view = run()
        write_view(view, output)
        return view.exit_code
    except BrokenPipeError:
        raise
    except HubError as error:
        hub_error = error
    except Exception as error:
        system_error = _system_error(error, name)
        if system_error is None:
            raise
        hub_error = system_error
    report_error(hub_error, output)
    return hub_error.exit_code


def _system_error(error: Exception, command: str) -> HubError | None:
    """Return the error of the system or of a library, or None if the exception is a bug."""
    if isinstance(error, MemoryError):
        return HubError("out of memory")
    if isinstance(error, OSError):
        subject = error.filename or f"'{command}' failed"
        return HubError(f"{subject}: {error.strerror or error}")
    if isinstance(error, ImportError) and not (error.name or "").startswith(__package__):
        return _library_error(error)
    return None


def _library_error(error: ImportError) -> HubError:
    if not isinstance(error, ModuleNotFoundError):  # a shared library: the message names it
        name = f"'{error.name}'" if error.name else "a library"
        return HubError(f"cannot load {name}: {error.msg}")
    hint = "install git hub-session and its libraries with 'make install' or pip"
    return LibraryMissing(f"cannot load '{error.name}' with '{sys.executable}'", hint=hint)


def _translate_help(arguments: list[str]) -> list[str]:
    """Translate `help` and `version` to options. `help list` is the usage of the command `list`."""
    match arguments:
        case ["help", word]:
            return ["--help"] if word in ("help", "version", "-h", "--help") else [word, "--help"]
        case ["help" | "version" as word, *words]:
            return [f"--{word}", *words]
    return arguments


def _report_missing_command() -> int:
    """Report that there is no command, with the list of commands, and return the exit code."""
    report_error(UsageError("no command given"), OutputOptions())
    for line in _format_overview().splitlines():
        write_stderr_line(line)
    return UsageError.exit_code


def _print_overview(arguments: list[str]) -> int:
    """Print the version, or the list of commands."""
    option, *others = arguments
    if others:
        raise UsageError(f"too many arguments: '{others[0]}'")
    if option == "--version":
        write_stdout(f"git-hub-session version {__version__}\n")
        return 0
    write_stdout(_format_overview())
    # git's commands exit with 129 after -h too.
    return UsageError.exit_code if option == "-h" else 0


def _format_overview() -> str:
    lines = ["usage: git hub-session <command> [<options>]", ""]
    width = max(map(len, COMMANDS))
    lines += [f"    {name:<{width}} {command.summary}" for name, command in COMMANDS.items()]
    lines += ["", "Run 'git hub-session <command> -h' for the options of a command,"]
    lines += ["or 'git help hub-session' for the manual."]
    return "\n".join(lines) + "\n"


def _unknown_command(name: str) -> UsageError:
    if name.startswith("-"):
        hint = _suggest(name.partition("=")[0], [*_AGENTHUB_OPTIONS, "--version"])
        return UsageError(f"unknown option '{name}' before the command", hint=hint)
    return UsageError(
        f"'{name}' is not a git hub-session command", hint=_suggest(name, [*COMMANDS])
    )


def _with_hint(error: UsageError, command: str) -> UsageError:
    """Add a hint to an error without one: a similar option, or the command that shows the usage."""
    if isinstance(error, UnknownOption):
        error.hint = _suggest(error.given, error.known)
    if not error.hint:
        error.hint = f"git hub-session {command} -h" if command else _OVERVIEW_COMMAND
    return error


def _suggest(name: str, known: Sequence[str]) -> str:
    from git_hub_session.util.similar import find_similar

    similar = find_similar(name, known)
    return f"try '{similar}'" if similar else ""


def _wants_json(arguments: Sequence[str]) -> bool:
    """Return True if the last --format is json. Errors of the parser are then JSON too."""
    options = _before_end_of_options(arguments)
    last_format = ""
    for index, argument in enumerate(options):
        option, equals, value = argument.partition("=")
        if option == "--format":
            last_format = value if equals else "".join(options[index + 1 : index + 2])
    return last_format == "json"


def _before_end_of_options(arguments: Sequence[str]) -> list[str]:
    """Return the words before `--` or `--end-of-options`."""
    ends = [arguments.index(end) for end in ("--", END_OF_OPTIONS) if end in arguments]
    return [*arguments[: min(ends, default=len(arguments))]]


def _parse_output_options(args: Arguments, project: Project) -> OutputOptions:
    format_ = args.value("format")
    nul = args.is_set("z")
    if nul and format_ in ("text", "json"):
        raise UsageError(f"-z cannot be used with --format={format_}")
    color = args.value("color")
    return OutputOptions(
        "porcelain" if nul else _machine_format(format_),
        nul,
        "" if color is None else color or "always",
        args.is_set("quiet"),
        project.file_setting,
    )


def _machine_format(text: str | None) -> str:
    """Return "json" or "porcelain", or "text" for all formats for people."""
    return text if text in ("json", "porcelain") else "text"


def _translate_agenthub_options(arguments: list[str]) -> list[str]:
    """Translate AgentHub's `--format json --status ID` to `status ID --format json`."""
    if not arguments or not arguments[0].startswith("--"):
        return arguments
    if arguments[0] in _OVERVIEW_OPTIONS:
        return arguments
    options = _before_end_of_options(arguments)
    matches = [
        (index, *argument.partition("="))
        for index, argument in enumerate(options)
        if argument.partition("=")[0] in _AGENTHUB_OPTIONS
    ]
    if not matches:
        return arguments
    if len(matches) > 1:
        raise UsageError(f"{matches[0][1]} and {matches[1][1]} exclude each other")
    index, option, equals, value = matches[0]
    if option == "--demo":
        return ["demo"]  # AgentHub accepts --format, but ignores it
    rest = arguments[:index] + ([value] if equals else []) + arguments[index + 1 :]
    return [_AGENTHUB_OPTIONS[option], *rest]
