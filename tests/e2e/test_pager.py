"""Pagers, colors and the next command in a pseudo-terminal."""

from __future__ import annotations

import pexpect
import pytest

from tests.support.hub import NOW, Hub
from tests.support.terminal import run_in_terminal

MARKED = "sed s/^/page:/"
"""A pager that marks each line."""


def test_diff_uses_the_pager_and_the_colors_of_git(hub: Hub) -> None:
    hub.session(agents=1)
    hub.commit(hub.worktree(1), "file", "one\n")
    words = ("diff", "s1", "1")
    lines = run_in_terminal(hub, *words, environ={"GIT_PAGER": MARKED}).splitlines()
    assert all(line.startswith("page:") for line in lines)
    assert "page:\x1b[32m+\x1b[m\x1b[32mone\x1b[m" in lines
    assert "page:" not in run_in_terminal(hub, *words, environ={"GIT_PAGER": "cat"})
    hub.git("config", "pager.diff", "sed s/^/configured:/")
    assert run_in_terminal(hub, *words).startswith("configured:")


@pytest.fixture
def many(hub: Hub) -> Hub:
    """Return a hub with 30 sessions, and one with a long task."""
    for number in range(30):
        hub.session(f"s{number:02}")
    return hub


def test_a_long_list_uses_the_pager(many: Hub) -> None:
    """GIT_PAGER comes first, then pager.hub-session, core.pager and PAGER, as in git."""
    environ = {"PAGER": "sed s/^/pager:/", "GIT_PAGER": MARKED}

    def prefix(**variables: str) -> str:
        output = run_in_terminal(many, "list", rows=24, environ=variables)
        assert len(output.splitlines()) == 31
        prefixes = {line.partition("SESSION")[0].partition("s0")[0] for line in output.splitlines()}
        return min(prefixes).partition("s1")[0]

    assert prefix(**environ) == "page:"
    del environ["GIT_PAGER"]
    assert prefix(**environ) == "pager:"
    many.git("config", "core.pager", "sed s/^/core:/")
    assert prefix(**environ) == "core:"
    assert prefix(**environ, GIT_PAGER="cat") == ""
    assert prefix(**environ, GIT_PAGER="") == ""
    assert prefix(**environ, GIT_PAGER="no-such-pager 2>/dev/null") == ""


def test_settings_of_the_pager(many: Hub) -> None:
    """git starts the pager of `pager.hub-session` itself. There is never a second one."""
    for value, expected in (("sed s/^/own:/", "own:s"), ("true", "page:s"), ("false", "s")):
        many.git("config", "pager.hub-session", value)
        environ = {} if value.startswith("sed") else {"GIT_PAGER": MARKED}
        for program in ("git hub-session", "git-hub-session"):
            lines = run_in_terminal(
                many, "list", program=program, rows=24, environ=environ
            ).splitlines()
            assert lines[5].startswith(expected), (value, program, lines[5])


def test_outputs_without_a_pager(many: Hub) -> None:
    """A short text, another format, another command, and a pipe."""
    environ = {"GIT_PAGER": MARKED}
    for words, rows in (
        (("list",), 33),
        (("list", "--format=porcelain"), 24),
        (("init", "-h"), 24),
    ):
        code = 129 if "-h" in words else 0
        assert "page:" not in run_in_terminal(many, *words, rows=rows, code=code, environ=environ)
    assert "page:" in run_in_terminal(many, "list", rows=31, environ=environ)
    assert "page:" not in many.run("list", environ=environ).out


def test_wrapped_lines_count(hub: Hub) -> None:
    hub.session("s1", task="\n".join("word " * 60 for _ in range(6)))
    environ = {"GIT_PAGER": MARKED}
    assert "page:" in run_in_terminal(hub, "status", "s1", rows=24, environ=environ)
    assert "page:" not in run_in_terminal(
        hub, "status", "s1", columns=400, rows=24, environ=environ
    )


def test_less_shows_the_first_page_and_ends(many: Hub) -> None:
    """Ctrl-C does not end the command, and leaving the pager early is no error."""
    terminal = {"TERM": "xterm", "GIT_TEST_DATE_NOW": str(NOW)}
    with pexpect.spawn(
        "git-hub-session",
        ["list"],
        cwd=str(many.top),
        env={**many.environ, **terminal},
        encoding="utf-8",
        dimensions=(10, 80),
        timeout=60,
    ) as child:
        child.expect_exact("s07")
        child.expect_exact(":")
        child.sendintr()
        child.send(" ")
        child.expect_exact("s15")
        child.send("q")
        child.expect(pexpect.EOF)
        child.wait()
        assert (child.exitstatus, child.signalstatus) == (0, None)


def test_the_next_command(hub: Hub) -> None:
    """A person at a terminal sees it, and a program does not."""
    work = "-- sh -c 'echo x >new'"

    def hints(*words: str, code: int = 0, advice: str = "1") -> list[str]:
        environ = {"GIT_ADVICE": advice}
        lines = run_in_terminal(hub, *words, code=code, environ=environ).splitlines()
        return [line.partition(": git hub-session ")[2] for line in lines if "continue" in line]

    assert hints("init", "--id", "s1", "--task", "t", "--agents", "1", "-n") == []
    assert hints("init", "--id", "s1", "--task", "t", "--agents", "1") == ["spawn s1"]
    assert hints("spawn", "s1", "-n") == []
    assert hints("spawn", "s1") == ["exec s1 -- <command>"]
    assert hints("exec", "s1", "--", "false", code=1) == []
    assert hints("exec", "--commit", "s1", work) == ["eval s1"]
    assert hints("eval", "s1", "--ranking", "1") == ["merge s1"]
    assert hints("status", "s1") == []
    for words in (("-q",), ("--format=json",)):
        assert hints("eval", "s1", "--ranking", "1", *words) == []
    assert hints("eval", "s1", "--ranking", "1", advice="0") == []
    hub.git("config", "hubsession.advice", "false")
    assert hints("eval", "s1", "--ranking", "1") == []
    hub.git("config", "--unset", "hubsession.advice")
    assert "hint" not in hub.run("eval", "s1", "--ranking", "1").err
    assert hints("merge", "s1", "-n") == []
    assert hints("merge", "s1", "--yes") == ["report s1"]
    hub.session("s2")
    assert hints("archive", "s2", "-n") == []
    assert hints("archive", "s2") == ["report s2"]
    hub.session("s3")
    assert hints("update", "s3", "--state", "running") == ["exec s3 -- <command>"]
