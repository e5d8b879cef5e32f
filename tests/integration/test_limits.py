"""Large repositories, a clock that runs backwards, unwritable streams, signals, 20 columns."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.support.hub import CHECKOUT, NOW, PYTHON, Hub, Result, is_alive, wait_for
from tests.support.interrupt import LONG

MEASURE = ("--eval", "cat file", "--metric", "n", "--direction", "lower")
AGENT = "echo n: ${HUB_AGENT#agent-} >file; git commit -qam $HUB_AGENT; echo new >new"


def worktree_path(hub: Hub, agent: int) -> Path:
    return hub.top.parent / "project.hub" / "s1" / f"agent-{agent}"


def run_session(hub: Hub, *, now: Sequence[int] = (NOW,) * 8) -> None:
    """Run a session from init to merge. Command number n runs at the time `now[n]`."""
    commands = (
        ("init", "-q", "--id", "s1", "--task", "t", "--agents", "2"),
        ("spawn", "-q", "s1"),
        ("exec", "-q", "s1", "--", "sh", "-c", AGENT),
        ("eval", "-q", *MEASURE, "s1"),
        ("status", "s1"),
        ("cleanup", "-q", "s1"),
        ("restore", "-q", "s1"),
        ("merge", "-q", "--yes", "s1"),
    )
    for arguments, time in zip(commands, now, strict=True):
        result = hub.run(*arguments, now=time)
        assert result.code == 0, (arguments, result)
    assert hub.git("show", "main:file") == "n: 1"
    assert not any(worktree_path(hub, agent).exists() for agent in (1, 2))


@pytest.mark.skipif(not LONG, reason="takes half a minute: make long")
def test_a_hundred_thousand_refs(hub: Hub) -> None:
    """The session is merged. The packed refs are unchanged."""
    oid = hub.git("rev-parse", "HEAD")
    packed = "".join(f"{oid} refs/heads/b{number:06}\n" for number in range(100_000))
    (hub.top / ".git" / "packed-refs").write_text(
        f"# pack-refs with: peeled fully-peeled sorted \n{packed}"
    )
    for number in range(10):
        hub.git("update-ref", f"refs/heads/loose/{number}", oid)
    run_session(hub)
    refs = hub.refs()
    assert sum(name.startswith("refs/heads/b") for name in refs) == 100_000
    assert refs.keys() >= {
        "refs/tags/hub/archive/s1/agent-2", "refs/hub/rescue/s1/agent-1/attempt-1/1"
    }  # fmt: skip


def test_two_thousand_worktrees(hub: Hub) -> None:
    """A cleanup changes no worktree of the user. Half of the user's worktrees are missing."""
    hub.session(agents=2)
    git_dirs = hub.top / ".git" / "worktrees"
    oid = hub.git("rev-parse", "HEAD")
    for number in range(2000):
        git_dir, path = git_dirs / f"other{number}", hub.top.parent / "others" / str(number)
        git_dir.mkdir()
        (git_dir / "HEAD").write_text(f"{oid}\n")
        (git_dir / "commondir").write_text("../..\n")
        (git_dir / "gitdir").write_text(f"{path}/.git\n")
        if number % 2:
            path.mkdir(parents=True)
            (path / ".git").write_text(f"gitdir: {git_dir}\n")
    (hub.worktree(1) / "new").write_text("new\n")
    assert len(hub.json("status", "s1")["worktrees"]) == 2
    assert hub.run("cleanup", "-q", "s1") == Result(0)
    assert hub.git("show", "refs/hub/rescue/s1/agent-1/attempt-1/1^3:new") == "new"
    assert len(list(git_dirs.iterdir())) == 2000


def test_a_clock_that_runs_backwards(hub: Hub) -> None:
    """Each command runs a day before the previous one. None is refused, and no age is negative."""
    days = [NOW - day * 86400 for day in range(8)]
    run_session(hub, now=days)
    state = hub.state()
    assert state["created"] == "2026-03-17T14:30:22.000000+00:00"
    assert state["updated"] == "2026-03-10T14:30:22.000000+00:00"
    assert [step["to"] for step in state["history"]] == ["running", "evaluating", "merged"]
    assert all(agent["exec"]["seconds"] >= 0 for agent in state["agents"].values())
    for command in ("list", "status s1", "log s1", "board read results"):
        result = hub.run(*command.split(), now=days[-1] - 86400)
        assert (result.code, result.err) == (0, "")
        assert re.search(r"(?<![\w-])-\d+ (second|minute|hour|day)", result.out) is None, result.out
    first = hub.run("init", "-q", "--task", "t", now=NOW)
    earlier = hub.run("init", "-q", "--task", "t", now=NOW - 86400)
    second = hub.run("init", "-q", "--task", "t", now=NOW)
    assert [result.out for result in (first, earlier, second)] == [
        "20260317-143022\n", "20260316-143022\n", "20260317-143022-2\n"
    ]  # fmt: skip


