"""Ctrl-C once and twice, as a terminal sends it, and SIGTERM, while a command waits.

The command waits for a git, a hook, a filter, an agent, a lock or its input. The signal comes at that
fixed moment, not by chance. For signals before each change see test_killed.py.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from git_hub_session.system.parallel import cpu_count
from git_hub_session.system.procfs import pids_with_environment, pids_with_open_directory
from tests.support.hub import CHECKOUT, PYTHON, Hub, Result, snapshot, wait_for
from tests.support.interrupt import LONG
from tests.support.invariants import check_repository

MEASURE = ("--eval", "cat file", "--metric", "n", "--direction", "higher")
AGENT = "echo n: ${HUB_AGENT#agent-} >file; git commit -qam $HUB_AGENT; echo new >new"
SIGNALS = {"int": [signal.SIGINT], "int int": [signal.SIGINT] * 2, "term": [signal.SIGTERM]}


def place(hub: Hub, agent: int) -> Path:
    return hub.top.parent / "project.hub" / "s1" / f"agent-{agent}"


class Gate:
    """A place where processes wait until the test opens it.

    The gate holds every process that comes: a git that ran on would be hit by the signal at a moment
    of chance, and could leave its lock file.
    """

    def __init__(self, hub: Hub) -> None:
        self._top = hub.top.parent
        self._fifo = self._top / "fifo"
        os.mkfifo(self._fifo)
        self._end = -1

    @property
    def line(self) -> str:
        """The shell command that waits at the gate unless it is open."""
        came = f"touch {self._top}/came-$$; read go <{self._fifo} || :"
        return f"test -e {self._top}/open || {{ {came}; }}"

    def wait(self, count: int = 1) -> None:
        """Wait until `count` processes are at the gate."""
        wait_for(lambda: len(list(self._top.glob("came-*"))) >= count)

    def open(self) -> None:
        """Let all processes through, also those that come later."""
        if self._end >= 0:
            return
        (self._top / "open").touch()
        self._end = os.open(self._fifo, os.O_RDWR)  # a fifo loses its bytes with its last opener
        os.write(self._end, b"\n" * 100)

    def close(self) -> None:
        """Close what `open` has opened."""
        if self._end >= 0:
            os.close(self._end)

    def hook(self, hub: Hub, name: str, when: str = "true") -> None:
        """Make a hook that waits at the gate if the command `when` succeeds."""
        hook = hub.top / ".git" / "hooks" / name
        hook.write_text(f"#!/bin/sh\n{when} || exit 0\n{self.line}\n")
        hook.chmod(0o755)


@pytest.fixture
def gate(hub: Hub) -> Iterator[Gate]:
    """A closed gate."""
    gate = Gate(hub)
    yield gate
    gate.close()


def made(hub: Hub) -> None:
    assert hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2").code == 0


def at_work(hub: Hub) -> None:
    """Create two agents, each with one commit and one untracked file."""
    made(hub)
    assert hub.run("spawn", "-q", "s1") == Result(0)
    assert hub.run("exec", "-q", "s1", "--", "sh", "-c", AGENT) == Result(0)


def evaluated(hub: Hub) -> None:
    at_work(hub)
    assert hub.run("eval", "-q", *MEASURE, "s1").code == 0


def removed(hub: Hub) -> None:
    at_work(hub)
    assert hub.run("cleanup", "-q", "s1") == Result(0)


def archived(hub: Hub) -> None:
    at_work(hub)
    assert hub.run("archive", "-q", "s1") == Result(0)


def filtered(hub: Hub, gate: Gate, kind: str) -> None:
    """Set a filter that waits at the gate, for the files of the agents."""
    (hub.top / ".git" / "info" / "attributes").write_text("file filter=slow\nnew filter=slow\n")
    hub.git("config", f"filter.slow.{kind}", f"sh -c '{gate.line}; cat'")


def in_hook(name: str, when: str = "true") -> Callable[[Hub, Gate], None]:
    return lambda hub, gate: gate.hook(hub, name, when)


def changes(ref: str) -> Callable[[Hub, Gate], None]:
    """Return a setup in which the reference-transaction hook waits after git has locked `ref`."""
    return in_hook("reference-transaction", f'test "$1" = prepared && grep -q {ref}')


class Case(NamedTuple):
    """A command, and the process for which it waits."""

    words: tuple[str, ...]
    before: Callable[[Hub], None]
    wait: Callable[[Hub, Gate], None]
    after: Callable[[Hub], bool]
    """A function that returns True if the command has done its work."""
    apart: bool = False
    """True if Ctrl-C does not reach the git that updates a checkout, so that it ends by itself."""
    at_gate: int = 1
    """The number of processes that wait at the gate at the same time."""


def is_merged(hub: Hub) -> bool:
    return (hub.top / "file").read_text() == "n: 2\n" and hub.state()["state"] == "merged"


def is_removed(hub: Hub) -> bool:
    works = [hub.git("show", f"refs/hub/rescue/s1/agent-{n}/attempt-1/1^3:new") for n in (1, 2)]
    return works == ["new", "new"] and not any(place(hub, n).exists() for n in (1, 2))


def is_restored(hub: Hub) -> bool:
    return all(
        ((place(hub, n) / "file").read_text(), (place(hub, n) / "new").read_text())
        == (f"n: {n}\n", "new\n")
        for n in (1, 2)
    )


def is_archived(hub: Hub) -> bool:
    tags = {f"refs/tags/hub/archive/s1/agent-{n}" for n in (1, 2)}
    return hub.refs("refs/tags").keys() == tags and is_removed(hub)


MERGE = ("merge", "-q", "--yes", "s1")
CLEANUP, RESTORE, ARCHIVE = (
    ("cleanup", "-q", "s1"),
    ("restore", "-q", "s1"),
    ("archive", "-q", "s1"),
)
SLOW = {"clean": lambda hub, gate: filtered(hub, gate, "clean"),
        "smudge": lambda hub, gate: filtered(hub, gate, "smudge")}  # fmt: skip
SIDE_BY_SIDE = min(2, cpu_count())  # how many of the two worktrees are made at once
CASES = {
    "merge, asks a hook": Case(MERGE, evaluated, in_hook("commit-msg"), is_merged),
    "merge, locks the branch": Case(MERGE, evaluated, changes("refs/heads/main"), is_merged, True),
    "merge, writes files": Case(MERGE, evaluated, SLOW["smudge"], is_merged, True),
    "merge, archives": Case(MERGE, evaluated, changes("refs/tags"), is_merged),
    "cleanup, reads work": Case(CLEANUP, at_work, SLOW["clean"], is_removed),
    "cleanup, saves work": Case(CLEANUP, at_work, changes("refs/hub/rescue"), is_removed),
    "restore, writes files": Case(
        RESTORE, removed, SLOW["smudge"], is_restored, at_gate=SIDE_BY_SIDE
    ),
    "restore, asks a hook": Case(
        RESTORE, removed, in_hook("post-checkout"), is_restored, at_gate=SIDE_BY_SIDE
    ),
    "restore, makes branches": Case(
        RESTORE, archived, changes("refs/heads/hub"), is_restored, at_gate=SIDE_BY_SIDE
    ),
    "archive, makes tags": Case(ARCHIVE, at_work, changes("refs/tags"), is_archived),
}
# The short form plays one signal for some of the cases.
SHORT = {
    "merge, asks a hook": "int int", "merge, writes files": "int int", "cleanup, saves work": "int int",
    "cleanup, reads work": "term", "restore, writes files": "int", "restore, asks a hook": "term",
    "archive, makes tags": "int",
}  # fmt: skip


@contextmanager
def called(hub: Hub, *words: str, stdin: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command as the leader of a process group."""
    with subprocess.Popen(
        ["git-hub-session", *words], cwd=hub.top, env=hub.environ, process_group=0,
        stdin=subprocess.DEVNULL if stdin is None else stdin, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            yield process
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def send(process: subprocess.Popen[bytes], sent: str) -> None:
    """Send SIGINT to the process group, as a terminal does, or SIGTERM to the command only."""
    for number in SIGNALS[sent]:
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)


