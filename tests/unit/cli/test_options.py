"""Command lines are parsed, and the usage is printed, as in git."""

from __future__ import annotations

import json

import pytest

from git_hub_session.cli.options import Option, Usage, format_usage
from git_hub_session.cli.parser import parse_arguments
from git_hub_session.commands import COMMANDS, cleanup, exec
from git_hub_session.errors import UsageError
from tests.support.command_usage import usage_of
from tests.support.hub import Hub, Result

USAGE = Usage(
    ("try [<options>] [<word>...]",),
    (
        Option("-n, --dry-run", "a switch"),
        Option("-q, --quiet", "another"),
        Option("-m, --max-count", "a value", "<number>"),
        Option("--state", "many values", "<state>", repeatable=True),
        Option("--sort", "a choice", "<key>", choices=("id", "age")),
        Option(
            "--color",
            "an optional value",
            "<when>",
            choices=("auto", "never"),
            value_optional=True,
            negated_value="never",
        ),
        Option("--format", "a value", "<format>"),
        Option("--force", "gives something up", no_abbreviation=True),
        Option("--no-tidy", "a switch that is a negation"),
        Option("--path", "many values, with an option for none", "<path>", repeatable=True),
        Option("--no-path", "no value"),
    ),
    max_arguments=None,
)
SWITCHES = ("dry-run", "quiet", "force", "no-tidy", "no-path")
TEXTS = ("max-count", "sort", "color", "format")


