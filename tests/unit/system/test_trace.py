"""GIT_HUB_SESSION_TRACE reports every change.

The tests replay the trace of a command on the state before it, and compare the result with the
state after it.
"""

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
from tests.support.cleanup import everything
from tests.support.coverage import VARIABLE as COVERAGE_VARIABLE
from tests.support.hub import CHECKOUT, COMMAND, Hub, Result

PACKAGE = CHECKOUT / "git_hub_session"
VARIABLE = "GIT_HUB_SESSION_TRACE"
KINDS = "start|end|create|write|mkdir|rmdir|remove|rename|replace|link|symlink|ref|lock|unlock"
LINE = re.compile(rf"\d\d:\d\d:\d\d\.\d{{6}} git-hub-session\[(\d+)\] +({KINDS}): (.*)")

WRITTEN = "content not traced"
"""The text that replaces the content of a written file, which the trace does not report."""


class Line(NamedTuple):
    """One line of a trace."""

    pid: str
    kind: str
    text: str


class State(NamedTuple):
    """All files by absolute path, and all refs."""

    files: dict[str, bytes | str]
    refs: dict[str, str]


def parse_trace(log: str) -> list[Line]:
    """Return the lines of a trace. Fail if a line is incomplete."""
    data_file = os.environ.get(
        COVERAGE_VARIABLE
    )  # the file that the measurement of coverage writes
    lines = log.removesuffix("\n").split("\n")
    matches = [LINE.fullmatch(line) for line in lines if not (data_file and data_file in line)]
    assert None not in matches, log
    return [Line(*match.groups()) for match in matches if match is not None]


def read_state(hub: Hub) -> State:
    """Return the files and refs of the repository."""
    files = everything(hub).items()
    return State({f"{hub.top.parent}/{path.rstrip('/')}": data for path, data in files}, hub.refs())


def replay(log: list[Line], before: State) -> State:
    """Return the state after the traced changes. The content of written files is WRITTEN."""
    files, refs = dict(before.files), dict(before.refs)
    for _, kind, text in log:
        arguments = shlex.split(text)
        if kind in ("create", "write", "mkdir"):
            files[arguments[0]] = WRITTEN
        elif kind in ("rename", "replace", "link"):
            source, _, target = arguments
            for path in [path for path in files if path == source or path.startswith(f"{source}/")]:
                files[target + path.removeprefix(source)] = files[path]
                if kind != "link":
                    del files[path]
        elif kind == "remove" or (
            kind == "rmdir" and not any(path.startswith(f"{arguments[0]}/") for path in files)
        ):
            files.pop(arguments[0], None)
        elif kind == "ref":
            verb, ref, oid, *old = arguments
            if ref == "ORIG_HEAD":  # not among the refs that git lists
                continue
            assert [refs.pop(ref, "")] == {"create": [""], "delete": [oid], "update": old}[verb]
            if verb != "delete":
                refs[ref] = oid
    return State(files, refs)


def run_traced(
    hub: Hub, *arguments: str, by_git: tuple[str, ...] = (), code: int = 0
) -> list[Line]:
    """Run a command, compare its trace with the changes on disk, and return the trace.

    The trace has no changes of git. Ignore the paths in `by_git`, and .git except .git/worktrees.
    """
    file = hub.top.parent.parent / "trace"
    file.unlink(missing_ok=True)
    before = read_state(hub)
    result = hub.run(*arguments, environ={VARIABLE: str(file)})
    assert result.code == code, result
    log = parse_trace(file.read_text())
    after = read_state(hub)
    replayed = replay(log, before)
    ignored = [re.escape(f"{hub.top}/.git/") + "(?!worktrees)", *map(re.escape, by_git)]
    ignored.append(re.escape(str(PACKAGE)))  # Python may write bytecode
    not_traced = re.compile("|".join(ignored))
    paths = {path for path in after.files if not not_traced.match(path)}
    assert {path for path in replayed.files if not not_traced.match(path)} == paths
    assert replayed.refs == after.refs
    assert [
        path for path in paths if replayed.files[path] not in (WRITTEN, after.files[path])
    ] == []
    assert log[0][1:] == ("start", f"git hub-session {shlex.join(arguments)}")
    assert log[-1].text.startswith(f"git hub-session {shlex.join(arguments)}: exit {code} after ")
    started_commands, ended_commands = command_lines(log, "start"), command_lines(log, "end")
    assert (Counter(started_commands), log[-1].kind) == (Counter(ended_commands), "end")
    locks = [line.text.partition(": ")[0] for line in log if line.kind == "lock"]
    assert Counter(locks) == Counter(line.text for line in log if line.kind == "unlock")
    return log


