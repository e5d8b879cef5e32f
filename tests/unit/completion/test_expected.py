"""The next word of a command line follows from the usage table of the command."""

from __future__ import annotations

import pytest

from git_hub_session.cli.options import Option, Usage
from git_hub_session.completion.expected import Expected, find_expected

USAGE = Usage(
    (
        "try [<options>] [<id>] <agent>",
        "try [<options>] read <channel>...",
        "try --finished [--older-than <age>] (<branch> | <commit>)",
        "try [<options>] -- <command>",
    ),
    (
        Option("-q, --quiet", "a switch"),
        Option("-m, --message", "a value", "<text>"),
        Option("--file", "a value", "<file>"),
        Option("--format", "a choice", "<format>", choices=("text", "json")),
        Option("--finished", "a switch"),
        Option("--older-than", "a value", "<age>"),
        Option("--color", "an optional value", "<when>", ("auto",), value_optional=True),
    ),
    max_arguments=None,
    takes_command=True,
)
FIRST = ("<id>", "<agent>", "read", "<branch>", "<commit>")


@pytest.mark.parametrize(
    ("words", "kinds", "arguments"),
    [
        ([""], FIRST, ()),
        (["s"], FIRST, ()),
        (["s1", ""], ("<agent>",), ("s1",)),
        (["read", ""], ("<agent>", "<channel>"), ("read",)),
        (["read", "a", ""], ("<channel>",), ("read", "a")),
        (["s1", "2", ""], (), ("s1", "2")),
        (["-q", ""], FIRST, ()),
        (["-m", "text", ""], FIRST, ()),
        (["-mtext", ""], FIRST, ()),
        (["-qm", "text", ""], FIRST, ()),
        (["--message=text", ""], FIRST, ()),
        (["--color", ""], FIRST, ()),
        (["-m", ""], ("<text>",), ()),
        (["-qm", ""], ("<text>",), ()),
        (["--fil", ""], ("<file>",), ()),  # an abbreviation
        (["--fi", ""], FIRST, ()),  # --file or --finished
        (["--unknown", ""], FIRST, ()),
        (["s1", "--file", ""], ("<file>",), ("s1",)),
        (["-"], (), ()),
    ],
)
def test_kinds(words: list[str], kinds: tuple[str, ...], arguments: tuple[str, ...]) -> None:
    expected = find_expected(USAGE, words)
    assert (expected.kinds, expected.arguments) == (kinds, arguments)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--format", "j"], Expected(("<format>",), (), ("text", "json"))),
        (["--format=j"], Expected(("<format>",), (), ("text", "json"), "--format=")),
        (["--unknown=j"], Expected()),
        (["s1", "--", "ls", ""], Expected(is_command=True)),
        (["-m", "--", "--", ""], Expected(is_command=True)),
    ],
)
def test_values_and_commands(words: list[str], expected: Expected) -> None:
    assert find_expected(USAGE, words) == expected


@pytest.mark.parametrize(
    ("word", "is_option"), [("-", True), ("--", True), ("--f", True), ("a", False)]
)
def test_options_follow_a_dash(word: str, is_option: bool) -> None:
    names = [option.name for option in find_expected(USAGE, [word]).options]
    assert names == ([*(o.name for o in USAGE.options), "help"] if is_option else [])


def test_words_after_the_end_of_the_options_are_arguments() -> None:
    usage = USAGE._replace(takes_command=False)
    assert find_expected(usage, ["--", "s1", ""]).kinds == ("<agent>",)
    assert find_expected(usage, ["s1", "--", ""]).kinds == ("<agent>",)
