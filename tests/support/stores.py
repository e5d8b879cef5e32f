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
# than processes that must load Python first.
_AT_ONCE = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from git_hub_session.main import main
from git_hub_session.commands import board, init, list, log, update
from git_hub_session.cli import formats, terminal
answers = sys.argv[2]
gate, opener = os.pipe()
children = []
for at, words in enumerate(json.load(sys.stdin)):
    child = os.fork()
    if not child:
        os.close(opener)
        for fd, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{answers}/{at}.{name}", os.O_WRONLY | os.O_CREAT), fd)
        os.read(gate, 1)
        os._exit(main(words))
    children.append(child)
os.close(opener)
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
"""


def run_at_once(hub: Hub, calls: Sequence[Sequence[str]]) -> list[Result]:
    """Make the calls at the same moment, each in its own process, and return their results."""
    answers = hub.top.parent / "answers"
    answers.mkdir()
    codes = json.loads(run_script(hub, _AT_ONCE, str(answers), stdin=json.dumps(calls)))
    results = []
    for at, code in enumerate(codes):
        out, err = (answers / f"{at}.{name}" for name in ("out", "err"))
        results.append(Result(code, out.read_text(), err.read_text()))
        out.unlink()
        err.unlink()
    answers.rmdir()
    return results


def run_script(hub: Hub, text: str, *words: str, stdin: str = "") -> str:
    """Run a Python script, which must succeed, and return its output.

    Its first argument is the checkout.
    """
    done = subprocess.run(
        [PYTHON, "-I", "-c", text, os.fspath(CHECKOUT), *words],
        cwd=hub.top,
        env={**hub.environ, "GIT_TEST_DATE_NOW": str(NOW)},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


# Repeats a command and kills it before its first, second, ... system call, until it is not killed.
# Reports after each kill the content of the file, and the results of the following commands.
_KILLED = """
import json, os, signal, sys
sys.path.insert(0, sys.argv[1])
from git_hub_session.main import main
from git_hub_session.commands import board, init, list, log, update
from git_hub_session.cli import formats, terminal
words, after, file, restored = json.load(sys.stdin)

def call(words, deadly=-1):
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(writer, 1)
        os.dup2(writer, 2)
        left = [deadly]
        def count(frame, event, function):
            if event == "c_call" and getattr(function, "__module__", "") in ("posix", "fcntl"):
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1
        if deadly >= 0:
            sys.setprofile(count)
        code = main(words)
        sys.setprofile(None)
        os._exit(code)
    os.close(writer)
    with os.fdopen(reader) as answers:
        answer = answers.read()
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), answer]

def content():
    try:
        with open(file) as source:
            return source.read()
    except FileNotFoundError:
        return None

stories = []
while True:
    killed, _ = call(words, len(stories))
    story = {"code": killed, "file": content(), "after": [call(words) for words in after]}
    if restored:
        with open(file, "w") as target:
            target.write(restored)
    stories.append(story)
    if killed >= 0:
        break
print(json.dumps(stories))
"""


def kill_at_system_calls(
    hub: Hub, words: Sequence[str], *, after: Sequence[Sequence[str]], file: Path, restored: str
) -> list[tuple[int, str | None, list[Result]]]:
    """Kill a command before each of its system calls, and return the outcome of each kill.

    An outcome is the exit code, the content of `file`, and the results of the commands `after`.
    The last outcome is that of a command that was not killed. If `restored` is not empty, it is
    written to `file` after each kill.
    """
    stdin = json.dumps([words, after, os.fspath(file), restored])
    return [
        (story["code"], story["file"], [Result(code, out) for code, out in story["after"]])
        for story in json.loads(run_script(hub, _KILLED, stdin=stdin))
    ]