def end_of(hub: Hub, process: subprocess.Popen[bytes]) -> Result:
    """Wait for the end of the command and of all its child processes."""
    out, err = process.communicate(timeout=120)
    wait_for(lambda: not pids_with_environment({"HOME": hub.environ["HOME"]}))
    return Result(process.returncode, out.decode(), err.decode())


@pytest.mark.parametrize(
    ("name", "sent"),
    [(name, sent) for name in CASES for sent in SIGNALS] if LONG else SHORT.items(),
)
def test_signal_ends_the_command(hub: Hub, gate: Gate, name: str, sent: str) -> None:
    """Nothing is lost, and no temporary file is left. The same command then does its work."""
    case = CASES[name]
    case.before(hub)
    refs, commits = hub.refs(), hub.git("rev-list", "--all").splitlines()
    works = [n for n in (1, 2) if (place(hub, n) / "new").exists()]
    case.wait(hub, gate)
    with called(hub, *case.words) as process:
        gate.wait(case.at_gate)
        send(process, sent)
        if case.apart or sent == "term":
            gate.open()  # the command waits until its git has ended
        assert end_of(hub, process) == Result(-SIGNALS[sent][0])
    check_repository(hub, commits=commits)
    now = hub.refs()
    # A git that was allowed to finish may have replaced a branch by an archive tag.
    archived = {oid for ref, oid in now.items() if ref.startswith("refs/tags/hub/archive/")}
    assert all(ref in now or oid in archived for ref, oid in refs.items())
    for n in works:
        saved = f"refs/hub/rescue/s1/agent-{n}/attempt-1/1"
        assert (place(hub, n) / "new").exists() or saved in now
    gate.open()
    assert hub.run(*case.words) == Result(0)
    assert case.after(hub)
    check_repository(hub, commits=commits)


