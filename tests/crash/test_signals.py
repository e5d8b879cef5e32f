"""Send a signal while a command waits: SIGTERM, or Ctrl-C once or twice, as a terminal does.

The command waits for a git, a hook, a filter, an agent, a lock or its input. The test sends the signal
at that moment. See test_killed.py for signals before each change.
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


def worktree_path(hub: Hub, agent: int) -> Path:
    return hub.top.parent / "project.hub" / "s1" / f"agent-{agent}"


class Gate:
    """A gate at which processes wait until the test opens it.

    All processes must wait there. A git that continued would get the signal at a random moment, and
    could leave a lock file.
    """

    def __init__(self, hub: Hub) -> None:
        self._top = hub.top.parent
        self._fifo = self._top / "fifo"
        os.mkfifo(self._fifo)
        self._fd = -1

    @property
    def shell_command(self) -> str:
        """The shell command that waits at the gate until it is open."""
        arrive = f"touch {self._top}/came-$$; read go <{self._fifo} || :"
        return f"test -e {self._top}/open || {{ {arrive}; }}"

    def wait(self, count: int = 1) -> None:
        """Wait until `count` processes are at the gate."""
        wait_for(lambda: len(list(self._top.glob("came-*"))) >= count)

    def open(self) -> None:
        """Let all processes continue, also those that arrive later."""
        if self._fd >= 0:
            return
        (self._top / "open").touch()
        self._fd = os.open(self._fifo, os.O_RDWR)  # the fifo keeps its bytes while it is open
        os.write(self._fd, b"\n" * 100)

    def close(self) -> None:
        """Close the fifo."""
        if self._fd >= 0:
            os.close(self._fd)

    def write_hook(self, hub: Hub, name: str, condition: str = "true") -> None:
        """Write a hook that waits at the gate if the command `condition` succeeds."""
        hook = hub.top / ".git" / "hooks" / name
        # The shell reports an interrupted system call. git shows the output of hooks.
        lines = ("#!/bin/sh", "exec 2>/dev/null", f"{condition} || exit 0", self.shell_command)
        hook.write_text("".join(f"{line}\n" for line in lines))
        hook.chmod(0o755)


@pytest.fixture
def gate(hub: Hub) -> Iterator[Gate]:
    """Create a closed gate."""
    gate = Gate(hub)
    yield gate
    gate.close()


def create_session(hub: Hub) -> None:
    assert hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2").code == 0


def create_work(hub: Hub) -> None:
    """Create two agents, each with one commit and one untracked file."""
    create_session(hub)
    assert hub.run("spawn", "-q", "s1") == Result(0)
    assert hub.run("exec", "-q", "s1", "--", "sh", "-c", AGENT) == Result(0)


def create_evaluated_session(hub: Hub) -> None:
    create_work(hub)
    assert hub.run("eval", "-q", *MEASURE, "s1").code == 0


def create_cleaned_session(hub: Hub) -> None:
    """Create a session whose worktrees were removed with saved work."""
    create_work(hub)
    assert hub.run("cleanup", "-q", "s1") == Result(0)


def create_archived_session(hub: Hub) -> None:
    create_work(hub)
    assert hub.run("archive", "-q", "s1") == Result(0)


def wait_in_filter(hub: Hub, gate: Gate, kind: str) -> None:
    """Configure a filter for the files of the agents that waits at the gate."""
    (hub.top / ".git" / "info" / "attributes").write_text("file filter=slow\nnew filter=slow\n")
    hub.git("config", f"filter.slow.{kind}", f"sh -c '{gate.shell_command}; cat'")


def wait_in_hook(name: str, condition: str = "true") -> Callable[[Hub, Gate], None]:
    """Return a setup in which a hook waits at the gate."""
    return lambda hub, gate: gate.write_hook(hub, name, condition)


def wait_in_ref_transaction(ref: str) -> Callable[[Hub, Gate], None]:
    """Return a setup in which the reference-transaction hook waits while git has locked `ref`."""
    return wait_in_hook("reference-transaction", f'test "$1" = prepared && grep -q {ref}')


class Case(NamedTuple):
    """A command, and the setup of the process for which it waits."""

    arguments: tuple[str, ...]
    prepare: Callable[[Hub], None]
    block: Callable[[Hub, Gate], None]
    """The function that lets a process of the command wait at the gate."""
    is_done: Callable[[Hub], bool]
    """The function that returns True if the command has done its work."""
    git_finishes: bool = False
    """True if Ctrl-C does not reach git, because the command lets git finish a checkout."""
    waiting_processes: int = 1
    """The number of processes that wait at the gate at the same time."""


def is_merged(hub: Hub) -> bool:
    return (hub.top / "file").read_text() == "n: 2\n" and hub.state()["state"] == "merged"


def is_removed(hub: Hub) -> bool:
    """Return True if the worktrees are removed and their untracked files saved."""
    contents = [
        hub.git("show", f"refs/hub/rescue/s1/agent-{agent}/attempt-1/1^3:new") for agent in (1, 2)
    ]
    return contents == ["new", "new"] and not any(
        worktree_path(hub, agent).exists() for agent in (1, 2)
    )


def is_restored(hub: Hub) -> bool:
    """Return True if both worktrees have their committed and untracked files."""
    return all(
        (
            (worktree_path(hub, agent) / "file").read_text(),
            (worktree_path(hub, agent) / "new").read_text(),
        )
        == (f"n: {agent}\n", "new\n")
        for agent in (1, 2)
    )


def is_archived(hub: Hub) -> bool:
    tags = {f"refs/tags/hub/archive/s1/agent-{agent}" for agent in (1, 2)}
    return hub.refs("refs/tags").keys() == tags and is_removed(hub)


MERGE = ("merge", "-q", "--yes", "s1")
CLEANUP, RESTORE, ARCHIVE = (
    ("cleanup", "-q", "s1"),
    ("restore", "-q", "s1"),
    ("archive", "-q", "s1"),
)
SLOW = {"clean": lambda hub, gate: wait_in_filter(hub, gate, "clean"),
        "smudge": lambda hub, gate: wait_in_filter(hub, gate, "smudge")}  # fmt: skip
PARALLEL_WORKTREES = min(2, cpu_count())  # the number of worktrees that are created in parallel
CASES = {
    "merge, asks a hook": Case(
        MERGE, create_evaluated_session, wait_in_hook("commit-msg"), is_merged
    ),
    "merge, locks the branch": Case(
        MERGE, create_evaluated_session, wait_in_ref_transaction("refs/heads/main"), is_merged, True
    ),
    "merge, writes files": Case(MERGE, create_evaluated_session, SLOW["smudge"], is_merged, True),
    "merge, archives": Case(
        MERGE, create_evaluated_session, wait_in_ref_transaction("refs/tags"), is_merged
    ),
    "cleanup, reads work": Case(CLEANUP, create_work, SLOW["clean"], is_removed),
    "cleanup, saves work": Case(
        CLEANUP, create_work, wait_in_ref_transaction("refs/hub/rescue"), is_removed
    ),
    "restore, writes files": Case(
        RESTORE,
        create_cleaned_session,
        SLOW["smudge"],
        is_restored,
        waiting_processes=PARALLEL_WORKTREES,
    ),
    "restore, asks a hook": Case(
        RESTORE,
        create_cleaned_session,
        wait_in_hook("post-checkout"),
        is_restored,
        waiting_processes=PARALLEL_WORKTREES,
    ),
    "restore, makes branches": Case(
        RESTORE,
        create_archived_session,
        wait_in_ref_transaction("refs/heads/hub"),
        is_restored,
        waiting_processes=PARALLEL_WORKTREES,
    ),
    "archive, makes tags": Case(
        ARCHIVE, create_work, wait_in_ref_transaction("refs/tags"), is_archived
    ),
}
# The short form sends one signal in some of the cases.
SHORT = {
    "merge, asks a hook": "int int", "merge, writes files": "int int", "cleanup, saves work": "int int",
    "cleanup, reads work": "term", "restore, writes files": "int", "restore, asks a hook": "term",
    "archive, makes tags": "int",
}  # fmt: skip


@contextmanager
def start_command(
    hub: Hub, *arguments: str, stdin: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command as the leader of a process group."""
    with subprocess.Popen(
        ["git-hub-session", *arguments], cwd=hub.top, env=hub.environ, process_group=0,
        stdin=subprocess.DEVNULL if stdin is None else stdin, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            yield process
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def send_signals(process: subprocess.Popen[bytes], kind: str) -> None:
    """Send SIGINT to the process group, as a terminal does, or SIGTERM only to the command."""
    for number in SIGNALS[kind]:
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)


