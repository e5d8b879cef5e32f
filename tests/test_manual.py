"""Compare the manual page with the tables of options, the source, and the running program."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from signal import SIGINT, SIGPIPE, SIGTERM

import pytest

import git_hub_session
from git_hub_session import main
from git_hub_session.cleanup.rules import DISCARD, FORCE, RULES
from git_hub_session.cli.options import DRY_RUN, FORMAT, HELP, JOBS, QUIET, TIMEOUT, Option
from git_hub_session.commands import COMMANDS
from git_hub_session.errors import HubError, Refused, UsageError
from git_hub_session.schemas.schema import read_schema
from git_hub_session.settings.table import SETTINGS
from tests.support.command_usage import usage_of
from tests.support.doctor import FINDING_CODES
from tests.support.hub import CHECKOUT, Hub, Result
from tests.support.manual import PAGE, displays

SHARED = (DRY_RUN, QUIET, JOBS, TIMEOUT, *FORMAT, HELP)
COMMON = "Common options"

Sections = dict[str, dict[str, list[str]]]
Flag = tuple[str, str]


def sections() -> Sections:
    """Return the lines of the page by section (.Sh) and subsection (.Ss, or '' before the first)."""
    found: Sections = {}
    section, subsection = "", ""
    for line in PAGE.read_text().splitlines():
        if line.startswith(".Sh "):
            section, subsection = line[4:], ""
        elif line.startswith(".Ss "):
            subsection = line[4:]
        else:
            found.setdefault(section, {}).setdefault(subsection, []).append(line)
    return found


def words_of(macro: str, lines: list[str]) -> list[str]:
    """Return the arguments of a macro in the lines: "n" and "q" for `.Fl n , q`."""
    found = []
    for line in lines:
        is_argument = False
        for word in line.removeprefix(".").split() if line.startswith(".") else []:
            if re.fullmatch(r"[A-Z][a-z]", word):
                is_argument = word == macro
            elif is_argument and word not in (",", ".", ";", ":", ")", "("):
                found.append(word)
    return found


def flags_in(lines: list[str]) -> set[str]:
    return {f"-{word}" for word in words_of("Fl", lines)}


def items(lines: list[str]) -> dict[str, list[str]]:
    """Return the lines below each .It, by the head of the .It."""
    found: dict[str, list[str]] = {}
    head = ""
    for line in lines:
        if line.startswith(".It "):
            head = line[4:]
            found[head] = []
        elif line == ".El":
            head = ""
        elif head:
            found[head].append(line)
    return found


def described_options(lines: list[str]) -> dict[frozenset[Flag], list[str]]:
    """Return the text of each option with an item, by its spellings and values: ("-F", "<file>")."""
    found = {}
    for head, text in items(lines).items():
        spellings = re.findall(r"Fl (\S+)(?: (?:Ns Op = Ns )?Ar (\w+))?", head)
        if spellings:
            option = frozenset((f"-{flag}", value and f"<{value}>") for flag, value in spellings)
            found[option] = text
    return found


def spellings_of(option: Option) -> frozenset[Flag]:
    return frozenset((spelling, option.value) for spelling in option.spellings)


def test_commands_are_those_of_the_program_in_its_order() -> None:
    page = sections()
    assert [name for name in page["COMMANDS"] if name] == [*COMMANDS, COMMON]
    assert list(dict.fromkeys(words_of("Cm", page["SYNOPSIS"][""]))) == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_described_under_its_command(command: str) -> None:
    options = usage_of(command).options
    text = sections()["COMMANDS"][command]
    own = [option for option in options if option not in SHARED]
    shared = [option for option in options if option in SHARED]
    assert set(described_options(text)) == {spellings_of(option) for option in own}
    # A shared option is named by its shortest spelling. No other option is named.
    assert {option.spellings[0] for option in shared} <= flags_in(text)
    assert flags_in(text) <= {spelling for option in options for spelling in option.spellings}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_choice_is_named(command: str) -> None:
    commands = sections()["COMMANDS"]
    text = described_options(commands[COMMON]) | described_options(commands[command])
    for option in usage_of(command).options:
        choices = words_of("Cm", text[spellings_of(option)])
        assert set(option.choices) <= set(choices), option.flags


def test_shared_options_are_described_once() -> None:
    text = sections()["COMMANDS"][COMMON]
    version = frozenset({("--version", "")})
    assert set(described_options(text)) == {*map(spellings_of, SHARED), version}


def test_page_names_only_flags_of_commands() -> None:
    known = {"--version"} | {
        spelling
        for command in COMMANDS
        for option in (*usage_of(command).options, HELP)
        for spelling in option.spellings
    }
    assert flags_in(PAGE.read_text().splitlines()) - known == set()


def source() -> Iterator[ast.AST]:
    for path in sorted((CHECKOUT / "git_hub_session").rglob("*.py")):
        yield from ast.walk(ast.parse(path.read_text()))


def test_reason_codes_are_those_of_the_rules() -> None:
    """Reasons that are found after the decision are in the source: "cannot-save", "changed", "stuck"."""
    later_codes = {
        node.args[0].value
        for node in source()
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "Reason"
        and isinstance(node.args[0], ast.Constant)
    }
    heads = items(sections()["CLEANUP"]["What is kept"])
    codes = {head.removeprefix("Sy ") for head in heads}
    assert codes == {rule.code for rule in RULES} | later_codes
    schema = read_schema("cleanup")["$defs"]["kept_worktree"]["properties"]["code"]
    assert schema["enum"] == sorted(codes)


@pytest.mark.parametrize(
    ("option", "later_codes"), [(FORCE, set()), (DISCARD, {"unfaithful", "cannot-save"})]
)
def test_reasons_that_an_option_overrides_are_listed(option: str, later_codes: set[str]) -> None:
    text = "\n".join(sections()["CLEANUP"]["Limits of the options"])
    [paragraph] = [part for part in text.split(".Pp\n") if part.startswith(f".Fl -{option}")]
    rules = {rule.code for rule in RULES if rule.overridden_by == option}
    assert set(words_of("Sy", paragraph.splitlines())) == rules | later_codes


def error_classes() -> list[type[HubError]]:
    """Return all classes of errors."""
    for module in pkgutil.walk_packages(git_hub_session.__path__, "git_hub_session."):
        if module.name != "git_hub_session.__main__":
            importlib.import_module(module.name)
    classes: list[type[HubError]] = [HubError]
    for each in classes:  # it grows
        classes += each.__subclasses__()
    return [each for each in classes if each.__module__.startswith("git_hub_session.")]


def test_the_error_codes_are_those_of_the_source() -> None:
    """The page describes a code with the docstring of a class that has this code."""
    docstrings: dict[str, set[str]] = {}
    statuses: dict[str, set[int]] = {}
    for each in error_classes():
        statuses.setdefault(each.code, set()).add(each.exit_code)
        if "code" in vars(each):
            text = (each.__doc__ or "").partition("\n\n")[0]
            docstrings.setdefault(each.code, set()).add(" ".join(text.split()))
    text = "\n".join(sections()["OUTPUT FORMATS"]["JSON"])
    rows = re.findall(r"^\.It Sy (\S+) Pq (.+)\n((?:[^.].*\n)+)", text, re.MULTILINE)
    assert [code for code, _, _ in rows] == sorted(docstrings)
    assert {code: {int(shown)} for code, shown, _ in rows} == statuses  # each code has one status
    described = {code: " ".join(row.split()) for code, _, row in rows}
    assert {code: row for code, row in described.items() if row not in docstrings[code]} == {}
    schema = read_schema("error")["$defs"]["error"]["properties"]["code"]
    assert schema["enum"] == sorted(docstrings)


def test_environment_has_the_variables_that_the_source_reads() -> None:
    """The page leaves out PATH, and the variables for git's own tests."""
    read = set()
    for node in source():
        # git/discovery reads its variables with `caller.path`.
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
            ("environ.get", "caller.path")
        ):
            read.add(ast.unparse(node.args[0]))
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("environ"):
            read.add(ast.unparse(node.slice))
        elif isinstance(node, ast.Compare) and ast.unparse(node.comparators[0]).endswith("environ"):
            read.add(ast.unparse(node.left))
    names = {name.strip("'") for name in read if re.fullmatch(r"'[A-Z_]+'", name)}
    names -= {name for name in names if name.startswith("GIT_TEST_")}
    names -= {"PATH"}
    # The source builds these names from parts.
    composed = {"GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"}
    # git reads the first variable, and a script of hooks/ the second one.
    read_by_others = {"GIT_QUARANTINE_PATH", "GIT_HUB_SESSION_GUARD"}
    described = set(words_of("Ev", list(items(_macros("ENVIRONMENT")))))
    assert described == names | composed | read_by_others


