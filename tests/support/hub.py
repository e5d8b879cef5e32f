"""A real repository with real sessions, and the command as users run it."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.answers import find_invalid
from tests.support.fork_server import ForkServer

CHECKOUT = Path(__file__).resolve().parent.parent.parent
PYTHON = sys.executable

COMMAND = CHECKOUT / "bin" / "git-hub-session"
NOW = 1773757822
"""The time of the command in each test that sets no other: 2026-03-17T14:30:22Z."""
# The only variables that a test takes from the environment: others change git and Python.
_KEPT = {"TMPDIR", "LD_LIBRARY_PATH", "MEASURED_INTO"}

UNMEASURED = {"MEASURED_INTO": ""}
"""The environment of a process without coverage (see tests/support/coverage.py)."""
IMPATIENT = {"HUB_TEST_LOCK_WAIT": "0.1"}
"""The environment of a command that waits 0.1 seconds for a lock, not ten."""
PATIENT = {"HUB_TEST_LOCK_WAIT": "120"}
"""The environment of a command that gets the lock also on a busy machine."""


class Result(NamedTuple):
    """The exit code of a command, and its complete output."""

    code: int
    out: str = ""
    err: str = ""


_servers: dict[Path, ForkServer] = {}
"""{the directory of the answers: the server}: at most one server."""


def fork_server() -> ForkServer:
    """Return the server that all tests of this process use."""
    if not _servers:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        environ = {**kept, "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TZ": "UTC"}
        answers = Path(tempfile.mkdtemp(prefix="git-hub-session-answers-"))
        _servers[answers] = ForkServer(environ, answers)
    return next(iter(_servers.values()))


def close_fork_server() -> None:
    """End the server, if it was used, and delete its files."""
    for answers, server in _servers.items():
        server.close()
        shutil.rmtree(answers)
    _servers.clear()


class Hub:
    """A repository at `top` with one commit on `main`."""

    def __init__(self, top: Path, environ: Mapping[str, str], *, through_git: bool = False) -> None:
        """Use a repository.

        Args:
            through_git: let git start the command in a new process, as for users. A fork of
                `fork_server()` is faster.
        """
        self.top = top
        self.environ = dict(environ)
        self.through_git = through_git

    @property
    def worktrees(self) -> Path:
        """The directory of the agents' worktrees."""
        return self.top.parent / "worktrees"

    def git(self, *words: str | Path, cwd: Path | None = None, stdin: str | None = None) -> str:
        """Run `git <words>`, which must succeed, and return its output without the last newline."""
        done = subprocess.run(
            ["git", *(os.fspath(word) for word in words)],
            cwd=cwd or self.top,
            env=self.environ,
            input=stdin,
            capture_output=True,
            text=True,
            errors="surrogateescape",
        )
        assert done.returncode == 0, f"git {words}: {done.stderr}"
        return done.stdout.removesuffix("\n")

    def run(
        self,
        *words: str | Path,
        cwd: Path | None = None,
        environ: Mapping[str, str] | None = None,
        stdin: str | None = None,
        now: int | None = NOW,
        trace: Sequence[str] = (),
    ) -> Result:
        """Run `git hub-session <words>`, by default with an empty standard input.

        A command with an environment or an input of its own runs in a new process.

        Args:
            trace: the arguments of the tracer, or () (see fork_server.py).
        """
        if self.through_git or environ is not None or stdin is not None:
            return self.call(
                "git", "hub-session", *words, cwd=cwd, environ=environ, stdin=stdin, now=now
            )
        variables = self.environ if now is None else {**self.environ, "GIT_TEST_DATE_NOW": str(now)}
        arguments = [os.fspath(word) for word in words]
        answer = fork_server().call(
            *arguments,
            cwd=cwd or self.top,
            environ=variables,
            memory=0,
            kill=False,
            trace=trace,
        )
        assert answer.code is not None, answer
        # If a signal ended the command, git exits as a shell would.
        code = answer.code if answer.code >= 0 else 128 - answer.code
        return _checked(arguments, Result(code, os.fsdecode(answer.out), os.fsdecode(answer.err)))

    def call(
        self,
        *words: str | Path,
        cwd: Path | None = None,
        environ: Mapping[str, str] | None = None,
        stdin: str | None = None,
        now: int | None = NOW,
    ) -> Result:
        """Run any command in the environment of the tests."""
        variables = {**self.environ, **(environ or {})}
        if now is not None:
            variables["GIT_TEST_DATE_NOW"] = str(now)
        arguments = [os.fspath(word) for word in words]
        done = subprocess.run(
            arguments,
            cwd=cwd or self.top,
            env=variables,
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=300,
        )
        result = Result(done.returncode, done.stdout, done.stderr)
        is_ours = arguments[:2] == ["git", "hub-session"]
        return _checked(arguments[2:], result) if is_ours else result

    def json(self, *words: str | Path, code: int = 0, cwd: Path | None = None) -> Any:
        """Return what `git hub-session <words> --format=json` prints, without `version`."""
        result = self.run(*words, "--format=json", cwd=cwd)
        assert result.code == code, result
        document = json.loads(result.out)
        assert document.pop("version") == 1
        return document

    def session(self, sid: str = "s1", *, agents: int = 0, task: str = "Make it fast") -> Hub:
        """Create a session and a worktree for the first attempt of each of the `agents`."""
        result = self.run(
            "init", "-q", "--id", sid, "--task", task, "--agents", str(max(agents, 1))
        )
        assert result == Result(0, f"{sid}\n"), result
        for agent in range(1, agents + 1):
            self.spawn(sid, agent)
        return self

    def spawn(self, sid: str, agent: int, attempt: int = 1, *, base: str = "main") -> Path:
        """Create a worktree on hub/<sid>/agent-N/attempt-M with git, and return its path."""
        name = f"agent-{agent}" + ("" if attempt == 1 else f"-{attempt}")
        path = self.worktrees / sid / name
        self.git(
            "worktree", "add", "-q", "-b", f"hub/{sid}/agent-{agent}/attempt-{attempt}", path, base
        )
        return path

    def link_worktrees(self) -> None:
        """Move the directory of all worktrees, and replace it with a symbolic link."""
        moved = self.worktrees.with_name("moved")
        self.worktrees.rename(moved)
        self.worktrees.symlink_to(moved)

    def worktree(self, agent: int, sid: str = "s1") -> Path:
        """Return the path of the worktree of an agent's first attempt."""
        return self.worktrees / sid / f"agent-{agent}"

    def commit(self, where: Path, name: str, content: str, message: str = "work") -> str:
        """Write a file, commit it, and return the object id of the commit."""
        (where / name).parent.mkdir(parents=True, exist_ok=True)
        (where / name).write_text(content)
        self.git("add", "--", name, cwd=where)
        self.git("commit", "-q", "-m", message, cwd=where)
        return self.git("rev-parse", "HEAD", cwd=where)

    def refs(self, prefix: str = "refs") -> dict[str, str]:
        """Return the object id of each ref by its full name."""
        lines = self.git("for-each-ref", "--format=%(refname) %(objectname)", prefix).splitlines()
        return dict(line.split(" ") for line in lines)

    def directory(self, sid: str = "s1") -> Path:
        """Return the directory of a session."""
        return self.top / ".agenthub" / "sessions" / sid

    def state(self, sid: str = "s1") -> dict[str, Any]:
        """Return the content of state.json, read without the package."""
        document = json.loads((self.directory(sid) / "state.json").read_text())
        assert isinstance(document, dict)
        return document