def wait_for_end(hub: Hub, process: subprocess.Popen[bytes]) -> Result:
    """Wait for the end of the command and of all its child processes."""
    out, err = process.communicate(timeout=120)
    wait_for(lambda: not pids_with_environment({"HOME": hub.environ["HOME"]}))
    return Result(process.returncode, out.decode(), err.decode())


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, kind) for name in CASES for kind in SIGNALS] if LONG else SHORT.items(),
)
def test_signal_ends_the_command(hub: Hub, gate: Gate, name: str, kind: str) -> None:
    """Nothing is lost, and no temporary file is left. The same command then does its work."""
    case = CASES[name]
    case.prepare(hub)
    refs, commits = hub.refs(), hub.git("rev-list", "--all").splitlines()
    agents_with_work = [agent for agent in (1, 2) if (worktree_path(hub, agent) / "new").exists()]
    case.block(hub, gate)
    with start_command(hub, *case.arguments) as process:
        gate.wait(case.waiting_processes)
        send_signals(process, kind)
        if case.git_finishes or kind == "term":
            gate.open()  # the command waits for the end of its git
        assert wait_for_end(hub, process) == Result(-SIGNALS[kind][0])
    check_repository(hub, commits=commits)
    refs_after = hub.refs()
    # A git that finished may have replaced a branch with an archive tag.
    archived_tips = {
        oid for ref, oid in refs_after.items() if ref.startswith("refs/tags/hub/archive/")
    }
    assert all(ref in refs_after or oid in archived_tips for ref, oid in refs.items())
    for agent in agents_with_work:
        saved = f"refs/hub/rescue/s1/agent-{agent}/attempt-1/1"
        assert (worktree_path(hub, agent) / "new").exists() or saved in refs_after
    gate.open()
    assert hub.run(*case.arguments) == Result(0)
    assert case.is_done(hub)
    check_repository(hub, commits=commits)


