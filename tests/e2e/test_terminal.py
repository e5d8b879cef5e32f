"""The width, the colors, the progress and Ctrl-C in a pseudo-terminal."""

from __future__ import annotations

import re
import shlex
import unicodedata

import pexpect
import pytest

from tests.support.clones import add_clone, bare_remote, connect
from tests.support.hub import CHECKOUT, PATIENT, PYTHON, Hub, Result
from tests.support.locks import lock_directory, wait_for_lock_waiter
from tests.support.measured_sessions import agent_worktree, create_measurable_session
from tests.support.terminal import run_in_terminal

TASKS = {
    "ascii": "Make the parser twice as fast without giving up a single one of its error messages",
    "wide": "漢字" * 30,
    "marks": "e\u0301" * 80,
}


def display_width(line: str) -> int:
    """Return the width of a line in a terminal. Do not use the package."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", line)
    marks = sum(unicodedata.category(char) == "Mn" for char in plain)
    wide = sum(unicodedata.east_asian_width(char) == "W" for char in plain)
    return len(plain) - marks + wide


@pytest.mark.parametrize("columns", [80, 60, 120])
def test_tasks_are_truncated_to_the_terminal(hub: Hub, columns: int) -> None:
    """Each line fills the width, or all but one column. In a pipe, no text is truncated."""
    for sid, task in TASKS.items():
        hub.session(sid, task=task)
    lines = run_in_terminal(hub, "list", columns=columns).splitlines()
    assert len(lines) == 4
    for line in lines[1:]:
        assert columns - 1 <= display_width(line) <= columns
        assert line.endswith("…")
    piped = hub.run("list").out
    assert all(task in piped for task in TASKS.values())


def test_narrow_terminal(hub: Hub) -> None:
    """The age is omitted first, then the number of agents. The task keeps ten columns."""
    hub.session("ascii", task=TASKS["ascii"])
    arguments = ("list", "--color=never")
    assert run_in_terminal(hub, *arguments, columns=40).splitlines() == [
        "SESSION ID  STATE  AGENTS  TASK",
        "ascii       init   1       Make the par…",
    ]
    assert (
        run_in_terminal(hub, *arguments, columns=36).splitlines()[1]
        == "ascii       init   Make the parser …"
    )
    line = run_in_terminal(hub, *arguments, columns=20).splitlines()[1]
    assert line.endswith("  Make the …")


def test_narrow_ranking(hub: Hub) -> None:
    """SPREAD is omitted, and so are DELTA if no agent has a value, FILES and +/-."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    hub.run("spawn", "-q", "s1")
    for agent in (1, 2):
        hub.commit(hub.top.parent / "project.hub" / "s1" / f"agent-{agent}", "new", "x\n")
    measure = ("eval", "s1", "--eval", "'echo ms: 5'", "--metric", "ms", "--direction", "lower")
    row = "   1  agent-1       5      1  +1/-0  tie"
    assert run_in_terminal(hub, *measure, columns=40).splitlines()[:2] == [
        "RANK  AGENT    METRIC  FILES  +/-",
        row,
    ]
    with_baseline = run_in_terminal(hub, *measure, "--baseline", "7", columns=40).splitlines()
    assert with_baseline[:2] == [
        "RANK  AGENT    METRIC  DELTA  +/-",
        "   1  agent-1       5     -2  +1/-0  tie",
    ]
    assert run_in_terminal(hub, *measure, columns=80).splitlines()[0].split()[3:5] == [
        "DELTA",
        "SPREAD",
    ]


def ranking_lines(shown: str) -> list[str]:
    """Return the lines from the table on. On a slow machine, a progress line precedes the table."""
    return f"RANK{shown.partition('RANK')[2]}".splitlines()