def _checked(words: Sequence[str], result: Result) -> Result:
    """Return the result of a command. Fail if its JSON differs from the schema."""
    invalid = find_invalid(words, result.out, result.err)
    assert not invalid, "\n".join([f"git hub-session {' '.join(words)}", *invalid])
    return result


def new_hub(top: Path, environ: Mapping[str, str], *, through_git: bool = False) -> Hub:
    """Create a repository at `top` with two files in one commit on main.

    It is a copy of one repository of this process: a copy is faster than `git init` and a commit.
    """
    shutil.copytree(_template(environ), top)
    hub = Hub(top, environ, through_git=through_git)
    hub.git("update-index", "-q", "--refresh")  # the index has the inodes of the original files
    return hub


_templates: list[Path] = []
"""The repository that new_hub() copies: at most one."""


def _template(environ: Mapping[str, str]) -> Path:
    if not _templates:
        directory = Path(tempfile.mkdtemp(prefix="git-hub-session-template-"))
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
        top = directory / "project"
        (top / "sub").mkdir(parents=True)
        (top / "file").write_text("first\n")
        (top / "sub" / "other").write_text("second\n")
        hub = Hub(top, environ)
        hub.git("init", "-q")
        hub.git("add", ".")
        hub.git("commit", "-q", "-m", "base")
        for sample in (top / ".git" / "hooks").glob("*.sample"):
            sample.unlink()
        _templates.append(top)
    return _templates[0]


