"""Helpers of the store tests: sessions of AgentHub, and commands that run at the same time."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.hub import CHECKOUT, NOW, PYTHON, Hub, Result

STATES = ("init", "running", "evaluating", "merged", "archived")
NEXT = {"init": "running", "running": "evaluating", "evaluating": "merged"}
CREATED = "2026-03-17T14:30:22.123456+00:00"


def create_session(hub: Hub, state: str, sid: str = "s1") -> bytes:
    """Create a session in `state` without a history, and return the bytes of its state.json."""
    directory = create_agenthub_session(hub, sid, state=state)
    return (directory / "state.json").read_bytes()


def create_agenthub_session(
    hub: Hub,
    sid: str,
    task: str = "Make it fast",
    *,
    state: str = "init",
    settings: Sequence[str] = (),
) -> Path:
    """Create a session as AgentHub's `hub_init` writes it, and return its directory.

    Nothing is escaped.
    """
    directory = hub.directory(sid)
    directory.mkdir(parents=True)
    lines = [f"session_id: {sid}", f'task: "{task}"', "agent_count: 3", "base_branch: main"]
    (directory / "config.yaml").write_text(
        "\n".join([*lines, f"created: {CREATED}", *settings]) + "\n"
    )
    document = {
        "session_id": sid,
        "state": state,
        "created": CREATED,
        "updated": CREATED,
        "agents": {},
    }
    (directory / "state.json").write_text(json.dumps(document, indent=2) + "\n")
    return directory


# Forks a process for each call, and starts all of them at once. They start much closer together
# than processes that must load Python first. If a directory is locked, it is unlocked when all
# updates wait for the lock: the first sleep of a process shows that the process waits.
_AT_ONCE = """
import fcntl, json, os, sys, time
sys.path.insert(0, sys.argv[1])
from git_hub_session.system import directory
directory.LOCK_TIMEOUT = 120  # before the other modules import it
from git_hub_session.main import main
from git_hub_session.commands import board, init, list, log, update
from git_hub_session.cli import formats, terminal
output_directory, locked = sys.argv[2:]
gate, opener = os.pipe()
waits, waiter = os.pipe()
lock = os.open(locked or "/", os.O_RDONLY)
if locked:
    fcntl.flock(lock, fcntl.LOCK_EX)
calls = json.load(sys.stdin)
children = []

def report_and_sleep(seconds, sleep=time.sleep):
    if time.sleep is report_and_sleep:
        time.sleep = sleep
        os.write(waiter, b"x")
    sleep(seconds)

for index, arguments in enumerate(calls):
    child = os.fork()
    if not child:
        os.close(opener)
        os.close(lock)
        time.sleep = report_and_sleep
        for fd, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{output_directory}/{index}.{name}", os.O_WRONLY | os.O_CREAT), fd)
        os.read(gate, 1)
        os._exit(main(arguments))
    children.append(child)
os.close(opener)
missing = sum(call[0] == "update" for call in calls) if locked else 0
while missing:
    missing -= len(os.read(waits, missing))
os.close(lock)
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
"""


def run_at_once(
    hub: Hub, calls: Sequence[Sequence[str]], *, locked: Path | None = None
) -> list[Result]:
    """Run the command lines at the same moment, each in its own process. Return their results.

    Args:
        calls: the command lines.
        locked: the directory of the session that all updates change. It is locked until all of
            them wait for the lock.
    """
    output_directory = hub.top.parent / "answers"
    output_directory.mkdir()
    arguments = (str(output_directory), str(locked or ""))
    codes = json.loads(run_script(hub, _AT_ONCE, *arguments, stdin=json.dumps(calls)))
    results = []
    for index, code in enumerate(codes):
        out, err = (output_directory / f"{index}.{name}" for name in ("out", "err"))
        results.append(Result(code, out.read_text(), err.read_text()))
        out.unlink()
        err.unlink()
    output_directory.rmdir()
    return results


def run_script(hub: Hub, text: str, *arguments: str, stdin: str = "") -> str:
    """Run a Python script, which must succeed, and return its output.

    The first argument of the script is the path of the checkout.
    """
    result = subprocess.run(
        [PYTHON, "-I", "-c", text, os.fspath(CHECKOUT), *arguments],
        cwd=hub.top,
        env={**hub.environ, "GIT_TEST_DATE_NOW": str(NOW)},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (result.returncode, result.stderr) == (0, ""), result
    return result.stdout