def test_long_remarks_are_below_their_row(hub: Hub) -> None:
    """The remarks are complete, and lines break between words."""
    create_measurable_session(hub, "ms: 5.25\n", "ms: 7.5\n", "ms: 7.5\n")
    for agent in (2, 3):
        (agent_worktree(hub, agent) / "new").touch()
    assert hub.run("exec", "-q", "--only=3", "s1", "--", "sh", "-c", "exit 7").code == 1
    measure = ("s1", "--eval", "'cat ms'", "--metric", "ms", "--direction", "lower", "--repeat=3")
    arguments = ("eval", *measure, "--baseline", "9", "--color=never")
    lines = ranking_lines(run_in_terminal(hub, *arguments, columns=80))
    assert lines[:6] == [
        "RANK  AGENT         METRIC  DELTA  SPREAD  FILES  +/-",
        "   1  agent-1  5.25 ±0 (3)  -3.75       0      1  +1/-0",
        "   2  agent-2   7.5 ±0 (3)   -1.5       0      1  +1/-0",
        "      1 file uncommitted, not measured",
        "   -  agent-3            -      -       -      1  +1/-0",
        "      failed with exit code 7, 1 file uncommitted, not measured",
    ]
    lines = ranking_lines(run_in_terminal(hub, *arguments, columns=32))
    assert lines == [
        "RANK  AGENT         METRIC",
        "   1  agent-1  5.25 ±0 (3)",
        "      delta -3.75",
        "   2  agent-2   7.5 ±0 (3)",
        "      delta -1.5",
        "      1 file uncommitted, not",
        "        measured",
        "   -  agent-3            -",
        "      failed with exit code 7,",
        "        1 file uncommitted, not",
        "        measured",
        "hint: continue with: git hub-session merge s1",
    ]
    log = run_in_terminal(hub, "log", "--evaluations", "s1", columns=40).splitlines()
    tip = hub.git("rev-parse", "--short=12", "hub/s1/agent-1/attempt-1")
    assert log[3:5] == [f"       1  agent-1  {tip}", "          ms: 5.25 (median of 3)"]
    status = run_in_terminal(hub, "status", "s1", "--color=never", columns=40)
    assert "    agent-3  failed (7)     -\r\n      1 file uncommitted, not measured\r\n" in status


def test_next_command_of_cleanup_and_delete(hub: Hub) -> None:
    """`cleanup` names the command that goes on with the session, and `delete` the one that lists."""
    hub.session("s1", agents=1)
    hub.run("update", "-q", "s1", "--state", "running")
    hint = "hint: continue with: git hub-session"
    assert run_in_terminal(hub, "cleanup", "s1").splitlines()[-1] == f"{hint} restore s1"
    assert hub.run("restore", "-q", "s1") == Result(0)
    hub.run("update", "-q", "s1", "--state", "evaluating")
    assert run_in_terminal(hub, "cleanup", "s1").splitlines()[-1] == f"{hint} merge s1"
    assert hint not in run_in_terminal(hub, "cleanup", "s1")
    assert hub.run("init", "-q", "--id", "s2", "--task", "t").code == 0
    assert run_in_terminal(hub, "delete", "s2").splitlines() == [
        "Deleted session s2",
        f"{hint} list",
    ]


def test_next_command_of_fetch(hub: Hub) -> None:
    """The fetched session is looked at, or several sessions are listed."""
    remote = str(bare_remote(hub))
    connect(hub, remote)
    hub.session("s1").session("s2")
    assert hub.run("push", "-q", "s1") == Result(0)
    other = add_clone(hub, "second", remote)
    hint = "hint: continue with: git hub-session"
    assert hint not in run_in_terminal(other, "fetch", "-n")
    assert run_in_terminal(other, "fetch").splitlines()[-1] == f"{hint} status s1"
    assert hint not in run_in_terminal(other, "fetch")
    hub.run("update", "-q", "s1", "--state", "running")
    assert hub.run("push", "-q") == Result(0)
    assert run_in_terminal(other, "fetch").splitlines()[-1] == f"{hint} list"


def test_each_command_names_the_next_one(hub: Hub) -> None:
    """The named command is typed next. Some need the words that only the user knows."""
    hub.commit(hub.top, "ms", "ms: 50\n")
    script = 'echo "ms: ${HUB_AGENT#agent-}" >ms; git commit -qam m'
    measure = (
        "--eval",
        "cat ms",
        "--metric",
        "ms",
        "--direction",
        "lower",
        "--no-guard",
        "--force",
    )
    steps = [
        (["init", "--id", "s1", "--task", "t", "--agents", "2"], "spawn s1"),
        (["spawn", "s1"], "exec s1 -- <command>"),
        (["exec", "s1", "--", "sh", "-c", script], "eval s1"),
        (["adopt", "s1", "agent-1", "other"], "eval s1"),
        (["eval", *measure, "s1"], "merge s1"),
        (["merge", "--yes", "--agent", "2", "s1"], "report s1"),
        (["restore", "s1", "--agent", "2"], "status s1"),
        (["cleanup", "s1"], "report s1"),
        (
            ["run", "--id", "s2", "--task", "t", "--yes", "--agent-cmd", script, *measure[:-2]],
            "report s2",
        ),
    ]
    for words, following in steps:
        if words[0] == "adopt":
            hub.git("branch", "other", "hub/s1/agent-2/attempt-1")
        lines = run_in_terminal(hub, *map(shlex.quote, words)).splitlines()
        hints = [line for line in lines if line.startswith("hint: continue with: ")]
        assert hints == [f"hint: continue with: git hub-session {following}"], (words, lines)