def command_lines(log: list[Line], kind: str) -> list[str]:
    """Return the command lines of the lines of one kind, `start` or `end`."""
    texts = [line.text for line in log if line.kind == kind]
    if kind == "start":
        return [re.sub(r"^cd \S+; ", "", text) for text in texts]
    return [text.rpartition(": ")[0] for text in texts]


@pytest.fixture
def hub(hub: Hub) -> Hub:
    """Move the repository into an empty directory."""
    parent = hub.top.parent / "parent"
    parent.mkdir()
    hub.top = hub.top.rename(parent / "project")
    return hub


def worktree_path(hub: Hub, agent: int) -> Path:
    return hub.top.parent / "project.hub" / "s1" / f"agent-{agent}"


@pytest.mark.slow
def test_the_trace_of_a_session_from_init_to_merge(hub: Hub) -> None:
    run_traced(hub, "init", "-q", "--id", "s1", "--task", "Faster", "--agents", "2")
    worktrees = str(hub.top.parent / "project.hub")
    git_dirs = f"{hub.top}/.git/worktrees"
    spawned = run_traced(hub, "spawn", "-q", "s1", by_git=(worktrees, git_dirs))
    base = hub.git("rev-parse", "main")
    assert [line.text for line in spawned if line.kind == "ref"] == [
        f"create refs/heads/hub/s1/agent-{agent}/attempt-1 {base}" for agent in (1, 2)
    ]
    prefix = f"{worktrees}/s1/agent"
    assert {
        f"git worktree add --quiet -- {prefix}-{agent} hub/s1/agent-{agent}/attempt-1"
        for agent in (1, 2)
    } < set(command_lines(spawned, "start"))
    for agent in (1, 2):
        hub.commit(worktree_path(hub, agent), "new", f"{agent}\n")
    run_traced(hub, "board", "post", "results", "-m", "done")
    assert [
        line.text
        for line in run_traced(
            hub, "exec", "-q", "--only", "2", "s1", "--", "sh", "-c", "exit 3", code=1
        )
        if line.kind == "start"
    ][1:] == [f"cd {prefix}-2; sh -c 'exit 3'"]
    run_traced(hub, "eval", "-q", "--ranking", "2,1", "--include-failed", "s1")
    merged = run_traced(hub, "merge", "-q", "--yes", "s1", by_git=(f"{hub.top}/new",))
    tip = hub.git("rev-parse", "main")
    assert f"update refs/heads/main {tip} {base}" in [line.text for line in merged]


@pytest.mark.slow
def test_cleanup_and_restore_are_traced_file_by_file(hub: Hub) -> None:
    hub.session("s1", agents=2)
    (hub.worktree(1) / "sub" / "my new").write_text("new\n")
    cleaned = run_traced(hub, "cleanup", "-q", "--archive", "s1")
    trash = f"{hub.worktrees}/s1/.agent-1.hub-trash"
    assert ("rename", f"{hub.worktree(1)} -> {trash}") in [line[1:] for line in cleaned]
    assert ("remove", f"'{trash}/sub/my new'") in [line[1:] for line in cleaned]
    by_git = (str(hub.top.parent / "project.hub"), f"{hub.top}/.git/worktrees")
    run_traced(hub, "restore", "-q", "s1", by_git=by_git)
    assert (worktree_path(hub, 1) / "sub" / "my new").read_text() == "new\n"
    run_traced(hub, "archive", "-q", "s1")
    assert not worktree_path(hub, 1).exists()


def test_a_dry_run_traces_no_change(hub: Hub) -> None:
    hub.session("s1", agents=1)
    before = everything(hub)
    log = run_traced(hub, "cleanup", "--archive", "-n", "s1")
    assert {line.kind for line in log} <= {"start", "end"}
    assert everything(hub) == before


def test_a_rejected_ref_transaction_is_not_traced_as_a_change(hub: Hub) -> None:
    """The trace has the exit status of git, and no ref."""
    hub.session("s1")
    hook = hub.top / ".git" / "hooks" / "reference-transaction"
    hook.write_text('#!/bin/sh\ntest "$1" != prepared\n')
    hook.chmod(0o755)
    log = run_traced(hub, "spawn", "-q", "s1", code=1)
    assert any(": exit 128 after " in line.text for line in log), log
    assert "ref" not in {line.kind for line in log}


def test_forks_write_complete_lines(hub: Hub) -> None:
    assert hub.run("init", "-q", "--id", "s1", "--task", "x", "--agents", "8").code == 0
    by_git = (str(hub.top.parent / "project.hub"), f"{hub.top}/.git/worktrees")
    log = run_traced(hub, "spawn", "-q", "s1", by_git=by_git)
    assert len({line.pid for line in log}) > 1
    # git fails while another process creates a git dir, and is started again.
    added = {text for text in command_lines(log, "end") if text.startswith("git worktree add ")}
    assert len(added) == 8