def _macros(section: str) -> list[str]:
    """Return the lines of a section. The head of each .It becomes a line of macros."""
    lines = sections()[section][""]
    return [line.replace(".It ", ".It .", 1) for line in lines]


def test_the_configuration_is_the_table_of_settings() -> None:
    heads = items(sections()["CONFIGURATION"][""])
    assert [head.removeprefix("Cm ") for head in heads] == [each.key for each in SETTINGS]
    for setting, lines in zip(SETTINGS, heads.values(), strict=True):
        assert lines[0] == f"{setting.help[0].upper()}{setting.help[1:]}."
        assert set(setting.commands) <= set(words_of("Cm", lines)), setting.name
        shown = [word.replace("\\-", "-").removesuffix("\\&") for word in words_of("Ql", lines)]
        assert set(setting.default) <= set(shown), setting.name


def test_the_settings_of_the_file_are_listed() -> None:
    text = "\n".join(sections()["CONFIGURATION"][""])
    [paragraph] = [part for part in text.split(".Pp\n") if part.startswith("The file may have")]
    keys = {each.key for each in SETTINGS if each.is_project}
    assert set(words_of("Cm", paragraph.splitlines())) == keys


def test_the_source_names_no_other_setting() -> None:
    text = " ".join(
        str(node.value)
        for node in source()
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    named = set(re.findall(r"\bhubsession\.[a-zA-Z]+", text))
    assert named - {each.key for each in SETTINGS} == set()


def test_the_exit_statuses_are_those_of_the_program() -> None:
    signals = [128 + number for number in (SIGINT, SIGPIPE, SIGTERM)]
    answers = [0, Refused.exit_code, HubError.exit_code, UsageError.exit_code]
    heads = " , ".join(items(sections()["EXIT STATUS"][""]))
    assert [int(head) for head in heads.split(" , ")] == [*answers, *signals, main.BUG]


def test_mandoc_has_no_warning() -> None:
    if shutil.which("mandoc") is None:
        pytest.skip("no mandoc here")
    done = subprocess.run(
        ["mandoc", "-Tlint", "-W", "warning", PAGE], capture_output=True, text=True
    )
    assert Result(done.returncode, done.stdout, done.stderr) == Result(0)


@pytest.mark.parametrize(
    "command", [["mandoc", "-Tutf8", "-Owidth=80"], ["man", "--warnings", "-l"]], ids=lambda c: c[0]
)
def test_page_fits_eighty_columns(command: list[str], hub: Hub) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]} here")
    result = hub.call(*command, PAGE, environ={"MANWIDTH": "80"})
    lines = re.sub(".\b", "", result.out).splitlines()
    assert (result.code, result.err) == (0, "")
    assert [line for line in lines if len(line) > 80] == []
    assert any(line.startswith("AGENTHUB COMPATIBILITY") for line in lines)