# The step in which the signal stops the run, and the commands that then finish the session.
RUN = ("run", "-q", "--yes", "--id", "s1", "--task", "t", "--agents", "2", *MEASURE[2:])
REMAINING_STEPS = {
    "measures the baseline": ("spawn", "exec", "eval", "merge"),
    "creates worktrees": ("spawn", "exec", "eval", "merge"),
    "runs agents": ("exec", "eval", "merge"),
    "merges": ("merge",),
}


@pytest.mark.parametrize("kind", SIGNALS if LONG else ["int int"])
@pytest.mark.parametrize("stopped_step", REMAINING_STEPS if LONG else ["runs agents"])
def test_signal_during_a_run(hub: Hub, gate: Gate, stopped_step: str, kind: str) -> None:
    """The signal ends the run in its current step. Single commands then finish the session."""
    hub.commit(hub.top, "file", "n: 0\n")
    agent, measure, waiting_processes = AGENT, "cat file", 1
    if stopped_step == "measures the baseline":
        # A command that does not only read files is the benchmark: it would guard the name `file`.
        measure = f"{gate.shell_command}; cat fil?"
    elif stopped_step == "creates worktrees":
        # HUB_AGENT is not set in the worktree in which `run` measures the baseline.
        hub.git(
            "config", "hubsession.setup", f'test -z "$HUB_AGENT" || {{ {gate.shell_command}; }}'
        )
        waiting_processes = PARALLEL_WORKTREES
    elif stopped_step == "runs agents":
        agent = f"{gate.shell_command}; {AGENT}"
        waiting_processes = 2
    else:
        wait_in_ref_transaction("refs/tags")(hub, gate)
    with start_command(hub, *RUN, "--eval", measure, "--agent-cmd", agent) as process:
        gate.wait(waiting_processes)
        send_signals(process, kind)
        if stopped_step == "merges" and kind == "term":
            gate.open()
        result = wait_for_end(hub, process)
        assert (result.code, result.out) == (-SIGNALS[kind][0], "")
        assert result.err.startswith("hint: continue with: git hub-session ")
    check_repository(hub)
    gate.open()
    commands = {
        "spawn": ("spawn", "-q", "s1"),
        "exec": ("exec", "-q", "s1", "--", "sh", "-c", agent),
        "eval": ("eval", "-q", "s1"),
        "merge": MERGE,
    }
    for step in REMAINING_STEPS[stopped_step]:
        result = hub.run(*commands[step])
        assert (result.code, result.out) == (0, ""), (step, result)
    assert is_merged(hub)
    check_repository(hub)


