"""GIT_HUB_SESSION_TRACE: what it tells is played back, and has to lead where the command led."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from git_hub_session.system import trace
from tests.commands.test_merge import place
from tests.support.cleanup import everything
from tests.support.coverage import VARIABLE as MEASURED
from tests.support.hub import CHECKOUT, COMMAND, Hub, Result

VARIABLE = "GIT_HUB_SESSION_TRACE"
KINDS = "start|end|create|write|mkdir|rmdir|remove|rename|replace|link|symlink|ref|lock|unlock"
LINE = re.compile(rf"\d\d:\d\d:\d\d\.\d{{6}} git-hub-session\[(\d+)\] +({KINDS}): (.*)")

WRITTEN = "written since"


class Line(NamedTuple):
    """What one line tells."""

    pid: str
    kind: str
    text: str


class World(NamedTuple):
    """Everything on disk, by absolute path, and every ref."""

    files: dict[str, bytes | str]
    refs: dict[str, str]


def parsed(log: str) -> list[Line]:
    """Every line of a log; each has to be whole."""
    told = os.environ.get(MEASURED)  # where a process that is measured writes in the end
    lines = log.removesuffix("\n").split("\n")
    found = [LINE.fullmatch(line) for line in lines if not (told and told in line)]
    assert None not in found, log
    return [Line(*match.groups()) for match in found if match is not None]


def seen(hub: Hub) -> World:
    above = hub.top.parent
    return World(
        {f"{above}/{path.rstrip('/')}": what for path, what in everything(hub).items()}, hub.refs()
    )


def played_back(log: list[Line], before: World) -> World:
    """The paths and refs of `before` after all that the log tells; a file's content it does not."""
    files, refs = dict(before.files), dict(before.refs)
    for _, kind, text in log:
        words = shlex.split(text)
        if kind in ("create", "write", "mkdir"):
            files[words[0]] = WRITTEN
        elif kind in ("rename", "replace", "link"):
            source, _, target = words
            for path in [path for path in files if path == source or path.startswith(f"{source}/")]:
                files[target + path.removeprefix(source)] = files[path]
                if kind != "link":
                    del files[path]
        elif kind == "remove" or (
            kind == "rmdir" and not any(path.startswith(f"{words[0]}/") for path in files)
        ):
            files.pop(words[0], None)
        elif kind == "ref":
            verb, ref, oid, *old = words
            assert [refs.pop(ref, "")] == {"create": [""], "delete": [oid], "update": old}[verb]
            if verb != "delete":
                refs[ref] = oid
    return World(files, refs)


def traced(hub: Hub, *words: str, by_git: tuple[str, ...] = (), code: int = 0) -> list[Line]:
    """Run a command, and hold what it tells against what has become of the world.

    What git itself makes and removes is its own affair: below `by_git`, and in .git but for
    the entries of worktrees.
    """
    file = hub.top.parent.parent / "trace"
    file.unlink(missing_ok=True)
    before = seen(hub)
    result = hub.run(*words, environ={VARIABLE: str(file)})
    assert result.code == code, result
    log, after = parsed(file.read_text()), seen(hub)
    told = played_back(log, before)
    private = re.escape(f"{hub.top}/.git/") + "(?!worktrees)"
    git = re.compile("|".join([private, *map(re.escape, by_git)]))
    paths = {path for path in after.files if not git.match(path)}
    assert {path for path in told.files if not git.match(path)} == paths
    assert told.refs == after.refs
    untold = {path for path in paths if told.files[path] not in (WRITTEN, after.files[path])}
    assert untold == set()
    assert log[0][1:] == ("start", f"git hub-session {shlex.join(words)}")
    assert log[-1].text.startswith(f"git hub-session {shlex.join(words)}: exit {code} after ")
    starts, ends = commands(log, "start"), commands(log, "end")
    assert (Counter(starts), log[-1].kind) == (Counter(ends), "end")
    locks = [line.text.partition(": ")[0] for line in log if line.kind == "lock"]
    assert Counter(locks) == Counter(line.text for line in log if line.kind == "unlock")
    return log


def commands(log: list[Line], kind: str) -> list[str]:
    """The command lines that were started, or have ended; not where."""
    texts = [line.text for line in log if line.kind == kind]
    if kind == "start":
        return [re.sub(r"^cd \S+; ", "", text) for text in texts]
    return [text.rpartition(": ")[0] for text in texts]


@pytest.fixture
def hub(hub: Hub) -> Hub:
    """The repository, in a directory where nothing else is."""
    above = hub.top.parent / "world"
    above.mkdir()
    hub.top = hub.top.rename(above / "project")
    return hub