def test_git_help_opens_the_page(hub: Hub, tmp_path: Path) -> None:
    if shutil.which("man") is None:
        pytest.skip("no man here")
    shutil.copytree(PAGE.parent, tmp_path / "share" / "man" / "man1")
    environ = {"MANPATH": str(tmp_path / "share" / "man"), "MANPAGER": "cat", "MANWIDTH": "80"}
    result = hub.call("git", "hub-session", "--help", environ=environ)
    assert (result.code, "sessions of parallel coding agents" in result.out) == (0, True), result


def test_commands_in_displays_can_be_copied() -> None:
    """man may show an unescaped ' or - as another character, which a shell does not know."""
    text = PAGE.read_text()
    shown = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", text, re.DOTALL | re.MULTILINE)
    assert [line for display in shown for line in re.findall(r"'|(?<!\\)-(?!>)", display)] == []


@pytest.mark.slow
def test_the_examples_work(hub: Hub) -> None:
    examples = displays(PAGE.read_text().partition(".Sh EXAMPLES\n")[2].partition(".Sh ")[0])
    session, aliases, notify, hook, swap, script, restore = examples
    hub.commit(hub.top, "speed", "9\n", "base")
    hub.commit(hub.top, "bench.py", 'print("ms:", open("speed").read())\n', "base")
    agent = Path(hub.environ["PATH"].partition(":")[0], "claude")
    agent.write_text(
        '#!/bin/sh\ntest "$* $(cat)" = "-p Make it fast" || exit\necho todo >notes\n'
        "echo $((7 - ${HUB_AGENT#agent-})) >speed\n"
        'git commit -qam "An idea" && test $HUB_AGENT = agent-1 || rm notes\n'
    )
    agent.chmod(0o755)
    result = hub.call("sh", "-e", "-c", session)
    assert (result.code, result.err.count("warning: agent-1: 1 file")) == (0, 1), result
    assert "   1  agent-2       5 " in result.out
    assert result.out.endswith(
        "agent-2: removed ../project.hub/fast/agent-2, kept its branch\n"
        "Cleaned up 2 worktrees for session fast\n"
        "Session fast: evaluating → merged\n"
    )
    assert (hub.top / "speed").read_text() == "5\n"
    assert hub.call("sh", "-e", "-c", aliases) == Result(0)
    assert hub.call("git", "hs", "list", "--format=porcelain").code == 0
    assert hub.call("git", "sweep") == Result(0, "", "no session to clean up\n")

    assert hub.call("sh", "-e", "-c", notify) == Result(0)
    assert "has finished" in hub.git("config", "hubsession.hook.agentDone")

    assert hub.call("sh", "-e", "-c", hook).code == 0
    assert hub.call("sh", "-e", "-c", restore).code == 0
    worktree = hub.top.parent / "project.hub" / "fast" / "agent-1"
    assert (worktree / "notes").read_text() == "todo\n"
    commit = ("git", "commit", "-q", "--allow-empty", "-m", "more")
    assert hub.call(*commit, cwd=worktree) == Result(
        1,
        "",
        "error: session 'fast' is finished, and gets no more commits\n"
        "hint: git hub-session init --task <text>\n",
    )
    assert hub.call(*commit) == Result(0)

    hub.git("hub-session", "init", "-q", "--id", "next", "--task", "more")
    hub.git("hub-session", "update", "next", "--state", "running")
    swap = swap.replace("fast", "next")
    assert hub.call("sh", "-c", swap) == Result(0, "Session next: running → evaluating\n")
    assert hub.call("sh", "-c", swap) == Result(
        1, "", "error: session 'next' is 'evaluating', not 'running'\n"
    )
    assert hub.call("sh", "-e", "-c", script) == Result(0, "next\n")