def parse_values(line: str) -> dict[str, object]:
    """Return the values that a command line sets. '_' stands for an empty word."""
    args = parse_arguments(USAGE, ["" if word == "_" else word for word in line.split()])
    values: dict[str, object] = {name: True for name in SWITCHES if args.is_set(name)}
    values |= {name: args.value(name) for name in TEXTS if args.value(name) is not None}
    values |= {name: args.values(name) for name in ("state", "path") if args.values(name)}
    if args.arguments:
        values["words"] = args.arguments
    return values


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", {}),
        ("a -n b", {"dry-run": True, "words": ("a", "b")}),
        ("-nq", {"dry-run": True, "quiet": True}),
        ("-nm3", {"dry-run": True, "max-count": "3"}),
        ("-nm 3 a", {"dry-run": True, "max-count": "3", "words": ("a",)}),
        ("-m -1", {"max-count": "-1"}),
        ("--max-count=3", {"max-count": "3"}),
        ("--max-count 3", {"max-count": "3"}),
        ("--max-count= a", {"max-count": "", "words": ("a",)}),
        ("--max-count _", {"max-count": ""}),
        ("--max-count -- a", {"max-count": "--", "words": ("a",)}),
        ("-m1 -m2", {"max-count": "2"}),
        ("--state a --state=b", {"state": ("a", "b")}),
        ("--state a --no-state", {}),
        ("--state a --no-state --state b", {"state": ("b",)}),
        ("-n --no-dry-run", {}),
        ("--no-dry-run -n", {"dry-run": True}),
        ("--force --no-force", {}),
        ("--force --no-forc", {}),  # to undo an option loses nothing
        ("-n --no-dr", {}),
        ("--state a --no-sta --state b", {"state": ("b",)}),
        ("--color=auto --no-color", {"color": "never"}),
        ("--no-color --color=auto", {"color": "auto"}),
        ("--no-tidy --tidy", {}),
        ("--no-tidy --tid", {}),
        ("--tidy --no-tidy", {"no-tidy": True}),
        ("--path a --no-path", {"no-path": True}),
        ("--no-path --path a", {"path": ("a",)}),
        ("--no-pa", {"no-path": True}),
        ("a --end-of-options -n --", {"words": ("a", "-n", "--")}),
        ("--dry", {"dry-run": True}),
        ("--max=3", {"max-count": "3"}),
        ("--fo json", {"format": "json"}),  # not ambiguous, because --force cannot be abbreviated
        ("--so age", {"sort": "age"}),
        ("--color", {"color": ""}),
        ("--color never", {"color": "never"}),
        ("--color s1 never", {"color": "", "words": ("s1", "never")}),
        ("--color=never", {"color": "never"}),
        ("-- -n --force --", {"words": ("-n", "--force", "--")}),
        ("a - b", {"words": ("a", "-", "b")}),
        ("_", {"words": ("",)}),
    ],
)
def test_valid_command_lines(line: str, expected: dict[str, object]) -> None:
    """Options may be anywhere, combined, abbreviated and negated. All words after -- are arguments."""
    assert parse_values(line) == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--nope", "unknown option 'nope'"),
        ("--forc", "unknown option 'forc'"),
        ("--=x", "unknown option ''"),
        ("--no-nope", "unknown option 'no-nope'"),
        ("-x", "unknown switch 'x'"),
        ("-nx", "unknown switch 'x'"),
        ("--s id", "ambiguous option: s (could be --state or --sort)"),
        ("--dry-run=yes", "option '--dry-run' takes no value"),
        ("--no-sort=id", "option '--no-sort' takes no value"),
        ("--tidy=yes", "option '--tidy' takes no value"),
        ("--no-for", "ambiguous option: no-for (could be --no-format or --no-force)"),
        ("--no-help", "unknown option 'no-help'"),
        ("--max-count", "option '--max-count' requires a value"),
        ("-m", "option '-m' requires a value"),
        ("--sort name", "option '--sort' expects one of id, age, not 'name'"),
        ("--color=often", "option '--color' expects one of auto, never, not 'often'"),
    ],
)
def test_invalid_command_lines(line: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_values(line)
    assert raised.value.message == message


@pytest.mark.parametrize("name", ["force", "discard", "archive", "finished"])
def test_a_destructive_option_cannot_be_abbreviated(name: str) -> None:
    """A typing error or an option of a later version must not select such an option."""
    assert parse_arguments(cleanup.USAGE, [f"--{name}"]).is_set(name)
    for end in range(2, len(name)):
        with pytest.raises(UsageError) as raised:
            parse_arguments(cleanup.USAGE, ["s1", f"--{name[:end]}"])
        assert raised.value.message == (
            "option '--format' requires a value"
            if "format".startswith(name[:end])
            else f"unknown option '{name[:end]}'"
        )


OVERVIEW = """\
usage: git hub-session <command> [<options>]

    init       create a session for a task
    spawn      create a branch and a worktree for each agent
    exec       run a command for each agent in parallel
    adopt      record a branch, commit or worktree as an attempt
    eval       measure and rank the agents' results
    merge      merge the winner and archive the other branches
    run        run all steps from init to merge
    list       list the sessions
    status     show a session with its branches and worktrees
    watch      show sessions and agents live
    log        show the state changes of a session
    show       show an attempt on one page
    report     show a session on one page, as HTML or Markdown
    diff       show the changes of an attempt
    board      read and write AgentHub's message board
    path       print the path of an agent's worktree
    shell      start a shell in the worktree of an agent
    open       open the worktree of an agent in an editor
    guide      print instructions for a coding agent in a worktree
    update     change the state of a session
    cleanup    remove a session's worktrees and save their changes
    restore    restore removed worktrees with their changes
    prune      delete old archives and saved work of finished sessions
    archive    end a session without a winner
    delete     delete a session that has no work
    push       publish sessions on a remote
    fetch      fetch sessions from a remote and merge them
    work       work on the agents of a shared session until none is left
    doctor     report problems in the hub, or fix them with --fix
    hooks      guard the branches of sessions with hooks of git
    config     show the settings, their defaults and their origins
    schema     print the JSON schema of an answer
    completion print the completion script of a shell
    shell-init print a shell function that changes to a worktree
    demo       run all steps in a temporary repository

Run 'git hub-session <command> -h' for the options of a command,
or 'git help hub-session' for the manual.
"""


SEE_OVERVIEW = "hint: git hub-session -h"


def test_overview(hub: Hub) -> None:
    """-h prints the usage and exits with 129, as in git. A missing command is an error."""
    assert hub.run("-h") == Result(129, OVERVIEW)
    assert hub.call("git-hub-session", "--help") == Result(0, OVERVIEW)
    assert hub.run() == Result(129, "", f"error: no command given\n{OVERVIEW}")
    for words in ((), ("help",), ("version",), ("-h",), ("--help",)):
        assert hub.run("help", *words) == Result(0, OVERVIEW)
    for word in ("--version", "version"):
        assert hub.run(word) == Result(0, "git-hub-session version 0.1.0\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lsit"], "'lsit' is not a git hub-session command\nhint: try 'list'"),
        (["frobnicate"], f"'frobnicate' is not a git hub-session command\n{SEE_OVERVIEW}"),
        (["help", "lsit"], "'lsit' is not a git hub-session command\nhint: try 'list'"),
        (["help", "list", "x"], f"too many arguments: 'list'\n{SEE_OVERVIEW}"),
        (["version", "x"], f"too many arguments: 'x'\n{SEE_OVERVIEW}"),
        ([""], f"'' is not a git hub-session command\n{SEE_OVERVIEW}"),
        (["\x1b[2J"], f"'\\x1b[2J' is not a git hub-session command\n{SEE_OVERVIEW}"),
        (["--lst"], "unknown option '--lst' before the command\nhint: try '--list'"),
        (["-x", "list"], f"unknown option '-x' before the command\n{SEE_OVERVIEW}"),
        (["--"], f"unknown option '--' before the command\n{SEE_OVERVIEW}"),
        (
            ["--list", "--cleanup", "x"],
            f"--list and --cleanup exclude each other\n{SEE_OVERVIEW}",
        ),
    ],
)
def test_unknown_command(hub: Hub, arguments: list[str], message: str) -> None:
    """The exit status is 129. A hint names a similar command, or the command that lists them."""
    assert hub.run(*arguments) == Result(129, "", f"error: {message}\n")