def test_narrow_table_of_exec(hub: Hub) -> None:
    """The paths of the logs are below their rows. The exit status of a failed agent is red."""
    create_measurable_session(hub, "x\n", "x\n")
    arguments = ("exec", "s1", "--", "test", "-e", "missing")
    lines = run_in_terminal(hub, *arguments, columns=40, code=1).splitlines()
    log = "  .agenthub/sessions/s1/output/exec-1"
    assert [re.sub(r"\d\.\ds", "0.0s", line) for line in lines] == [
        "AGENT    EXIT  TIME  COMMITS",
        "agent-1  \x1b[31m1   \x1b[m  0.0s        0",
        f"{log}/agent-1.log",
        "agent-2  \x1b[31m1   \x1b[m  0.0s        0",
        f"{log}/agent-2.log",
    ]


@pytest.mark.parametrize(
    ("columns", "planned", "row"),
    [
        (
            80,
            [
                "agent-2: would remove ../project.hub/s1/agent-2, would save uncommitted work,",
                "    would keep its branch",
            ],
            [
                "agent-2: removed ../project.hub/s1/agent-2, saved uncommitted work,",
                "    tagged as hub/archive/s1/agent-2",
            ],
        ),
        (
            40,
            [
                "agent-2: would remove",
                "    ../project.hub/s1/agent-2,",
                "    would save uncommitted work,",
                "    would keep its branch",
            ],
            [
                "agent-2: removed",
                "    ../project.hub/s1/agent-2,",
                "    saved uncommitted work,",
                "    tagged as hub/archive/s1/agent-2",
            ],
        ),
    ],
)
def test_narrow_rows_of_cleanup_and_merge(
    hub: Hub, columns: int, planned: list[str], row: list[str]
) -> None:
    """A row continues on indented lines. No path is split. In a pipe, there is one line."""
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    (agent_worktree(hub, 2) / "new").write_text("new\n")
    assert hub.run("eval", "-q", "--ranking=1,2", "s1").code == 0
    lines = run_in_terminal(hub, "cleanup", "-n", "s1", columns=columns).splitlines()
    first = lines.index(planned[0])
    assert lines[first : first + len(planned)] == planned
    assert hub.run("cleanup", "-n", "s1").out.splitlines()[1] == " ".join(
        line.strip() for line in planned
    )
    lines = run_in_terminal(hub, "merge", "--yes", "s1", columns=columns).splitlines()
    first = lines.index(row[0])
    assert lines[first : first + len(row)] == row


def test_columns_and_ellipsis_of_the_environment(hub: Hub) -> None:
    """COLUMNS overrides the terminal, as in git. The ellipsis is ASCII in an ASCII locale."""
    hub.session("ascii", task=TASKS["ascii"])
    line = run_in_terminal(
        hub, "list", "--color=never", columns=80, environ={"COLUMNS": "70", "LC_ALL": "C"}
    )
    assert [len(text) for text in line.splitlines()][1:] == [70]
    assert line.endswith("...\r\n")


def test_color(hub: Hub) -> None:
    """A terminal gets colors, except with NO_COLOR, TERM=dumb or --color=never."""
    hub.session("s1")
    colored = "\x1b[36minit \x1b[m"
    assert colored in run_in_terminal(hub, "list", columns=80)
    for variables in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "\x1b" not in run_in_terminal(hub, "list", columns=80, environ=variables)
        assert colored in run_in_terminal(
            hub, "list", "--color=always", columns=80, environ=variables
        )
        assert colored in run_in_terminal(hub, "list", "--color", columns=80, environ=variables)
    assert "\x1b" not in run_in_terminal(hub, "list", "--color=never", columns=80)
    for format_ in ("json", "porcelain"):
        assert "\x1b" not in run_in_terminal(
            hub, "list", "--color=always", f"--format={format_}", columns=80
        )
    assert "\x1b" not in hub.run("list").out
    assert colored in hub.run("list", "--color=always").out


def test_pager_of_git(hub: Hub) -> None:
    """A pager that git starts (pager.hub-session) gets colors, and no text is truncated."""
    hub.session("s1", task=TASKS["ascii"])
    hub.git("config", "pager.hub-session", "sed 's/^/paged: /'")
    output = run_in_terminal(hub, "list", columns=60)
    assert output.startswith("paged: SESSION ID")
    assert f"\x1b[36minit \x1b[m  1       0 seconds ago  {TASKS['ascii']}\r\n" in output


