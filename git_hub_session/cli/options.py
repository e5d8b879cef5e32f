"""Command lines parsed git's way, from tables of options.

`--opt value` and `--opt=value`, `-n 3` and `-n3`, `-qn` for `-q -n`, options after
arguments, `--` ends options, `--no-x` undoes `--x`, any unambiguous start of a long
option will do (but never of one that gives something up). The tables are data: usage
texts, the manual's test and completion read them too.
"""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import NamedTuple
from git_hub_session.errors import UsageError
from git_hub_session.util.clock import parse_duration
from git_hub_session.util.numbers import parse_int

_WIDTH = 80
_HELP_AT = 27

ArgumentValue = str | bool | tuple[str, ...]


class Option(NamedTuple):
    """One option: "-n, --dry-run", what it does, and its value's name ('' for a switch)."""

    flags: str
    help: str
    value: str = ""
    choices: tuple[str, ...] = ()
    repeatable: bool = False
    """Whether each use adds a value."""
    no_abbreviation: bool = False
    """Whether it has to be written out: a typing error must not give up somebody's work."""
    value_optional: bool = False
    """Whether the value may be left out; it is then ''."""

    @property
    def name(self) -> str:
        """The long spelling without dashes: what the parsed value is called."""
        return self.spellings[-1].lstrip("-")

    @property
    def spellings(self) -> tuple[str, ...]:
        return tuple(self.flags.split(", "))


class Usage(NamedTuple):
    """How one command is called: its lines after `git hub-session`, and its options."""

    lines: tuple[str, ...]
    options: tuple[Option, ...]
    max_arguments: int | None = 0
    """How many arguments it takes at the most; None: any number."""
    takes_command: bool = False
    """Whether what stands behind `--` is a command to run, and no argument."""


DRY_RUN = Option("-n, --dry-run", "show what would be done, but change nothing")
QUIET = Option("-q, --quiet", "print only errors and requested output")
TIMEOUT = Option("--timeout", "time limit for each command, such as 90s or 2h", "<time>")
YES = Option("--yes", "do not ask for confirmation", no_abbreviation=True)
JOBS = Option("-j, --jobs", "number of parallel jobs (default: number of CPUs)", "<number>")
FORMAT = (
    Option(
        "--format",
        "output format (default: text)",
        "<format>",
        choices=("text", "json", "porcelain"),
    ),
    Option("-z", "porcelain output with NUL line ends, without quoting"),
    Option(
        "--color",
        "when to use color (default: auto)",
        "<when>",
        choices=("auto", "always", "never"),
        value_optional=True,
    ),
)
HELP = Option("-h, --help", "show this help")


_MOST_JOBS, _MOST_REPEATS = 256, 1000
_MAX_JOBS_VALUE = 9_999
"""The largest accepted value of --jobs. Values above _MOST_JOBS are lowered to it."""


class Arguments:
    """A parsed command line."""

    def __init__(
        self,
        values: dict[str, ArgumentValue],
        words: tuple[str, ...],
        command: tuple[str, ...] = (),
    ) -> None:
        self._values = values
        self.arguments = words
        """What is no option, in order."""
        self.command = command
        """What stands behind `--`, where that is a command to run."""

    def value(self, name: str) -> str | None:
        """The value of an option, the last one given, or None."""
        value = self._values.get(name)
        return value if isinstance(value, str) else None

    def values(self, name: str) -> tuple[str, ...]:
        """All values of an option that adds one with each use."""
        value = self._values.get(name)
        return value if isinstance(value, tuple) else ()

    def is_set(self, name: str) -> bool:
        """Whether a switch is on."""
        return self._values.get(name) is True

    def subset(
        self, *names: str, words: Sequence[str] = (), command: Sequence[str] = ()
    ) -> Arguments:
        """The options called `names` for another command, with words of its own."""
        values = {name: value for name, value in self._values.items() if name in names}
        return Arguments(values, tuple(words), tuple(command))

    @property
    def argument(self) -> str | None:
        """The only argument, or None."""
        return self.arguments[0] if self.arguments else None


def parse_timeout(args: Arguments) -> float | None:
    """The value of TIMEOUT in seconds, None where it was not given; raises UsageError."""
    text = args.value("timeout")
    if text is None:
        return None
    seconds = parse_duration(f"{text}s" if parse_int(text[-1:], 9) is not None else text)
    if not seconds:
        raise UsageError(f"not a time: '{text}'", hint="a number and s, m, h, d or w: 90s")
    return seconds


def parse_jobs(args: Arguments) -> int | None:
    """The value of JOBS, None where it was not given; raises UsageError."""
    text = args.value("jobs")
    if text is None:
        return None
    number = parse_int(text, _MAX_JOBS_VALUE)
    if not number:
        raise UsageError(f"not a number of jobs: '{text}'")
    return min(number, _MOST_JOBS)


