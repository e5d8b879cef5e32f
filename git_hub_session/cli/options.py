"""Tables of options, the parsed arguments of a command, and the usage text.

`cli.parser` parses command lines. The usage texts and the test of the manual read the same tables.
"""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import NamedTuple
from git_hub_session.errors import UsageError
from git_hub_session.util.clock import parse_duration
from git_hub_session.util.numbers import MAX_COUNT, parse_int

_WIDTH = 80
_HELP_COLUMN = 27

ArgumentValue = str | bool | tuple[str, ...]


class Option(NamedTuple):
    """One option of a command.

    `flags` has all spellings ("-n, --dry-run"). `value` is the name of the value in the usage
    ("<id>"), or '' for a switch.
    """

    flags: str
    help: str
    value: str = ""
    choices: tuple[str, ...] = ()
    repeatable: bool = False
    """True if each use adds a value."""
    no_abbreviation: bool = False
    """True if abbreviations are rejected: a typing error must not lose work."""
    value_optional: bool = False
    """True if the value may be omitted; it is then ''."""
    negated_value: str = ""
    """The value that `--no-x` sets for `--x`, or '' if `--no-x` only undoes `--x`."""

    @property
    def name(self) -> str:
        """The long spelling without dashes, the key of the parsed value."""
        return self.spellings[-1].lstrip("-")

    @property
    def spellings(self) -> tuple[str, ...]:
        """The short and the long spelling, or one of them."""
        return tuple(self.flags.split(", "))


class Usage(NamedTuple):
    """The usage lines of a command, without `git hub-session`, and its options."""

    lines: tuple[str, ...]
    options: tuple[Option, ...]
    max_arguments: int | None = 0
    """The largest number of arguments, or None for any number."""
    takes_command: bool = False
    """True if the words after `--` are a command to run, not arguments."""
    takes_paths: bool = False
    """True if the words after `--` are options and paths for git, not arguments."""
    aliases: tuple[tuple[str, str], ...] = ()
    """Long options that are accepted in full, but not shown, each with its meaning.

    The meaning is another option ("--eval"), or the first arguments ("read <channel>"). A word in
    angle brackets is the value of the option. Words without brackets come before other arguments.
    """


DRY_RUN = Option("-n, --dry-run", "show what would be done, but change nothing")
QUIET = Option("-q, --quiet", "print only errors and requested output")
TIMEOUT = Option("--timeout", "time limit for each command: 90s, 2h or none", "<time>")
NO_TIMEOUT = "none"
YES = Option("--yes", "do not ask for confirmation", no_abbreviation=True)
JOBS = Option("-j, --jobs", "number of parallel jobs (default: number of CPUs)", "<number>")
COLOR = Option(
    "--color",
    "when to use color (default: auto)",
    "<when>",
    choices=("auto", "always", "never"),
    value_optional=True,
    negated_value="never",
)
FORMAT = (
    Option(
        "--format",
        "output format (default: text)",
        "<format>",
        choices=("text", "json", "porcelain"),
    ),
    Option("-z", "porcelain output with NUL line ends, without quoting"),
    COLOR,
)
SESSION_ALIAS = ("--session", "<id>")
"""The session as AgentHub's scripts spell it."""
LIMIT_ALIAS = ("--limit", "--max-count")
HELP = Option("-h, --help", "show this help")


_MAX_JOBS = 256
_MAX_JOBS_VALUE = 9_999
"""The largest accepted value of --jobs. Values above _MAX_JOBS are lowered to it."""


