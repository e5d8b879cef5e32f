"""Start a shell or an editor in the worktree of an agent."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.hints import followed, types
from tests.support.hub import PYTHON, Hub, Result, is_alive


@pytest.fixture
def spawned(hub: Hub) -> Hub:
    """Return a session with a worktree for its only agent."""
    hub.run("init", "-q", "--id", "s1", "--task", "Make it fast", "--agents", "1")
    hub.run("spawn", "-q", "s1")
    return hub


def worktree(hub: Hub) -> Path:
    return hub.top.parent / "project.hub" / "s1" / "agent-1"


def test_a_shell_has_the_variables_of_exec(spawned: Hub) -> None:
    """Git's variables and those of an outer run are missing. The exit status is the shell's."""
    script = 'env | grep -E "^(HUB_|GIT_DIR|PWD)" | sort; pwd; cat "$HUB_PROMPT_FILE"; exit 3'
    outer = {"GIT_DIR": str(spawned.top / ".git"), "HUB_STRATEGY": "outer", "SHELL": "/bin/sh"}
    result = spawned.run("shell", "s1", "1", stdin=script, environ=outer)
    exec_words = ("exec", "--format=json", "s1", "--", "sh", "-c", script)
    spawned.run(*exec_words)
    expected = (spawned.directory() / "output" / "exec-1" / "agent-1.log").read_text()
    kept = [line for line in expected.splitlines() if not line.startswith("HUB_RUN")]
    assert "HUB_TASK=Make it fast" in kept
    assert f"PWD={worktree(spawned)}" in kept
    assert result == Result(3, "".join(f"{line}\n" for line in kept))


def test_a_killed_shell(spawned: Hub) -> None:
    """The exit status is that of a shell: 128 plus the signal."""
    environ = {"SHELL": "/bin/sh"}
    assert spawned.run("shell", "s1", "1", stdin="kill -9 $$", environ=environ).code == 137


def test_ctrl_c_belongs_to_the_shell(spawned: Hub, tmp_path: Path) -> None:
    """SIGINT does not end `git hub-session shell`. SIGTERM ends it with its shell."""
    shell = tmp_path / "shell"
    shell.write_text(
        f"#!{PYTHON}\nimport os, signal\n"
        "signal.signal(signal.SIGINT, lambda *_: os.write(1, b'int\\n'))\n"
        "os.write(1, b'%d\\n' % os.getpid())\nwhile True: signal.pause()\n"
    )
    shell.chmod(0o755)
    with subprocess.Popen(
        ["git-hub-session", "shell", "s1", "1"],
        cwd=spawned.top,
        env={**spawned.environ, "SHELL": str(shell)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            os.kill(pid, signal.SIGINT)
            assert process.stdout.readline() == "int\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == -signal.SIGTERM
    assert not is_alive(pid)


@types("set SHELL to the path of a shell")
def test_a_shell_that_does_not_exist(spawned: Hub) -> None:
    result = spawned.run("shell", "s1", "1", environ={"SHELL": "/no/shell"})
    hint = "set SHELL to the path of a shell"
    assert result == Result(
        128, "", f"fatal: cannot run '/no/shell': No such file or directory\nhint: {hint}\n"
    )
    assert spawned.run("shell", "s1", "1", environ={"SHELL": "/bin/sh"}) == Result(0)
    followed.append(hint)


@pytest.mark.parametrize("state", ["init", "running", "archived"])
def test_no_worktree(hub: Hub, state: str) -> None:
    """The hint creates the worktree."""
    hub.session("s1", agents=0 if state == "init" else 1)
    if state != "init":
        hub.run("update", "-q", "s1", "--state", "running")
        assert hub.run("cleanup" if state == "running" else "archive", "-q", "s1").code == 0
    for command in ("shell", "open", "path"):
        result = hub.run(command, "s1", "1")
        hint = "spawn s1" if state == "init" else "restore s1 --agent agent-1"
        error = "error: agent-1 of session 's1' has no worktree\n"
        assert result == Result(1, "", f"{error}hint: git hub-session {hint}\n")
    assert hub.run(*hint.split()).code == 0
    assert hub.run("path", "s1", "1").code == 0


def test_the_editor(spawned: Hub) -> None:
    """hubsession.editor comes first, then git's rules: GIT_EDITOR, core.editor, VISUAL, EDITOR."""
    path = worktree(spawned)
    environ = {"GIT_EDITOR": "", "TERM": "xterm"}
    for variables, setting, expected in (
        ({"EDITOR": "echo editor"}, (), "editor"),
        ({"EDITOR": "echo editor", "VISUAL": "echo visual -n"}, (), "visual -n"),
        ({"VISUAL": "echo visual"}, ("core.editor", "echo core"), "core"),
        ({"GIT_EDITOR": "echo git"}, (), "git"),
        (
            {"GIT_EDITOR": "echo git"},
            ("hubsession.editor", "pwd; echo 'my own'"),
            f"{path}\nmy own",
        ),
    ):
        if setting:
            spawned.git("config", *setting)
        merged = {**environ, **variables}
        kept = {name: value for name, value in merged.items() if value}
        base = {name: value for name, value in spawned.environ.items() if name != "GIT_EDITOR"}
        hub = Hub(spawned.top, {**base, **kept}, through_git=True)
        assert hub.run("open", "s1", "1") == Result(0, f"{expected} {path}\n")


def test_the_exit_status_of_the_editor(spawned: Hub) -> None:
    for command, code in (("exit 3;", 3), ("kill -15 $$;", 143), (":", 0), ("no-such-editor", 127)):
        spawned.git("config", "hubsession.editor", command)
        assert spawned.run("open", "1", cwd=worktree(spawned)).code == code


@types("git config hubsession.editor <command>")
def test_no_editor(spawned: Hub) -> None:
    """git starts no editor of its own on a terminal that cannot show one."""
    names = ("GIT_EDITOR", "VISUAL", "EDITOR")
    kept = {name: value for name, value in spawned.environ.items() if name not in names}
    hub = Hub(spawned.top, {**kept, "TERM": "dumb"}, through_git=True)
    hint = "git config hubsession.editor <command>"
    reason = "Terminal is dumb, but EDITOR unset"
    expected = Result(128, "", f"fatal: git names no editor: {reason}\nhint: {hint}\n")
    assert hub.run("open", "s1", "1") == expected
    assert hub.call("sh", "-c", hint.replace("<command>", "echo")).code == 0
    assert hub.run("open", "s1", "1") == Result(0, f"{worktree(spawned)}\n")
    followed.append(hint)
