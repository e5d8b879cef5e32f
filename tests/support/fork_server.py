"""Run the command in forks of a process that has imported the package.

A fork skips the start of the interpreter and the imports, which take most of the time of a short
command. It has its own standard streams, environment, current directory and limits.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

MEMORY = 600 << 20
"""The limit of the address space of a command and of each git that it starts, in bytes."""

SECONDS = 120
"""The time after which a command counts as hung, also on a busy machine."""

_SERVER = """
import gc, json, os, pkgutil, resource, select, signal, sys, time
sys.path.insert(0, sys.argv[1])
import git_hub_session
from git_hub_session.main import run_and_exit
import difflib, pygit2, yaml
from tests.support import tracer
for module in pkgutil.walk_packages(git_hub_session.__path__, "git_hub_session."):
    if module.name != "git_hub_session.__main__":
        __import__(module.name)

def run(call):
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for fd, file in ((1, call["out"]), (2, call["err"])):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), fd)
    os.closerange(3, 64)
    if call["memory"]:
        resource.setrlimit(resource.RLIMIT_AS, (call["memory"], call["memory"]))
    if call["uid"]:
        os.setgroups([])
        os.setgid(call["uid"])
        os.setuid(call["uid"])
    os.environ.clear()
    os.environ.update(call["environ"])
    time.tzset()
    use_home(os.environ.get("HOME"), os.environ.get("XDG_CONFIG_HOME"))
    os.chdir(call["cwd"])
    sys.argv = ["git-hub-session", *call["words"]]
    if call["trace"]:
        os._exit(tracer.trace(*call["trace"], run_and_exit))
    exec(call["hook"], {})
    run_and_exit()

def use_home(home, xdg):
    # libgit2 has read these variables when pygit2 was imported.
    if home:
        if hasattr(type(pygit2.settings), "homedir"):  # not in pygit2 1.11
            pygit2.settings.homedir = home
        pygit2.settings.search_path[pygit2.GIT_CONFIG_LEVEL_GLOBAL] = home
        xdg = xdg or home + "/.config"
    if xdg:
        pygit2.settings.search_path[pygit2.GIT_CONFIG_LEVEL_XDG] = xdg + "/git"

gc.collect()
gc.freeze()  # a fork that collects garbage would copy all memory
for line in sys.stdin:
    call = json.loads(line)
    child = os.fork()
    if not child:
        try:
            run(call)
        finally:
            os._exit(254)
    gate = os.pidfd_open(child)
    has_ended = select.select([gate], [], [], call["seconds"])[0]
    os.close(gate)
    if call["kill"] or not has_ended:
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


class ForkServer:
    """The process that is forked. `with` ends it."""

    def __init__(self, environ: Mapping[str, str], answers: Path) -> None:
        """Start the process.

        Args:
            environ: the environment of the process and of the commands.
            answers: the directory for the output of the commands.
        """
        self._environ = dict(environ)
        self._out, self._err = answers / "out", answers / "err"
        self._lock = threading.Lock()
        self._server = subprocess.Popen(
            [sys.executable, "-I", "-c", _SERVER, str(Path(__file__).parents[2])],
            env=self._environ,
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
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
        kill: bool = True,
        trace: Sequence[str] = (),
        hook: str = "",
    ) -> Answer:
        """Run `git-hub-session <words>` in `cwd`, as the user `uid` unless that is 0.

        Args:
            memory: the limit of the address space in bytes, or 0 for no limit.
            environ: variables that the command gets besides those of the server.
            kill: kill the processes that the command has left.
            trace: the arguments REPORT, TOP, ACTION and CALL of the tracer (see tracer.py), or ().
            hook: the Python code to execute before the command. If it locks standard output with
                flock, the call also waits for the processes that the command has forked.
        """
        call = {
            "words": words,
            "cwd": os.fspath(cwd),
            "uid": uid,
            "memory": memory,
            "seconds": seconds,
            "environ": {**self._environ, **(environ or {})},
            "kill": kill,
            "trace": trace,
            "hook": hook,
            "out": os.fspath(self._out),
            "err": os.fspath(self._err),
        }
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        with self._lock:
            self._server.stdin.write(json.dumps(call) + "\n")
            self._server.stdin.flush()
            code = json.loads(self._server.stdout.readline())
            with open(self._out, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
            return Answer(code, self._out.read_bytes(), self._err.read_bytes())