# The step in which the run is stopped, with the commands that then finish the session.
RUN = ("run", "-q", "--yes", "--id", "s1", "--task", "t", "--agents", "2", *MEASURE[2:])
STOPS = {
    "measures what there is": ("spawn", "exec", "eval", "merge"),
    "makes worktrees": ("spawn", "exec", "eval", "merge"),
    "runs agents": ("exec", "eval", "merge"),
    "merges": ("merge",),
}


@pytest.mark.parametrize("sent", SIGNALS if LONG else ["int int"])
@pytest.mark.parametrize("stop", STOPS if LONG else ["runs agents"])
def test_signal_during_a_run(hub: Hub, gate: Gate, stop: str, sent: str) -> None:
    """The run ends by the signal in its current step. The other steps work as single commands."""
    hub.commit(hub.top, "file", "n: 0\n")
    agent, measure, at_gate = AGENT, "cat file", 1
    if stop == "measures what there is":
        measure = f"{gate.line}; cat file"
    elif stop == "makes worktrees":
        # The checkout in which the base is measured has no agent.
        hub.git("config", "hubsession.setup", f'test -z "$HUB_AGENT" || {{ {gate.line}; }}')
        at_gate = SIDE_BY_SIDE
    elif stop == "runs agents":
        agent = f"{gate.line}; {AGENT}"
        at_gate = 2
    else:
        changes("refs/tags")(hub, gate)
    with called(hub, *RUN, "--eval", measure, "--agent-cmd", agent) as process:
        gate.wait(at_gate)
        send(process, sent)
        if stop == "merges" and sent == "term":
            gate.open()
        assert end_of(hub, process) == Result(-SIGNALS[sent][0])
    check_repository(hub)
    gate.open()
    by_hand = {
        "spawn": ("spawn", "-q", "s1"),
        "exec": ("exec", "-q", "s1", "--", "sh", "-c", agent),
        "eval": ("eval", "-q", "s1"),
        "merge": MERGE,
    }
    for step in STOPS[stop]:
        result = hub.run(*by_hand[step])
        assert (result.code, result.out) == (0, ""), (step, result)
    assert is_merged(hub)
    check_repository(hub)


def is_asleep(pid: int) -> bool:
    """Return True if the process waits in the kernel, so that a signal interrupts a system call."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


@pytest.mark.parametrize("sent", SIGNALS if LONG else ["int int"])
@pytest.mark.parametrize("waits", ["for its input", "for the lock"])
def test_signal_while_a_post_waits(hub: Hub, waits: str, sent: str) -> None:
    """The interrupted post is not on the board."""
    hub.run("init", "-q", "--id", "s1", "--task", "t")
    assert hub.run("board", "post", "-q", "progress", "-m", "first") == Result(0)
    board = hub.top / ".agenthub" / "board"
    before = snapshot(board)
    post = ("board", "post", "-q", "progress")
    if waits == "for its input":
        text, end = os.pipe()
        with called(hub, *post, "-F", "-", stdin=text) as process:
            os.close(text)
            os.write(end, b"x" * (1 << 17))  # more than a pipe holds: it is being read
            wait_for(lambda: is_asleep(process.pid))
            send(process, sent)
            assert end_of(hub, process) == Result(-SIGNALS[sent][0])
        os.close(end)
    else:
        held = os.open(board, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
        with called(hub, *post, "-m", "second") as process:
            wait_for(lambda: process.pid in pids_with_open_directory(str(board)))
            send(process, sent)
            assert end_of(hub, process) == Result(-SIGNALS[sent][0])
        os.close(held)
    assert snapshot(board) == before
    assert hub.run(*post, "-m", "second") == Result(0)
    assert hub.json("board")["channels"][1]["posts"] == 2


_IN_BETWEEN = """
import os, sys
sys.path.insert(0, {checkout!r})
sys.addaudithook(lambda *heard: os.kill(os.getpid(), {number}) if heard[0] == {event!r} and {name!r} in heard[1] else None)
from git_hub_session.__main__ import command
command()
"""


@pytest.mark.parametrize(
    ("sent", "event", "name"),
    [
        (signal.SIGINT, "import", "git_hub_session.main"),
        (signal.SIGINT, "import", "git_hub_session.commands.update"),
        (signal.SIGINT, "git_hub_session.exit", 0),
        (signal.SIGTERM, "git_hub_session.exit", 0),
    ],
)
def test_signal_at_the_start_and_the_end(
    hub: Hub, sent: signal.Signals, event: str, name: object
) -> None:
    """A signal during the imports, or between the output and the exit, prints no traceback."""
    hub.session()
    code = _IN_BETWEEN.format(checkout=str(CHECKOUT), number=int(sent), event=event, name=name)
    result = hub.call(PYTHON, "-I", "-c", code, "update", "s1", "--state", "running")
    done = event == "git_hub_session.exit"
    assert result == Result(-sent, "Session s1: init → running\n" if done else "")
    assert hub.state()["state"] == ("running" if done else "init")