class Arguments:
    """A parsed command line."""

    def __init__(
        self,
        values: dict[str, ArgumentValue],
        arguments: tuple[str, ...],
        command: tuple[str, ...] = (),
    ) -> None:
        self._values = values
        self.arguments = arguments
        """The words that are not options, in order."""
        self.command = command
        """The words after `--`, if `Usage.takes_command` or `Usage.takes_paths`."""

    def value(self, name: str) -> str | None:
        """Return the last value of an option, or None."""
        value = self._values.get(name)
        return value if isinstance(value, str) else None

    def values(self, name: str) -> tuple[str, ...]:
        """Return all values of a repeatable option."""
        value = self._values.get(name)
        return value if isinstance(value, tuple) else ()

    def is_set(self, name: str) -> bool:
        """Return True if a switch is set."""
        return self._values.get(name) is True

    def has(self, name: str) -> bool:
        """Return True if an option of any kind is given."""
        return name in self._values

    def subset(
        self,
        *names: str,
        arguments: Sequence[str] = (),
        command: Sequence[str] = (),
        **values: ArgumentValue,
    ) -> Arguments:
        """Return the named options with other arguments and values, for another command."""
        kept = {name: value for name, value in self._values.items() if name in names}
        return Arguments({**kept, **values}, tuple(arguments), tuple(command))

    def with_values(self, **values: ArgumentValue) -> Arguments:
        """Return the arguments with other values of some options."""
        return Arguments({**self._values, **values}, self.arguments, self.command)

    def without(self, *names: str) -> Arguments:
        """Return the arguments without some options."""
        kept = {name: value for name, value in self._values.items() if name not in names}
        return Arguments(kept, self.arguments, self.command)

    @property
    def argument(self) -> str | None:
        """The first argument, or None."""
        return self.arguments[0] if self.arguments else None


def parse_timeout(args: Arguments) -> float | None:
    """Return the value of TIMEOUT in seconds. Return None without a limit: "none", or no value."""
    text = args.value("timeout")
    if text in (None, NO_TIMEOUT):
        return None
    return parse_seconds(text or "", allow_zero=True) or None


def parse_seconds(text: str, *, allow_zero: bool = False) -> float:
    """Return the seconds of a time such as "90s" or "2h". A number without a unit is seconds."""
    seconds = parse_duration(f"{text}s" if parse_int(text[-1:], 9) is not None else text)
    if seconds is None or not (seconds or allow_zero):
        raise UsageError(
            f"not a time: '{text}'", hint="use a number with s, m, h, d or w, such as 90s"
        )
    return seconds


def parse_age(text: str) -> float:
    """Return the seconds of an age such as "7d", or raise UsageError."""
    seconds = parse_duration(text)
    if seconds is None:
        raise UsageError(
            f"not an age: '{text}'", hint="use a number with s, m, h, d or w, such as 7d"
        )
    return seconds


def parse_max_count(args: Arguments, things: str) -> int | None:
    """Return the value of --max-count, or None. `things` names the counted things in an error."""
    text = args.value("max-count")
    count = None if text is None else parse_int(text, MAX_COUNT)
    if count is None and text is not None:
        raise UsageError(f"not a number of {things}: '{text}'")
    return count


def parse_jobs(args: Arguments) -> int | None:
    """Return the value of JOBS, or None."""
    text = args.value("jobs")
    if text is None:
        return None
    number = parse_int(text, _MAX_JOBS_VALUE)
    if not number:
        raise UsageError(f"not a number of jobs: '{text}'")
    return min(number, _MAX_JOBS)


def format_usage(usage: Usage) -> str:
    """Return the usage text, in the form of git's own commands."""
    from textwrap import wrap  # slow to import

    lines = []
    for index, line in enumerate(usage.lines):
        lines.append(f"{'usage:' if index == 0 else '   or:'} git hub-session {line}")
    lines.append("")
    for option in usage.options:
        flags = f"    {_format_option(option)}"
        if len(flags) >= _HELP_COLUMN:
            lines.append(flags)
            flags = ""
        for part in wrap(option.help, _WIDTH - _HELP_COLUMN - 1, break_on_hyphens=False):
            lines.append(f"{flags:<{_HELP_COLUMN}} {part}")
            flags = ""
    return "\n".join(lines) + "\n"


def _format_option(option: Option) -> str:
    if not option.value:
        return option.flags
    value = f"({'|'.join(option.choices)})" if option.choices else option.value
    if option.value_optional:
        return f"{option.flags}[={value}]"
    return f"{option.flags} {value}"