@pytest.mark.parametrize("value", ["", "0", "false", "FALSE"])
def test_values_that_turn_the_trace_off(hub: Hub, value: str) -> None:
    assert hub.run("init", "--id", "s1", "--task", "x", "-q", environ={VARIABLE: value}) == Result(
        0, "s1\n"
    )


@pytest.mark.parametrize("value", ["1", "2", "true", "True"])
def test_trace_to_standard_error(hub: Hub, value: str) -> None:
    result = hub.run("init", "--id", "s1", "--task", "x", "-q", environ={VARIABLE: value})
    assert result[:2] == (0, "s1\n")
    assert parse_trace(result.err)[0].text == "git hub-session init --id s1 --task x -q"


def test_trace_to_an_open_descriptor(hub: Hub, tmp_path: Path) -> None:
    script = f'{VARIABLE}=7 exec git hub-session "$@" 7>"{tmp_path}/log"'
    # Run without a trace first: the first run may write bytecode, which the trace would report.
    untraced = hub.run("list", "-q")
    assert hub.call("sh", "-c", script, "sh", "list", "-q") == untraced
    assert [line[1] for line in parse_trace((tmp_path / "log").read_text())] == ["start", "end"]


def test_the_trace_is_appended_to_a_file(hub: Hub, tmp_path: Path) -> None:
    environ = {VARIABLE: f"{tmp_path}/my log", "GIT_TRACE": f"{tmp_path}/my log"}
    for _ in range(2):
        assert hub.run("list", "-q", environ=environ) == hub.run("list", "-q")
    # git also writes its trace to this file.
    lines = (tmp_path / "my log").read_text().splitlines()
    trace_lines = parse_trace("\n".join(line for line in lines if " git-hub-session[" in line))
    assert [line.kind for line in trace_lines] == ["start", "end"] * 2
    assert len([line for line in lines if "trace: exec: git-hub-session" in line]) == 2


UNKNOWN = (
    "warning: unknown trace value for 'GIT_HUB_SESSION_TRACE': {}\n"
    "hint: to trace into a file give an absolute pathname (starting with /)\n"
)


@pytest.mark.parametrize(
    ("value", "warning"),
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
def test_a_target_that_cannot_be_opened_is_a_warning(hub: Hub, value: str, warning: str) -> None:
    """The command works as without a trace. The warnings have git's wording."""
    environ = {VARIABLE: value}
    assert hub.run("init", "-q", "--id", "s1", "--task", "x", environ=environ) == Result(
        0, "s1\n", warning
    )
    assert hub.state()["state"] == "init"
    assert not (hub.top / "log").exists()


def test_a_full_disk_does_not_stop_the_command(hub: Hub) -> None:
    result = hub.run("init", "-q", "--id", "s1", "--task", "x", environ={VARIABLE: "/dev/full"})
    assert result == Result(0, "s1\n")
    assert hub.state()["state"] == "init"


def test_the_trace_has_no_control_characters_and_no_environment(hub: Hub, tmp_path: Path) -> None:
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
    # The script is quoted as in git's trace, and then escaped.
    quoted = script.replace("'", "'\\''").replace("!", "'\\!'").replace("\n", "\\n")
    quoted = quoted.replace("\x1b", "\\x1b").replace("\x07", "\\x07").replace("\udcff", "\\xff")
    started = [line.text for line in parse_trace(log) if line.kind == "start"]
    assert started[-1] == f"cd {hub.worktree(1)}; sh -c '{quoted}'"


def test_a_signal_that_ends_the_process_is_traced(hub: Hub, tmp_path: Path) -> None:
    """Standard output is a closed pipe, so SIGPIPE ends the process."""
    reader, writer = os.pipe()
    os.close(reader)
    environ = {**hub.environ, VARIABLE: f"{tmp_path}/log"}
    try:
        process = subprocess.run([COMMAND, "--version"], stdout=writer, cwd=hub.top, env=environ)
    finally:
        os.close(writer)
    assert process.returncode == -13
    assert [
        line.text.partition(" after ")[0] for line in parse_trace((tmp_path / "log").read_text())
    ] == [
        "git hub-session --version",
        "git hub-session --version: signal 13",
    ]


@pytest.mark.slow
def test_each_audit_event_has_a_formatter() -> None:
    """The package raises the same events that the trace formats."""
    raised = {
        ast.literal_eval(node.args[0])
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "sys.audit"
    }
    traced = {event for event in trace._FORMATTERS if event.startswith("git_hub_session.")}
    assert raised == traced | {"git_hub_session.exit"}