# Each redirection, and the exit code of a read-only command. -1 stands for 0 or 141 (SIGPIPE).
STREAMS = {
    ">/dev/full": 128,
    ">&-": 0,
    "2>&-": 0,
    "<&-": 0,
    "<&- >&- 2>&-": 0,
    "| true": -1,
}
READ_ONLY = (
    "list",
    "status s1",
    "log s1",
    "board",
    "path s1 1",
    "spawn -n s1",
    "cleanup -n s1",
    "restore -n s1",
)


@pytest.mark.parametrize("stream", STREAMS if LONG else [">/dev/full", "| true"])
def test_output_that_cannot_be_written(hub: Hub, stream: str) -> None:
    """A write error is fatal for a read-only command. After a change it is ignored."""
    assert hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2").code == 0
    assert hub.run("spawn", "-q", "s1") == Result(0)

    def run_redirected(command: str) -> Result:
        redirected = f"git-hub-session {command} {stream}"
        return hub.call("bash", "-c", f"{redirected}; exit ${{PIPESTATUS[0]}}")

    for command in READ_ONLY:
        result = run_redirected(command)
        if stream == "| true":
            # `true` may exit before or after the write.
            assert result.code in (0, 141), (command, result)
        else:
            # `spawn` and `restore` have nothing to do, and print only to standard error.
            prints_nothing = command.startswith(("spawn", "restore"))
            assert result.code == (0 if prints_nothing else STREAMS[stream]), (command, result)
        assert "Traceback" not in result.err
    agent_command = shlex.join(("sh", "-c", AGENT))
    changes: dict[str, Callable[[], bool]] = {
        f"exec s1 -- {agent_command}": lambda: (
            hub.git("rev-list", "--count", "hub/s1/agent-2/attempt-1") == "2"
        ),
        f"eval {shlex.join(MEASURE)} s1": lambda: hub.state()["state"] == "evaluating",
        "cleanup s1": lambda: not worktree_path(hub, 1).exists(),
        "restore s1": lambda: (worktree_path(hub, 1) / "new").read_text() == "new\n",
        "merge --yes s1": lambda: hub.git("show", "main:file") == "n: 1",
    }
    for command, is_done in changes.items():
        result = run_redirected(command)
        if command == "merge --yes s1" and stream in (">/dev/full", "| true"):
            # `merge` prints the plan first. If it cannot print the plan, it merges nothing.
            assert result.code in (0, 128, 141), result
            assert is_done() == (result.code == 0)
            continue
        assert result.code in (0, 141 if stream == "| true" else 0), (command, result)
        assert is_done(), command
        assert "Traceback" not in result.err


WAITING_COMMANDS = {
    "spawn": ("spawn", "-q", "s1"),
    "exec": ("exec", "-q", "s1", "--", "sh", "-c", "touch ../../../ready; exec sleep 300"),
    "eval": ("eval", "-q", "--eval", "touch ../../../ready; exec sleep 300", *MEASURE[2:], "s1"),
}
SIGNALS = {"int": [signal.SIGINT], "int int": [signal.SIGINT] * 2, "term": [signal.SIGTERM]}


