"""Parser of command lines, with the rules of git's parse-options.

It accepts `--opt value` and `--opt=value`, `-n 3` and `-n3`, and `-qn` for `-q -n`. Options may
follow arguments. `--` and `--end-of-options` end the options. `--no-x` undoes an earlier `--x`, and
`--x` undoes an earlier `--no-x`. An unambiguous abbreviation of a long option or its negation is
accepted, except for options that can lose work.
"""

from __future__ import annotations

from collections.abc import Sequence

from git_hub_session._typing import NamedTuple
from git_hub_session.cli.options import HELP, Arguments, ArgumentValue, Option, Usage
from git_hub_session.errors import UsageError

END_OF_OPTIONS = "--end-of-options"
_NO = "--no-"


class UnknownOption(UsageError):
    """An option that the command does not have.

    `given` is the word of the user and `known` has the long options, to suggest a similar one.
    """

    def __init__(self, message: str, given: str, known: Sequence[str]) -> None:
        super().__init__(message)
        self.given = given
        self.known = known


class _LongOption(NamedTuple):
    """The meaning of one long spelling."""

    option: Option
    is_negated: bool
    """True if the spelling undoes the option."""

    @property
    def accepts_abbreviation(self) -> bool:
        """True if an abbreviation is accepted. Undoing an option cannot lose work."""
        return self.is_negated or not self.option.no_abbreviation


def parse_arguments(usage: Usage, argv: Sequence[str]) -> Arguments:
    """Parse the words after the name of the command."""
    parser = _Parser(usage, argv)
    parser.parse()
    count = usage.max_arguments
    if count is not None and len(parser.arguments) > count and not parser.values.get("help"):
        raise UsageError(f"too many arguments: '{parser.arguments[count]}'")
    return Arguments(parser.values, tuple(parser.arguments), tuple(parser.command))


def _opposite(spelling: str) -> str:
    """Return `--no-x` for `--x`, and the other way round."""
    if spelling.startswith(_NO):
        return f"--{spelling.removeprefix(_NO)}"
    return f"{_NO}{spelling.removeprefix('--')}"


def _long_options(options: Sequence[Option]) -> dict[str, _LongOption]:
    """Return the meaning of each long spelling. A negation never replaces an option."""
    spellings = {f"--{option.name}": option for option in options if len(option.name) > 1}
    known = {spelling: _LongOption(option, False) for spelling, option in spellings.items()}
    for spelling, option in spellings.items():
        known.setdefault(_opposite(spelling), _LongOption(option, True))
    return {**known, f"--{HELP.name}": _LongOption(HELP, False)}


class _Parser:
    """The state of one parse."""

    def __init__(self, usage: Usage, argv: Sequence[str]) -> None:
        self.values: dict[str, ArgumentValue] = {}
        self.arguments: list[str] = []
        self.command: list[str] = []
        self._takes_command = usage.takes_command or usage.takes_paths
        self._long = _long_options(usage.options)
        self._short = {
            spelling: option for option in (*usage.options, HELP) for spelling in option.spellings
        }
        self._rest = [*reversed(argv)]
        """The unparsed words, the next one last."""
        self._aliases = dict(usage.aliases)
        self._subcommand: list[str] = []
        self._first_arguments: list[str] = []

    def parse(self) -> None:
        """Parse all words."""
        self._parse_words()
        self.arguments[:0] = [*self._subcommand, *self._first_arguments]

    def _parse_words(self) -> None:
        while self._rest:
            word = self._rest.pop()
            if word in ("--", END_OF_OPTIONS):
                self._end_options(is_separator=word == "--")
                return
            if word.startswith("--"):
                self._parse_long(word)
            elif word.startswith("-") and word != "-":
                self._parse_short(word)
            else:
                self.arguments.append(word)

    def _end_options(self, *, is_separator: bool) -> None:
        """Take all other words as arguments, or after `--` as the command."""
        words = [*reversed(self._rest)]
        if not self._takes_command:
            self.arguments += words
            return
        if not is_separator:  # `--` still separates the arguments from the command
            end = words.index("--") if "--" in words else len(words)
            self.arguments += words[:end]
            words = words[end + 1 :]
        self.command += words

    def _parse_long(self, word: str) -> None:
        name, equals, value = word.partition("=")
        meaning = self._aliases.get(name, name)
        if not meaning.startswith("--"):
            self._store_arguments(name, meaning, value if equals else None)
            return
        if meaning == name and name not in self._long:
            meaning = name = self._complete(name)
        option, is_negated = self._long[meaning]
        if equals and (is_negated or not option.value):
            raise UsageError(f"option '{name}' takes no value")
        if is_negated:
            self._undo(option)
        elif option.value:
            self._store_value(option, name, value if equals else None)
        else:
            self._store(option, True)

    def _store_arguments(self, name: str, meaning: str, attached: str | None) -> None:
        """Store the arguments that an alias of arguments means."""
        words = meaning.split()
        takes_value = words[-1].startswith("<")
        if takes_value:
            words[-1] = self._next_word(name) if attached is None else attached
        elif attached is not None:
            raise UsageError(f"option '{name}' takes no value")
        has_subcommand = not meaning.startswith("<")
        (self._subcommand if has_subcommand else self._first_arguments).extend(words)

    def _complete(self, name: str) -> str:
        """Return the spelling of the only option, or the only negation, that starts with `name`."""
        candidates = {
            long_option: spelling
            for spelling, long_option in self._long.items()
            if spelling.startswith(name) and long_option.accepts_abbreviation and name != "--"
        }
        spellings = [*candidates.values()]
        if len(spellings) > 1:  # git names two candidates, too
            raise UsageError(
                f"ambiguous option: {name[2:]} (could be {' or '.join(spellings[:2])})"
            )
        if not spellings:
            raise UnknownOption(f"unknown option '{name[2:]}'", name, [*self._long])
        return spellings[0]

    def _parse_short(self, word: str) -> None:
        letters = word[1:]
        for index, letter in enumerate(letters):
            option = self._short.get(f"-{letter}")
            if option is None:
                raise UnknownOption(f"unknown switch '{letter}'", "", [])
            if option.value:
                self._store_value(option, f"-{letter}", letters[index + 1 :] or None)
                return
            self._store(option, True)

    def _undo(self, option: Option) -> None:
        self.values.pop(option.name, None)
        if option.negated_value:
            self.values[option.name] = option.negated_value

    def _store(self, option: Option, value: ArgumentValue) -> None:
        """Set a value, and undo the opposite option if the command has both."""
        self.values[option.name] = value
        self.values.pop(_opposite(f"--{option.name}").removeprefix("--"), None)

    def _store_value(self, option: Option, spelling: str, attached: str | None) -> None:
        value = self._next_value(option, spelling) if attached is None else attached
        is_omitted = option.value_optional and not value
        if option.choices and value not in option.choices and not is_omitted:
            raise UsageError(
                f"option '{spelling}' expects one of {', '.join(option.choices)}, not '{value}'"
            )
        if not option.repeatable:
            self._store(option, value)
            return
        previous = self.values.get(option.name, ())
        self._store(option, (*(previous if isinstance(previous, tuple) else ()), value))

    def _next_value(self, option: Option, spelling: str) -> str:
        """Take the value from the next word.

        An optional value is taken only if the next word is one of the choices.
        """
        if option.value_optional:
            has_value = bool(self._rest) and self._rest[-1] in option.choices
            return self._rest.pop() if has_value else ""
        return self._next_word(spelling)

    def _next_word(self, spelling: str) -> str:
        if not self._rest:
            raise UsageError(f"option '{spelling}' requires a value")
        return self._rest.pop()