def test_displays_restore_show_and_delete_saved_work(hub: Hub) -> None:
    hub.session(agents=1)
    (hub.worktree(1) / "new").write_text("new\n")
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    restore, show_and_delete = (
        display.replace("<ref>", "refs/hub/rescue/s1/agent-1/attempt-1/1")
        .replace("<path>", str(hub.worktree(1)))
        .replace("<branch>", "hub/s1/agent-1/attempt-1")
        for display in displays(PAGE.read_text())
        if "<ref>" in display
    )
    assert hub.call("sh", "-e", "-c", restore).code == 0
    assert (hub.worktree(1) / "new").read_text() == "new\n"
    shown = hub.call("sh", "-e", "-c", show_and_delete)
    assert (shown.code, shown.err, "+new\n" in shown.out) == (0, "", True)
    assert hub.refs("refs/hub") == {}


def test_findings_are_those_of_the_doctor() -> None:
    heads = [head for lines in sections()["DOCTOR"].values() for head in items(lines)]
    named = [word for head in heads for word in words_of("Sy", [f".{head}"])]
    assert sorted(named) == sorted(FINDING_CODES)
    finding = read_schema("doctor")["properties"]["findings"]["items"]
    assert finding["properties"]["code"]["enum"] == sorted(FINDING_CODES)