def is_asleep(pid: int) -> bool:
    """Return True if the process waits in the kernel, so that a signal interrupts a system call."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


@pytest.mark.parametrize("kind", SIGNALS if LONG else ["int int"])
@pytest.mark.parametrize("wait_reason", ["for its input", "for the lock"])
def test_signal_while_a_post_waits(hub: Hub, wait_reason: str, kind: str) -> None:
    """The interrupted post is not written to the board."""
    hub.run("init", "-q", "--id", "s1", "--task", "t")
    assert hub.run("board", "post", "-q", "progress", "-m", "first") == Result(0)
    board = hub.top / ".agenthub" / "board"
    before = snapshot(board)
    post = ("board", "post", "-q", "progress")
    if wait_reason == "for its input":
        reader, writer = os.pipe()
        with start_command(hub, *post, "-F", "-", stdin=reader) as process:
            os.close(reader)
            # Write more than the capacity of a pipe, so that the command must read some of it.
            os.write(writer, b"x" * (1 << 17))
            wait_for(lambda: is_asleep(process.pid))
            send_signals(process, kind)
            assert wait_for_end(hub, process) == Result(-SIGNALS[kind][0])
        os.close(writer)
    else:
        lock = os.open(board, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        with start_command(hub, *post, "-m", "second") as process:
            wait_for(lambda: process.pid in pids_with_open_directory(str(board)))
            send_signals(process, kind)
            assert wait_for_end(hub, process) == Result(-SIGNALS[kind][0])
        os.close(lock)
    assert snapshot(board) == before
    assert hub.run(*post, "-m", "second") == Result(0)
    assert hub.json("board")["channels"][1]["posts"] == 2


_SIGNAL_AT_EVENT = """
import os, sys
sys.path.insert(0, {checkout!r})
sys.addaudithook(lambda *heard: os.kill(os.getpid(), {number}) if heard[0] == {event!r} and {name!r} in heard[1] else None)
from git_hub_session.__main__ import command
command()
"""


@pytest.mark.parametrize(
    ("signal_number", "event", "name"),
    [
        (signal.SIGINT, "import", "git_hub_session.main"),
        (signal.SIGINT, "import", "git_hub_session.commands.update"),
        (signal.SIGINT, "git_hub_session.exit", 0),
        (signal.SIGTERM, "git_hub_session.exit", 0),
    ],
)
def test_signal_at_the_start_and_the_end(
    hub: Hub, signal_number: signal.Signals, event: str, name: object
) -> None:
    """A signal during the imports or between the output and the exit prints no traceback."""
    hub.session()
    code = _SIGNAL_AT_EVENT.format(
        checkout=str(CHECKOUT), number=int(signal_number), event=event, name=name
    )
    result = hub.call(PYTHON, "-I", "-c", code, "update", "s1", "--state", "running")
    is_after_output = event == "git_hub_session.exit"
    assert result == Result(
        -signal_number, "Session s1: init → running\n" if is_after_output else ""
    )
    assert hub.state()["state"] == ("running" if is_after_output else "init")
