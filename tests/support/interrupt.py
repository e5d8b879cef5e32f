"""A command that something happens to in the middle of its work: a kill, or somebody else's change."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.hub import CHECKOUT, Hub, Result

# The command in a Python that runs `code` before the n-th of the things it does to the
# world; without code it only counts them, on standard error.
_INTERPOSED = """
import os, signal, subprocess, sys, time
sys.path.insert(0, {checkout!r})
count = 0
CHANGES = {{"os.link", "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.fork", "subprocess.Popen"}}

def heard(event, args):
    global count
    if {opened!r} and not (event == "open" and args[0] == {opened!r}):
        return
    writing = event == "open" and isinstance(args[2], int) and args[2] & os.O_CREAT
    if not ({opened!r} or writing or event in CHANGES) or {only!r} not in (event, "") or not ready:
        return
    count += 1
    if count == {nth}:
        {code}

ready = False
sys.addaudithook(heard)
import git_hub_session.system.tree, git_hub_session.system.procfs, git_hub_session.system.parallel
import git_hub_session.git.command, git_hub_session.git.repository
from git_hub_session.main import main, run_and_exit
import git_hub_session.agents.spawn, git_hub_session.cleanup.cleanup
ready = True
if {nth}:
    run_and_exit()
code = main()
sys.stderr.write(f"{{count}}\\n")
sys.exit(code)
"""
DIE = "os.kill(os.getpid(), signal.SIGKILL)"
LONG = "HUB_TEST_LONG" in os.environ
"""Whether the long form was asked for (`make long`)."""


def sampled(moments: int, share: int, shares: int, every: int) -> range:
    """The moments of one share of a test: every so-manieth of them, or all in the long form."""
    step = 1 if LONG else every
    return range(1 + share * step, moments + 1, shares * step)


def interposed(
    hub: Hub, *words: str, code: str = "pass", nth: int = 1, only: str = "", opened: str = ""
) -> Result:
    """`git hub-session <words>` with `code` run before its n-th change (of the kind `only`), or before it opens a path."""
    program = _INTERPOSED.format(
        checkout=str(CHECKOUT), nth=nth, code=code, only=only, opened=opened
    )
    return hub.call(sys.executable, "-c", program, *words)


class Template:
    """The whole world of a test, put back as often as it is needed."""

    def __init__(self, hub: Hub, places: Sequence[Path] = (), name: str = "template") -> None:
        self._places = {
            place: Path(f"{place}.{name}") for place in places or [hub.top, hub.worktrees]
        }
        for place, kept in self._places.items():
            if kept.exists():
                shutil.rmtree(kept)
            subprocess.run(["cp", "-a", place, kept], check=True)

    def put_back(self) -> None:
        for place, kept in self._places.items():
            shutil.rmtree(place)
            subprocess.run(["cp", "-a", kept, place], check=True)
