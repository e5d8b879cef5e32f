"""Commands that run workers, each in a process group of its own, and the attempts they publish."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.clones import connect
from tests.support.hub import Hub, Result
from tests.support.remotes import ServedRepository

_PATIENCE = 240.0  # seconds
_ATTEMPTS = "refs/heads/hub/s1/"


def define_executor(hub: Hub, name: str, **variables: str) -> None:
    """Define an executor in the user's own configuration."""
    for variable, value in variables.items():
        hub.git("config", "--global", f"hubsession.executor.{name}.{variable}", value)


def connect_with_box(hub: Hub, served: ServedRepository) -> Hub:
    """Publish a base branch that has a metric, and define the executor `box`."""
    hub.commit(hub.top, "ms", "100")
    connect(hub, served.url)
    define_executor(hub, "box", command="env FAR=box", path="box/project")
    return hub


def start_command(
    hub: Hub, *words: str, settings: tuple[str, ...] = (), prefix: tuple[str, ...] = ()
) -> subprocess.Popen[str]:
    """Start `git hub-session` in a process group of its own.

    Args:
        prefix: the command that starts git, such as ("ip", "netns", "exec", "far").
        settings: the options of git, such as ("-c", "hubsession.remote=x").
    """
    return subprocess.Popen(
        [*prefix, "git", *settings, "hub-session", *words],
        cwd=hub.top,
        env=dict(hub.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def start_exec(hub: Hub, *words: str) -> subprocess.Popen[str]:
    """Start `git hub-session exec`."""
    return start_command(hub, "exec", *words)


def script_with_a_long_log(go: Path) -> str:
    """Return a script that prints more than 5,000 bytes, and a few lines after `go` exists.

    The log can be cut once more while it gets the first lines, so the last line comes again and again.
    """
    later = "for n in 1 2 3 4 5 6 7 8 9 10; do echo later; sleep 0.3; done"
    return f"echo started; seq 2000; until test -e {go}; do sleep 0.1; done; {later}"


def is_cut(log: Path) -> bool:
    """Return True if the log of a worker was cut, and has at most 5,000 bytes now."""
    data = log.read_bytes() if log.exists() else b""
    return b"was deleted" in data and len(data) <= 5000


def finish(process: subprocess.Popen[str]) -> Result:
    """Wait for the end of a process."""
    out, err = process.communicate(timeout=_PATIENCE)
    return Result(process.returncode, out, err)


def published_attempts(served: ServedRepository) -> dict[str, str]:
    """Return {"agent-1/attempt-1": commit} for the attempts of the session s1 on a remote."""
    refs = served.refs(_ATTEMPTS)
    return {ref.removeprefix(_ATTEMPTS): oid for ref, oid in refs.items()}