@pytest.mark.parametrize("kind", SIGNALS if LONG else ["int int"])
@pytest.mark.parametrize("command", WAITING_COMMANDS)
def test_signal_while_a_command_waits(hub: Hub, command: str, kind: str) -> None:
    """The command and all its child processes end. The same command then does its work."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    ready = hub.top.parent / "ready"
    if command == "spawn":
        hub.git("config", "hubsession.setup", f"touch {ready}; exec sleep 300")
    else:
        assert hub.run("spawn", "-q", "s1") == Result(0)
        hub.commit(worktree_path(hub, 1), "more", "work\n")
    before = hub.refs(), hub.state()["state"]
    with subprocess.Popen(
        ["git-hub-session", *WAITING_COMMANDS[command]],
        cwd=hub.top, env=hub.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            wait_for(ready.exists, process)
        except AssertionError:
            process.kill()
            raise
        child_pids = descendants(process.pid)
        for number in SIGNALS[kind]:
            process.send_signal(number)
        out, err = process.communicate(timeout=120)
        hint = b"hint: continue with: git hub-session exec " if command == "exec" else b""
        assert (process.returncode, out) == (-SIGNALS[kind][0], b"")
        assert err.startswith(hint) and err.count(b"\n") == bool(hint)
    wait_for(lambda: not any(map(is_alive, child_pids)))
    assert (hub.refs(), hub.state()["state"]) == before
    assert not [name for name in os.listdir(hub.directory()) if name.endswith(".tmp")]
    if command == "spawn":
        parent = worktree_path(hub, 1).parent
        assert not parent.exists() or list(parent.iterdir()) == []
        hub.git("config", "hubsession.setup", "true")
        assert hub.run("spawn", "-q", "s1") == Result(0)
    assert hub.run("exec", "-q", "s1", "--", "sh", "-c", AGENT) == Result(0)
    assert hub.run("eval", "-q", *MEASURE, "s1").code == 0
    assert hub.run("archive", "-q", "s1") == Result(0)


def descendants(pid: int) -> list[int]:
    """Return the ids of all descendants of a process."""
    pids: list[int] = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                stat = Path(f"/proc/{name}/stat").read_text()
            except OSError:
                continue
            if int(stat.rpartition(")")[2].split()[1]) == pid:
                pids += [int(name), *descendants(int(name))]
    return pids


def test_terminal_of_twenty_columns(hub: Hub) -> None:
    """Ids, branches and paths are not truncated. Only texts of users are truncated."""
    hub.run("init", "-q", "--id", "20260317-143022-long", "--task", "a task " * 9, "--agents", "2")
    hub.run("spawn", "-q", "20260317-143022-long")
    for arguments in ("list", "status", "log", "board", "cleanup -n 20260317-143022-long"):
        command = ["script", "-qec", f"stty cols 20; git hub-session {arguments}", "/dev/null"]
        result = hub.call(*command, environ={"TERM": "xterm", "GIT_PAGER": "cat"})
        assert result.code == 0, result
        plain = re.sub(r"\x1b\[[0-9;]*m", "", result.out)
        expected = {
            "list": ["20260317-143022-long"],
            "status": [f"hub/20260317-143022-long/agent-{agent}/attempt-1" for agent in (1, 2)],
            "log": ["init", "running"],
            "board": ["dispatch", "results"],
        }.get(arguments, ["20260317-143022-long/agent-1,\n", "20260317-143022-long/agent-2,\n"])
        for text in expected:
            assert text in plain, (arguments, plain)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("retries", [(), ("--retries", "1", "--retry-delay", "0")])
def test_user_without_a_free_process(hub: Hub, retries: tuple[str, ...]) -> None:
    """`exec` reports that no process can be started, and ends (ulimit -u)."""
    hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2")
    assert hub.run("spawn", "-q", "s1").code == 0
    hub.call("chown", "-R", "65533", hub.top.parent)
    program = (
        f"import sys; sys.path.insert(0, {str(CHECKOUT)!r})\n"
        "import resource; resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))\n"
        "from git_hub_session.main import run_and_exit; run_and_exit()"
    )
    # The limit does not apply to root.
    capabilities = "+dac_override,+dac_read_search,+fowner"
    user = ["--reuid", "65533", "--inh-caps", capabilities, "--ambient-caps", capabilities]
    command = [PYTHON, "-I", "-c", program, "exec", *retries, "s1", "--", "true"]
    result = hub.call("setpriv", *user, *command)
    assert result.code == 1, result
    tries = 2 if retries else 1
    assert result.out.count("cannot run 'true': Resource temporarily unavailable") == 2 * tries
    assert re.findall(r"^agent-[12] +(\d+) ", result.out, re.MULTILINE) == ["127", "127"]


def test_more_agents_than_open_files(hub: Hub) -> None:
    """The logs of agents that wait, or have ended, need no descriptors (ulimit -n)."""
    hub.session("s1", agents=24)
    assert hub.run("update", "-q", "s1", "--state", "running").code == 0
    script = "echo $HUB_AGENT >new; git add new; git commit -q -m new; cat new"
    measure = ("--eval", "cat new; echo ms: 1", "--metric", "ms", "--direction", "lower")
    for command in (
        ("exec", "-q", "-j1", "s1", "--", "sh", "-c", script),
        ("eval", *measure, "s1"),
    ):
        limited = 'ulimit -n 24; exec git hub-session "$@"'
        result = hub.call("sh", "-c", limited, "sh", *command)
        assert (result.code, result.err) == (0, ""), result
    for run in ("exec-1", "eval-1"):
        output = hub.directory() / "output" / run
        for number in (1, 24):
            assert (output / f"agent-{number}.log").read_text().startswith(f"agent-{number}\n")
