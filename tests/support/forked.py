"""Run the command hundreds of times in seconds, in forks of a process that has imported it.

Each fork has its own standard streams, a limit of memory and of time and, on request, another user.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from tests.support.hub import CHECKOUT, NOW, PYTHON, Hub, Result

MEMORY = 600 << 20
"""The limit of the address space of a command and of each git that it starts, in bytes."""

SECONDS = 120
"""The time after which a command counts as hung, also on a busy machine."""

_SERVER = """
import json, os, pkgutil, resource, select, signal, sys
sys.path.insert(0, sys.argv[1])
import git_hub_session
from git_hub_session.main import main
import difflib, yaml
for module in pkgutil.walk_packages(git_hub_session.__path__, "git_hub_session."):
    if module.name != "git_hub_session.__main__":
        __import__(module.name)

def run(call):
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for fd, file in ((1, call["out"]), (2, call["err"])):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), fd)
    resource.setrlimit(resource.RLIMIT_AS, (call["memory"], call["memory"]))
    if call["uid"]:
        os.setgroups([])
        os.setgid(call["uid"])
        os.setuid(call["uid"])
    os.environ.update(call["environ"])
    os.chdir(call["cwd"])
    return main(call["words"])

for line in sys.stdin:
    call = json.loads(line)
    child = os.fork()
    if not child:
        code = 254
        try:
            code = run(call)
        finally:
            os._exit(code)
    gate = os.pidfd_open(child)
    has_ended = select.select([gate], [], [], call["seconds"])[0]
    os.close(gate)
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        pass
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(code if has_ended else "null", flush=True)
"""


class Answer(NamedTuple):
    """The exit code and the output of a command. `code` is None if the time limit ended it."""

    code: int | None
    out: bytes
    err: bytes


class Forked:
    """The process that is forked. `with` ends it."""

    def __init__(self, environ: Mapping[str, str], answers: Path) -> None:
        """Start the process. The output of the commands goes into the directory `answers`."""
        self._out, self._err = answers / "out", answers / "err"
        self._server = subprocess.Popen(
            [PYTHON, "-I", "-c", _SERVER, os.fspath(CHECKOUT)],
            env={**environ, "GIT_TEST_DATE_NOW": str(NOW)},
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.stdout.close()
        self._server.wait()

    def call(
        self,
        *words: str,
        cwd: Path,
        uid: int = 0,
        memory: int = MEMORY,
        seconds: float = SECONDS,
        environ: Mapping[str, str] | None = None,
    ) -> Answer:
        """Run `git-hub-session <words>` in `cwd`, as the user `uid` unless that is 0."""
        call = {
            "words": words,
            "cwd": os.fspath(cwd),
            "uid": uid,
            "memory": memory,
            "seconds": seconds,
            "environ": dict(environ or {}),
            "out": os.fspath(self._out),
            "err": os.fspath(self._err),
        }
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(call) + "\n")
        self._server.stdin.flush()
        code = json.loads(self._server.stdout.readline())
        return Answer(code, self._out.read_bytes(), self._err.read_bytes())


class ForkedHub(Hub):
    """A repository on which the command runs in forks of one process, not in a new Python."""

    def __init__(self, top: Path, environ: Mapping[str, str], server: Forked) -> None:
        super().__init__(top, environ)
        self._server = server

    def run(
        self,
        *words: str | Path,
        cwd: Path | None = None,
        environ: Mapping[str, str] | None = None,
        stdin: str | None = None,
        now: int | None = NOW,
    ) -> Result:
        """Run `git-hub-session <words>` with nothing on standard input."""
        assert (stdin, now) == (None, NOW)
        arguments = [os.fspath(word) for word in words]
        answer = self._server.call(*arguments, cwd=cwd or self.top, environ=environ)
        assert answer.code is not None, answer
        return Result(answer.code, os.fsdecode(answer.out), os.fsdecode(answer.err))
