"""Kill a command before one of its changes, or execute other code at that moment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support.hub import CHECKOUT, NOW, Hub, Result, fork_server

# Runs the command in a Python that executes `code` before the n-th change to the file system
# or start of a process. With nth=0 it only counts the changes and prints the count on stderr.
_HOOK = """
import os, signal, subprocess, sys, time
from git_hub_session.main import main, run_and_exit
count = 0
CHANGES = {{"os.link", "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.fork", "subprocess.Popen"}}

def on_audit_event(event, args):
    global count
    if {opened!r} and not (event == "open" and args[0] == {opened!r}):
        return
    if {started!r} and not (event == "subprocess.Popen" and {started!r} in args[1]):
        return
    writing = event == "open" and isinstance(args[2], int) and args[2] & os.O_CREAT
    if not ({opened!r} or writing or event in CHANGES) or {only!r} not in (event, "") or not ready:
        return
    count += 1
    if count == {nth}:
        {code}

ready = False
sys.addaudithook(on_audit_event)
{imports}
ready = True
if {nth}:
    run_and_exit()
code = main()
sys.stderr.write(f"{{count}}\\n")
os._exit(code)
"""
_PATH = f"""
import sys
sys.path.insert(0, {str(CHECKOUT)!r})
sys.dont_write_bytecode = True  # else the first run counts the .pyc files that it writes
"""
_IMPORTS = """
import git_hub_session.system.tree, git_hub_session.system.procfs, git_hub_session.system.parallel
import git_hub_session.git.command, git_hub_session.git.repository
import git_hub_session.agents.spawn, git_hub_session.cleanup.cleanup
"""
DIE = "os.kill(os.getpid(), signal.SIGKILL)"
LONG = "HUB_TEST_LONG" in os.environ
"""True if the long form of the tests is wanted (`make long`)."""


def sample(count: int, *, short: int) -> range:
    """Return the numbers from 1 to `count`, or about `short` of them in the short form."""
    return range(1, count + 1, 1 if LONG else max(1, count // short))


def run_with_injected_code(
    hub: Hub,
    *arguments: str,
    code: str = "pass",
    nth: int = 1,
    only: str = "",
    opened: str = "",
    started: str = "",
) -> Result:
    """Run `git hub-session <arguments>`, and execute `code` in it before its n-th change.

    Args:
        only: count only the audit events of this name.
        opened: count only the calls that open this path.
        started: count only the processes that have this word in their arguments.
    """
    hook = _HOOK.format(
        imports=_IMPORTS, nth=nth, code=code, only=only, opened=opened, started=started
    )
    return hub.call(sys.executable, "-c", _PATH + hook, *arguments)


def _run_hooked_fork(hub: Hub, arguments: Sequence[str], nth: int) -> Result:
    """Kill the command before its n-th change, or count its changes if `nth` is 0.

    The command runs in a fork of a process that has imported the package. Wait also for the
    processes that the command has forked.
    """
    hook = "import fcntl; fcntl.flock(1, fcntl.LOCK_EX)" + _HOOK.format(
        imports="", nth=nth, code=DIE, only="", opened="", started=""
    )
    environ = {**hub.environ, "GIT_TEST_DATE_NOW": str(NOW)}
    answer = fork_server().call(
        *arguments, cwd=hub.top, environ=environ, memory=0, kill=False, hook=hook
    )
    assert answer.code is not None, answer
    return Result(answer.code, os.fsdecode(answer.out), os.fsdecode(answer.err))


def count_changes(hub: Hub, *arguments: str) -> int:
    """Run the command to its end, and return the number of its changes."""
    result = _run_hooked_fork(hub, arguments, 0)
    assert result.code == 0, result
    return int(result.err.splitlines()[-1])


def kill_at_changes(
    hub: Hub, template: Template, arguments: Sequence[str], count: int, *, short: int
) -> Iterator[int]:
    """Kill the command before its changes, and yield the number of the change after each kill.

    Only the Python process is killed: a git that it has started ends by itself. The kill of all
    processes, at each system call, is tested in tests/crash/test_killed.py.

    Args:
        template: the files to restore before each kill.
        count: the number of changes of a complete run. Another run can make fewer: git creates a
            worktree again if it could not at the first try.
        short: the number of kills in the short form. The long form kills before each change.
    """
    for number in sample(count, short=short):
        template.restore()
        killed = _run_hooked_fork(hub, arguments, number)
        if killed.code == 0 and number > count // 2:
            return
        assert killed.code == -9, (number, killed)
        yield number


class Template:
    """A copy of the directories of a test, from which they can be restored."""

    def __init__(self, hub: Hub, directories: Sequence[Path] = (), name: str = "template") -> None:
        self._copies = {
            directory: Path(f"{directory}.{name}")
            for directory in directories or [hub.top, hub.worktrees]
        }
        for directory, copy in self._copies.items():
            if copy.exists():
                shutil.rmtree(copy)
            subprocess.run(["cp", "-a", directory, copy], check=True)

    def restore(self) -> None:
        """Replace the directories with their copies."""
        for directory, copy in self._copies.items():
            shutil.rmtree(directory)
            subprocess.run(["cp", "-a", copy, directory], check=True)