def test_a_tournament_told_from_its_first_line_to_its_last(hub: Hub) -> None:
    traced(hub, "init", "-q", "--id", "s1", "--task", "Faster", "--agents", "2")
    worktrees = str(hub.top.parent / "project.hub")
    entries = f"{hub.top}/.git/worktrees"
    spawned = traced(hub, "spawn", "-q", "s1", by_git=(worktrees, entries))
    base = hub.git("rev-parse", "main")
    assert [line.text for line in spawned if line.kind == "ref"] == [
        f"create refs/heads/hub/s1/agent-{agent}/attempt-1 {base}" for agent in (1, 2)
    ]
    where = f"{worktrees}/s1/agent"
    assert {
        f"git worktree add --quiet -- {where}-{agent} hub/s1/agent-{agent}/attempt-1"
        for agent in (1, 2)
    } < set(commands(spawned, "start"))
    for agent in (1, 2):
        hub.commit(place(hub, agent), "new", f"{agent}\n")
    traced(hub, "board", "post", "results", "-m", "done")
    assert [
        line.text
        for line in traced(
            hub, "exec", "-q", "--agents", "2", "s1", "--", "sh", "-c", "exit 3", code=1
        )
        if line.kind == "start"
    ][1:] == [f"cd {where}-2; sh -c 'exit 3'"]
    traced(hub, "eval", "-q", "--ranking", "2,1", "s1")
    merged = traced(hub, "merge", "-q", "--yes", "s1", by_git=(f"{hub.top}/new",))
    tip = hub.git("rev-parse", "main")
    assert f"update refs/heads/main {tip} {base}" in [line.text for line in merged]


def test_what_goes_and_comes_back_is_told_file_by_file(hub: Hub) -> None:
    hub.session("s1", agents=2)
    (hub.worktree(1) / "sub" / "my new").write_text("new\n")
    cleaned = traced(hub, "cleanup", "-q", "--archive", "s1")
    trash = f"{hub.worktrees}/s1/.agent-1.hub-trash"
    assert ("rename", f"{hub.worktree(1)} -> {trash}") in [line[1:] for line in cleaned]
    assert ("remove", f"'{trash}/sub/my new'") in [line[1:] for line in cleaned]
    by_git = (str(hub.top.parent / "project.hub"), f"{hub.top}/.git/worktrees")
    traced(hub, "restore", "-q", "s1", by_git=by_git)
    assert (place(hub, 1) / "sub" / "my new").read_text() == "new\n"
    traced(hub, "archive", "-q", "s1")
    assert not place(hub, 1).exists()


def test_a_rehearsal_tells_of_no_change(hub: Hub) -> None:
    hub.session("s1", agents=1)
    before = everything(hub)
    log = traced(hub, "cleanup", "--archive", "-n", "s1")
    assert {line.kind for line in log} <= {"start", "end"}
    assert everything(hub) == before


def test_a_refused_change_of_refs_is_none(hub: Hub) -> None:
    """git says no: how it ended is told, and no ref."""
    hub.session("s1")
    hook = hub.top / ".git" / "hooks" / "reference-transaction"
    hook.write_text('#!/bin/sh\ntest "$1" != prepared\n')
    hook.chmod(0o755)
    log = traced(hub, "spawn", "-q", "s1", code=128)
    assert any(": exit 128 after " in line.text for line in log), log
    assert "ref" not in {line.kind for line in log}


def test_what_forks_do_is_told_in_whole_lines(hub: Hub) -> None:
    assert hub.run("init", "-q", "--id", "s1", "--task", "x", "--agents", "8").code == 0
    by_git = (str(hub.top.parent / "project.hub"), f"{hub.top}/.git/worktrees")
    log = traced(hub, "spawn", "-q", "s1", by_git=by_git)
    assert len({line.pid for line in log}) > 1
    # Some more than once: git dies of an entry that another one is just making.
    added = {text for text in commands(log, "end") if text.startswith("git worktree add ")}
    assert len(added) == 8


@pytest.mark.parametrize("value", ["", "0", "false", "FALSE"])
def test_off(hub: Hub, value: str) -> None:
    assert hub.run("init", "--id", "s1", "--task", "x", "-q", environ={VARIABLE: value}) == Result(
        0, "s1\n"
    )


@pytest.mark.parametrize("value", ["1", "2", "true", "True"])
def test_on_standard_error(hub: Hub, value: str) -> None:
    result = hub.run("init", "--id", "s1", "--task", "x", "-q", environ={VARIABLE: value})
    assert result[:2] == (0, "s1\n")
    assert parsed(result.err)[0].text == "git hub-session init --id s1 --task x -q"