def read_usage(hub: Hub, command: str) -> str:
    result = hub.run(command, "-h")
    assert result == Result(129, result.out)
    return result.out


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "demo"])
def test_usage_of_each_command(hub: Hub, command: str) -> None:
    """Lines have at most 80 columns. -h also works if the other arguments are wrong."""
    text = read_usage(hub, command)
    assert text.startswith(f"usage: git hub-session {command} ")
    assert max(map(len, text.splitlines())) <= 80
    assert hub.run(command, "too", "many", "-h").out == text
    assert hub.run("help", command) == Result(0, text)


def test_usage_snapshot(hub: Hub) -> None:
    """The complete usage of `update` has several usage lines, options, values and choices."""
    assert read_usage(hub, "update") == (
        "usage: git hub-session update [<options>] --state <state> [<id>]\n"
        "   or: git hub-session update [<options>] --resolve (merged | archived) [<id>]\n"
        "\n"
        "    --state <state>         new state\n"
        "    --resolve (merged|archived)\n"
        "                            choose between two final states of clones\n"
        "    --winner <agent>        choose between the winners that clones have merged\n"
        "    --if-state <state>      update only if the session is in this state\n"
        "    --reason <text>         reason to record in the history\n"
        "    -n, --dry-run           show what would be done, but change nothing\n"
        "    -q, --quiet             print only errors and requested output\n"
        "    --format (text|json|porcelain)\n"
        "                            output format (default: text)\n"
        "    -z                      porcelain output with NUL line ends, without quoting\n"
        "    --color[=(auto|always|never)]\n"
        "                            when to use color (default: auto)\n"
    )


