"""Start a run, and type the commands that continue it."""

from __future__ import annotations

import subprocess

from tests.support.hub import Hub


def start(hub: Hub, *arguments: str, stdout: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    """Start a command whose standard error the test reads, and with PIPE also its output."""
    return subprocess.Popen(
        ["git-hub-session", *arguments],
        cwd=hub.top,
        env=hub.environ,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )


def continue_commands(err: str) -> list[str]:
    """Return the commands in the lines `hint: continue with: …` and `hint: then: …`."""
    starts = ("hint: continue with: ", "hint: then: ")
    return [
        line.removeprefix(start)
        for line in err.splitlines()
        for start in starts
        if line.startswith(start)
    ]


def type_commands(hub: Hub, err: str) -> list[str]:
    """Type the commands that the output names. All must succeed. Return the commands."""
    commands = continue_commands(err)
    for command in commands:
        result = hub.call("sh", "-c", command)
        assert result.code == 0, (command, result)
    return commands