def test_into_an_open_file(hub: Hub, tmp_path: Path) -> None:
    script = f'{VARIABLE}=7 exec git hub-session "$@" 7>"{tmp_path}/log"'
    assert hub.call("sh", "-c", script, "sh", "list", "-q") == hub.run("list", "-q")
    assert [line[1] for line in parsed((tmp_path / "log").read_text())] == ["start", "end"]


def test_what_was_in_the_file_stays(hub: Hub, tmp_path: Path) -> None:
    environ = {VARIABLE: f"{tmp_path}/my log", "GIT_TRACE": f"{tmp_path}/my log"}
    for _ in range(2):
        assert hub.run("list", "-q", environ=environ) == hub.run("list", "-q")
    # git appends its own to the same file.
    lines = (tmp_path / "my log").read_text().splitlines()
    ours = parsed("\n".join(line for line in lines if " git-hub-session[" in line))
    assert [line.kind for line in ours] == ["start", "end"] * 2
    assert len([line for line in lines if "trace: exec: git-hub-session" in line]) == 2


UNKNOWN = (
    "warning: unknown trace value for 'GIT_HUB_SESSION_TRACE': {}\n"
    "hint: to trace into a file give an absolute pathname (starting with /)\n"
)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("log", UNKNOWN.format("log")),
        ("12", UNKNOWN.format("12")),
        ("9", "warning: could not open '9' for tracing: Bad file descriptor\n"),
        ("/", "warning: could not open '/' for tracing: Is a directory\n"),
        (
            "/nowhere/\x1b[2J",
            "warning: could not open '/nowhere/\\x1b[2J' for tracing: No such file or directory\n",
        ),
    ],
)
def test_where_nothing_can_be_written(hub: Hub, value: str, told: str) -> None:
    """A warning, as git's; the command does what it does."""
    environ = {VARIABLE: value}
    assert hub.run("init", "-q", "--id", "s1", "--task", "x", environ=environ) == Result(
        0, "s1\n", told
    )
    assert hub.state()["state"] == "init"
    assert not (hub.top / "log").exists()


def test_a_full_disk_stops_no_command(hub: Hub) -> None:
    result = hub.run("init", "-q", "--id", "s1", "--task", "x", environ={VARIABLE: "/dev/full"})
    assert result == Result(0, "s1\n")
    assert hub.state()["state"] == "init"


def test_it_drives_no_terminal_and_tells_no_secret(hub: Hub, tmp_path: Path) -> None:
    hub.session("s1", agents=1)
    hub.run("update", "-q", "s1", "--state", "running")
    environ = {VARIABLE: f"{tmp_path}/log", "API_TOKEN": "hunter2"}
    script = "printf '\x1b]0;owned\x07it'\\''s %s!' \"$API_TOKEN\" # \udcff\n"
    assert hub.run("exec", "-q", "s1", "--", "sh", "-c", script, environ=environ).code == 0
    assert (hub.directory() / "output" / "exec-1" / "agent-1.log").read_bytes() == (
        b"\x1b]0;owned\x07it's hunter2!"
    )
    log = (tmp_path / "log").read_text()
    assert "hunter2" not in log
    # Quoted as git quotes in its own trace, and then written out.
    shown = script.replace("'", "'\\''").replace("!", "'\\!'").replace("\n", "\\n")
    shown = shown.replace("\x1b", "\\x1b").replace("\x07", "\\x07").replace("\udcff", "\\xff")
    started = [line.text for line in parsed(log) if line.kind == "start"]
    assert started[-1] == f"cd {hub.worktree(1)}; sh -c '{shown}'"


def test_a_death_is_told(hub: Hub, tmp_path: Path) -> None:
    """Nobody reads the answer: the signal that ends us is in the last line."""
    read, write = os.pipe()
    os.close(read)
    environ = {**hub.environ, VARIABLE: f"{tmp_path}/log"}
    try:
        done = subprocess.run([COMMAND, "--version"], stdout=write, cwd=hub.top, env=environ)
    finally:
        os.close(write)
    assert done.returncode == -13
    assert [
        line.text.partition(" after ")[0] for line in parsed((tmp_path / "log").read_text())
    ] == [
        "git hub-session --version",
        "git hub-session --version: signal 13",
    ]


def test_what_is_raised_is_heard() -> None:
    """Each event of ours has somebody who tells of it, and nothing is waited for that nobody raises."""
    raised = {
        ast.literal_eval(node.args[0])
        for path in (CHECKOUT / "git_hub_session").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "sys.audit"
    }
    heard = {event for event in trace._FORMATTERS if event.startswith("git_hub_session.")}
    assert raised == heard | {"git_hub_session.exit"}