@pytest.mark.parametrize(
    ("command_line", "message"),
    [
        ("list --reverze", "unknown option 'reverze'\nhint: try '--reverse'"),
        ("list -x", "unknown switch 'x'"),
        ("list word", "too many arguments: 'word'"),
        ("status a b", "too many arguments: 'b'"),
        ("list -n", "option '-n' requires a value"),
        ("list --format=xml", "option '--format' expects one of text, json, porcelain, not 'xml'"),
        ("list -z --format=text", "-z cannot be used with --format=text"),
        ("list --color=red", "option '--color' expects one of auto, always, never, not 'red'"),
        ("cleanup --forced", "unknown option 'forced'\nhint: try '--force'"),
        ("eval --xyz 1", "unknown option 'xyz'"),  # nothing is like it, not even --color
        ("diff --onyl", "unknown option 'onyl'"),
        ("diff --only", "unknown option 'only'\nhint: try '--name-only'"),
        ("spawn --onyl 1", "unknown option 'onyl'\nhint: try '--only'"),
        ("run --agent-command x", "unknown option 'agent-command'\nhint: try '--agent-cmd'"),
        ("run --cmd x", "unknown option 'cmd'\nhint: try '--agent-cmd'"),
        ("run --time-out 3", "unknown option 'time-out'\nhint: try '--timeout'"),
        ("run --no-comit", "unknown option 'no-comit'\nhint: try '--no-commit'"),
        ("run --=x", "unknown option ''"),
        ("run --- x", "unknown option '-'"),
    ],
)
def test_invalid_usage_of_a_command(hub: Hub, command_line: str, message: str) -> None:
    """The exit status is 129. A hint names a similar option, or the command that shows the usage."""
    hint = "" if "hint:" in message else f"hint: git hub-session {command_line.split()[0]} -h\n"
    assert hub.run(*command_line.split()) == Result(129, "", f"error: {message}\n{hint}")


@pytest.mark.parametrize(
    ("arguments", "code", "error_code"),
    [
        (["nope", "--format=json"], 129, "usage"),
        (["list", "--nope", "--format", "json"], 129, "usage"),
        (["list", "--format=json", "-z"], 129, "usage"),
        (["--format", "json", "--status", "nope"], 128, "no-such-session"),
        (["update", "--format=json", "s1", "--state=merged"], 1, "illegal-transition"),
        (["update", "s1", "--state=?", "--format=text", "--format=json"], 129, "usage"),
    ],
)
def test_errors_as_json(hub: Hub, arguments: list[str], code: int, error_code: str) -> None:
    """With --format=json, standard error has only one JSON object."""
    hub.session("s1")
    result = hub.run(*arguments)
    assert (result.code, result.out) == (code, "")
    error = json.loads(result.err)["error"]
    assert list(error) == ["code", "message", "hint"]
    assert error["code"] == error_code


def test_errors_are_not_json_by_default(hub: Hub) -> None:
    """The last --format is used. The words after -- are not options."""
    plain = hub.run("list", "--format=json", "--format=text", "--nope")
    assert plain.err.startswith("error: unknown option 'nope'\n")
    for end in ("--", "--end-of-options"):
        assert hub.run("list", end, "--format=json").err.startswith("error: too many arguments")


def test_end_of_options_before_a_command() -> None:
    """`--` still separates the arguments from the command."""
    args = parse_arguments(exec.USAGE, ["--end-of-options", "-s", "--", "make", "--", "-n"])
    assert (args.arguments, args.command) == (("-s",), ("make", "--", "-n"))
    args = parse_arguments(exec.USAGE, ["--end-of-options", "-s"])
    assert (args.arguments, args.command) == (("-s",), ())


def test_agenthub_spellings(hub: Hub) -> None:
    """The command lines of AgentHub's skills have the same results."""
    hub.session("s1")
    lines = [
        (["--list"], ["list"]),
        (["--list", "--format", "json"], ["list", "--format", "json"]),
        (["--format", "json", "--list"], ["list", "--format", "json"]),
        (["--status", "s1"], ["status", "s1"]),
        (["--status=s1", "--format=json"], ["status", "s1", "--format=json"]),
        (["--cleanup", "s1"], ["cleanup", "s1"]),
    ]
    for agenthub_arguments, arguments in lines:
        assert hub.run(*agenthub_arguments) == hub.run(*arguments), agenthub_arguments
        assert hub.run(*agenthub_arguments).code == 0, agenthub_arguments
    result = hub.run("--update", "s1", "--state", "running")
    assert result == Result(0, "Session s1: init → running\n")
    result = hub.run("--state", "evaluating", "--update", "s1")
    assert result == Result(0, "Session s1: running → evaluating\n")