def parse_repeat(args: Arguments) -> int:
    """How many times something is to be measured, 1 where --repeat was not given; raises UsageError."""
    text = args.value("repeat")
    if text is None:
        return 1
    number = parse_int(text, _MOST_REPEATS)
    if not number:
        raise UsageError(f"not a number of times: '{text}'", hint=f"1 to {_MOST_REPEATS}")
    return number


def parse_arguments(usage: Usage, argv: Sequence[str]) -> Arguments:
    """Parse what follows the command's name; raises UsageError."""
    options = (*usage.options, HELP)
    spelled = {spelling: option for option in options for spelling in option.spellings}
    values: dict[str, ArgumentValue] = {}
    words: list[str] = []
    behind: list[str] = []
    rest = [*reversed(argv)]  # the next one last
    while rest:
        word = rest.pop()
        if word == "--":
            (behind if usage.takes_command else words).extend(reversed(rest))
            break
        if word.startswith("--"):
            _parse_long(word, rest, spelled, values)
        elif word.startswith("-") and word != "-":
            _parse_short(word, rest, spelled, values)
        else:
            words.append(word)
    if (
        usage.max_arguments is not None
        and len(words) > usage.max_arguments
        and not values.get("help")
    ):
        raise UsageError(f"too many arguments: '{words[usage.max_arguments]}'")
    return Arguments(values, tuple(words), tuple(behind))


def _parse_long(
    word: str, rest: list[str], spelled: dict[str, Option], values: dict[str, ArgumentValue]
) -> None:
    name, equals, value = word.partition("=")
    if name not in spelled:
        positive = f"--{name[5:]}"
        if name.startswith("--no-") and positive in spelled:
            if equals:
                raise UsageError(f"option '{name}' takes no value")
            values.pop(spelled[positive].name, None)
            return
        name = _complete(name, spelled)
    option = spelled[name]
    if not option.value:
        if equals:
            raise UsageError(f"option '{name}' takes no value")
        values[option.name] = True
    else:
        _store_value(option, name, value if equals else None, rest, values)


def _complete(name: str, spelled: dict[str, Option]) -> str:
    """The one option that starts with `name`; raises UsageError."""
    candidates = [
        spelling
        for spelling, option in spelled.items()
        if spelling.startswith(name)
        and spelling.startswith("--")
        and not option.no_abbreviation
        and name != "--"
    ]
    if len(candidates) > 1:
        raise UsageError(f"ambiguous option: {name[2:]} (could be {' or '.join(candidates)})")
    if candidates:
        return candidates[0]
    raise UnknownOption(
        f"unknown option '{name[2:]}'", name, [s for s in spelled if s.startswith("--")]
    )


def _parse_short(
    word: str, rest: list[str], spelled: dict[str, Option], values: dict[str, ArgumentValue]
) -> None:
    letters = word[1:]
    for at, letter in enumerate(letters):
        option = spelled.get(f"-{letter}")
        if option is None:
            raise UnknownOption(f"unknown switch '{letter}'", "", [])
        if not option.value:
            values[option.name] = True
            continue
        _store_value(option, f"-{letter}", letters[at + 1 :] or None, rest, values)
        return


def _store_value(
    option: Option,
    spelling: str,
    value: str | None,
    rest: list[str],
    values: dict[str, ArgumentValue],
) -> None:
    if value is None:
        # A value that may be left out is the next word only if it cannot be anything else.
        follows = rest and (not option.value_optional or rest[-1] in option.choices)
        if not follows and not option.value_optional:
            raise UsageError(f"option '{spelling}' requires a value")
        value = rest.pop() if follows else ""
    if option.choices and value not in option.choices and not (option.value_optional and not value):
        raise UsageError(
            f"option '{spelling}' expects one of {', '.join(option.choices)}, not '{value}'"
        )
    if option.repeatable:
        before = values.get(option.name, ())
        values[option.name] = (*(before if isinstance(before, tuple) else ()), value)
    else:
        values[option.name] = value


class UnknownOption(UsageError):
    """No such option; `meant` are those that it may be a misspelling of."""

    def __init__(self, message: str, given: str, known: Sequence[str]) -> None:
        super().__init__(message)
        self.given = given
        self.known = known


def format_usage(usage: Usage) -> str:
    """The usage as git's own commands print it."""
    from textwrap import wrap  # only who asks for the usage waits for it

    lines = []
    for at, line in enumerate(usage.lines):
        lines.append(f"{'usage:' if at == 0 else '   or:'} git hub-session {line}")
    lines.append("")
    for option in usage.options:
        left = f"    {_format_option(option)}"
        if len(left) >= _HELP_AT:
            lines.append(left)
            left = ""
        for part in wrap(option.help, _WIDTH - _HELP_AT - 1, break_on_hyphens=False):
            lines.append(f"{left:<{_HELP_AT}} {part}")
            left = ""
    return "\n".join(lines) + "\n"


def _format_option(option: Option) -> str:
    if not option.value:
        return option.flags
    value = f"({'|'.join(option.choices)})" if option.choices else option.value
    if option.value_optional:
        return f"{option.flags}[={value}]"
    return f"{option.flags} {value}"