def test_progress(hub: Hub) -> None:
    """Each step prints a progress line before the result, also if forked processes do the work."""
    hub.session("s1", agents=2)
    (hub.worktree(2) / "new").write_text("new\n")

    def run(*arguments: str) -> str:
        return run_in_terminal(hub, *arguments, columns=200, environ={"GIT_PROGRESS_DELAY": "0"})

    output = run("cleanup", "s1")
    assert output.startswith(
        "\rSaving work:  50% (1/2)\rSaving work: 100% (2/2), done.\r\n"
        "\rRemoving worktrees:  50% (1/2)\rRemoving worktrees: 100% (2/2), done.\r\n"
        "agent-1: removed ../"
    )
    assert hub.run("init", "-q", "--id", "s2", "--task", "x", "--agents", "9").code == 0
    output = run("spawn", "s2")
    assert "\rAdding worktrees: 100% (9/9), done.\r\nSpawned agent-1 in " in output
    output = run("archive", "s2")
    assert "\rRemoving worktrees: 100% (9/9), done.\r\nagent-1: removed ../" in output
    assert "Removing" not in run("cleanup", "s2")


def test_the_progress_of_an_evaluation_ends_if_an_agent_fails(hub: Hub) -> None:
    """The runs that are not necessary leave no open line before the result."""
    hub.session("s1", agents=2)
    for number in (1, 2):
        hub.commit(hub.worktree(number), "value", f"{number}\n")
    hub.run("update", "-q", "s1", "--state", "running")
    command = "'grep 1 value >number && echo ms: $(cat number)'"
    words = ("eval", "s1", "--eval", command, "--metric", "ms", "--direction", "lower")
    output = run_in_terminal(
        hub, *words, "--repeat", "3", columns=200, environ={"GIT_PROGRESS_DELAY": "0"}
    )
    progress, _, result = output.partition(", done.\r\n")
    assert progress.endswith("\rMeasuring:  66% (4/6)\rMeasuring: 100% (6/6)")
    assert result.startswith("RANK ")


def test_output_during_the_progress_starts_on_a_line_of_its_own(hub: Hub) -> None:
    program = hub.top.parent / "program.py"
    program.write_text(
        f"import sys; sys.path.insert(0, {str(CHECKOUT)!r})\n"
        "from git_hub_session.cli.output import OutputOptions\n"
        "from git_hub_session.cli.output import report_error, write_stderr_line, write_stdout\n"
        "from git_hub_session.cli.progress.lines import ElapsedLine, make_progress\n"
        "from git_hub_session.errors import HubError\n"
        "show = make_progress('Measuring', 3)\n"
        "show(1), write_stderr_line('warning: slow'), show(2), write_stdout('half\\n')\n"
        "show(3), write_stdout('all\\n')\n"
        "line = ElapsedLine(is_enabled=True)\n"
        "line.start('agent-1'), line.update(), line.clear(), line.clear()\n"
        "make_progress('Judging', 2)(1), report_error(HubError('lost'), OutputOptions())\n"
    )
    words = ("-I", str(program))
    output = run_in_terminal(hub, *words, program=PYTHON, environ={"GIT_PROGRESS_DELAY": "0"})
    running = "Running: agent-1 0:00"
    assert output == (
        "\rMeasuring:  33% (1/3)\r\nwarning: slow\r\n"
        "\rMeasuring:  66% (2/3)\r\nhalf\r\n"
        "\rMeasuring: 100% (3/3), done.\r\nall\r\n"
        f"\r{running}\r{' ' * len(running)}\r"
        "\rJudging:  50% (1/2)\r\nfatal: lost\r\n"
    )


def test_long_numbers_in_the_environment(hub: Hub) -> None:
    """The command ignores variables with 5,000 digits, which Python cannot convert to an integer."""
    digits = "1" * 5_000
    hub.session("s1", agents=1, task=TASKS["ascii"])
    line = run_in_terminal(
        hub, "list", "--color=never", columns=60, environ={"COLUMNS": digits}
    ).splitlines()[1]
    assert display_width(line) == 60
    output = run_in_terminal(
        hub, "cleanup", "s1", columns=200, environ={"GIT_PROGRESS_DELAY": digits}
    )
    assert output.startswith("agent-1: removed ../")


def test_interrupt_in_a_terminal(hub: Hub) -> None:
    """Ctrl-C ends the command without a message, and the shell gets the exit status 130."""
    hub.session("s1")
    script = "git hub-session update s1 --state running; echo code=$?"
    with lock_directory(hub.directory()):
        child = pexpect.spawn(
            "bash", ["-c", f"trap : INT; echo go; {script}"], cwd=str(hub.top),
            env={**hub.environ, **PATIENT, "TERM": "xterm"}, encoding="utf-8", timeout=120,
        )  # fmt: skip
        child.expect("go\r\n")
        wait_for_lock_waiter(hub.directory())
        child.sendintr()
        child.expect("code=130\r\n")
        assert str(child.before).strip() == "^C"
        child.close()
    assert hub.state("s1")["state"] == "init"