def snapshot(top: Path) -> dict[str, bytes | str]:
    """Return the content of each file, or the target of each link, by its path below `top`."""
    found: dict[str, bytes | str] = {}
    for directory, directories, files in os.walk(top):
        for name in sorted(files) + [d for d in directories if os.path.islink(Path(directory, d))]:
            path = Path(directory, name)
            key = os.path.relpath(path, top)
            if path.is_symlink():
                found[key] = f"-> {os.readlink(path)}"
            elif path.is_file():
                found[key] = path.read_bytes()
            else:
                found[key] = "special"
    return found


@contextmanager
def process_in(directory: Path, *command: str) -> Iterator[int]:
    """Run a command that waits, by default `sleep`, in `directory`, and yield its process id."""
    with subprocess.Popen(
        command or ("sleep", "600"), cwd=directory, stdin=subprocess.PIPE
    ) as process:
        wait_until_started(process)
        try:
            yield process.pid
        finally:
            process.kill()


def wait_until_started(process: subprocess.Popen[Any]) -> None:
    """Wait until a process has the name and the environment of its program.

    Popen returns before: the kernel has closed the pipe on which Popen waits, and nothing else.
    """
    wait_for(lambda: Path(f"/proc/{process.pid}/cmdline").read_bytes(), process)


def is_alive(pid: int) -> bool:
    """Return True if a process runs. A zombie does not run."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def wait_for(condition: Callable[[], object], process: subprocess.Popen[Any] | None = None) -> None:
    """Wait until the condition is true. Fail after two minutes, which only a hanging process needs.

    Args:
        condition: the function that returns a true value at the end of the wait.
        process: the process that makes the condition true. Fail if the process ends first.
    """
    deadline = time.monotonic() + 120
    while not condition():
        if process is not None and process.poll() is not None and not condition():
            raise AssertionError(f"{process} has ended: {process.communicate()}")
        assert time.monotonic() < deadline
        time.sleep(0.01)


def peer() -> Path | None:
    """Return the path of AgentHub's session_manager.py, or None if it is not installed.

    It is in ../shared/peers, or at the path in GIT_HUB_SESSION_PEER.
    """
    named = os.environ.get("GIT_HUB_SESSION_PEER")
    path = Path(named) if named else CHECKOUT.parent / "shared" / "peers" / "session_manager.py"
    return path if path.is_file() else None


def sealed_environment(tmp_path: Path) -> Mapping[str, str]:
    """Return an environment in which git, libgit2 and the command see only files in `tmp_path`."""
    home = tmp_path / "home"
    home.mkdir()
    programs = tmp_path / "bin"
    programs.mkdir()
    # As for users, git finds the command on PATH. The interpreter under test runs it.
    wrapper = programs / "git-hub-session"
    wrapper.write_text(
        f'#!/bin/sh\nexec {PYTHON} -I -c \'import os, sys; sys.path.insert(0, "{CHECKOUT}")\n'
        'if "HUB_TEST_LOCK_WAIT" in os.environ:\n'
        "    from git_hub_session.system import directory\n"
        '    directory.LOCK_TIMEOUT = float(os.environ["HUB_TEST_LOCK_WAIT"])\n'
        'from git_hub_session.main import run_and_exit\nrun_and_exit()\' "$@"\n'
    )
    wrapper.chmod(0o755)
    (home / ".gitconfig").write_text(
        "[user]\n\tname = Ada\n\temail = ada@example.com\n"
        '[init]\n\tdefaultBranch = main\n[protocol "file"]\n\tallow = always\n'
        "[advice]\n\tdetachedHead = false\n"
        # A new git may run the maintenance in the background after any commit.
        "[maintenance]\n\tauto = false\n"
    )
    return {
        **{name: os.environ[name] for name in _KEPT if name in os.environ},
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CEILING_DIRECTORIES": str(tmp_path),
        "GIT_EDITOR": "false",
        "GIT_AUTHOR_DATE": "2026-03-17T14:00:00Z",
        "GIT_COMMITTER_DATE": "2026-03-17T14:00:00Z",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "TERM": "dumb",
    }