def test_invalid_value(hub: Hub) -> None:
    """An error about a value is printed without the usage, which would hide the error."""
    assert hub.run("list", "-n", "-1") == Result(129, "", "error: not a number of sessions: '-1'\n")


def test_quiet(hub: Hub) -> None:
    """-q suppresses notes, but not errors."""
    assert hub.run("list") == Result(
        0, "", "no sessions (create one with 'git hub-session init --task <text>')\n"
    )
    assert hub.run("list", "-q") == Result(0)
    hub.session("s1")
    assert hub.run("update", "-q", "s1", "--state", "running") == Result(0)
    refused = hub.run("update", "-q", "s1", "--state", "running")
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith("error: cannot go from 'running' to 'running'\n")


def test_porcelain_with_nul(hub: Hub) -> None:
    """-z selects porcelain with raw values, and with NUL in place of each newline."""
    hub.session("s1", task="two\nlines")
    porcelain = hub.run("list", "--format=porcelain").out
    assert 'task "two\\nlines"\n' in porcelain
    raw = hub.run("list", "-z")
    assert raw == hub.run("list", "-z", "--format=porcelain")
    assert raw.out == porcelain.replace("\n", "\0").replace('"two\\nlines"', "two\nlines")


ALIASES = Usage(
    ("try [<options>] <word>...",),
    (Option("--eval", "a value", "<command>"), Option("--stat", "a switch")),
    max_arguments=3,
    aliases=(
        ("--eval-cmd", "--eval"),
        ("--diff-summary", "--stat"),
        ("--session", "<id>"),
        ("--read", "read <channel>"),
        ("--post", "post"),
        ("--channel", "<channel>"),
    ),
)


@pytest.mark.parametrize(
    ("line", "arguments", "value"),
    [
        ("--eval-cmd true", (), "true"),
        ("--eval-cmd=true --eval false", (), "false"),
        ("--eval true --eval-cmd false", (), "false"),
        ("a --session s1", ("s1", "a"), None),
        ("--session=s1 a b", ("s1", "a", "b"), None),
        ("--read results", ("read", "results"), None),
        ("--channel results --post", ("post", "results"), None),
        ("--session -x", ("-x",), None),
        ("--session -- a", ("--", "a"), None),
    ],
)
def test_aliases(line: str, arguments: tuple[str, ...], value: str | None) -> None:
    args = parse_arguments(ALIASES, line.split())
    assert (args.arguments, args.value("eval")) == (arguments, value)


def test_alias_of_a_switch() -> None:
    assert parse_arguments(ALIASES, ["--diff-summary"]).is_set("stat")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--session", "option '--session' requires a value"),
        ("--read", "option '--read' requires a value"),
        ("--eval-cmd", "option '--eval-cmd' requires a value"),
        ("--post=x", "option '--post' takes no value"),
        ("--diff-summary=x", "option '--diff-summary' takes no value"),
        ("--eval-c true", "unknown option 'eval-c'"),
        ("--sess s1", "unknown option 'sess'"),
        ("--no-session", "unknown option 'no-session'"),
        ("--session s1 a b c", "too many arguments: 'c'"),
    ],
)
def test_aliases_are_not_abbreviated_or_negated(line: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}$"):
        parse_arguments(ALIASES, line.split())


def test_each_alias_means_an_option_of_the_command() -> None:
    """No alias replaces an option, and none is shown."""
    for name in COMMANDS:
        usage = usage_of(name)
        options = {f"--{option.name}" for option in usage.options}
        for spelling, meaning in usage.aliases:
            assert spelling not in options, name
            assert not meaning.startswith("--") or meaning in options, name
            assert f"{spelling} " not in format_usage(usage), name
